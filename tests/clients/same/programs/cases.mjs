// How the programs for Node report: a line for each case, errors too.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

export const [engine, base, key] = process.argv.slice(2);
export const messages = [{ role: "user", content: "How many tokens are in this question?" }];
export const schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};

// The packages are not installed beside these files.
const folder = path.join(process.env.TOLLGATE_CLIENTS, "node");
const require = createRequire(path.join(folder, "package.json"));
export const load = (name) => import(pathToFileURL(require.resolve(name)).href);

export async function report(name, ask) {
  let seen;
  try {
    seen = await ask();
  } catch (error) {
    seen = { error: error.name, message: error.message };
  }
  console.log(JSON.stringify({ case: name, seen: seen ?? null }));
}

export async function all(stream) {
  const items = [];
  for await (const item of await stream) {
    items.push(item);
  }
  return items;
}

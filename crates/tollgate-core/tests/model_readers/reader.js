// Reads bodies as servers do that are written in JavaScript. Input and output are those of readers.py.

"use strict";

const fs = require("fs");

const data = fs.readFileSync(process.argv[2]);
let at = 0;

function field() {
  const start = at + 4;
  const end = start + data.readUInt32BE(at);
  at = end;
  return data.subarray(start, end);
}

// undefined: the server answers with an error.
function parse(body) {
  // body-parser takes a byte order mark off.
  const text = body.toString("utf8").replace(/^\ufeff/, "");
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const readers = {
  node: (value) => value.model,
  // A copy sees what is in a member "__proto__".
  copy: (value) => Object.assign({}, value).model,
  spread: (value) => ({ ...value }).model,
};

const taken = { node: 0, copy: 0, spread: 0 };
while (at < data.length) {
  const name = field().toString("utf8");
  const body = field();
  const value = parse(body);
  if (value === undefined) continue;
  for (const [reader, read] of Object.entries(readers)) {
    const model = read(value);
    if (model !== null && model !== undefined && typeof model !== "string") continue;
    taken[reader] += 1;
    if (model !== name) {
      // Halves of pairs are no text that can be written.
      const runs = Buffer.from(String(model)).toString("utf8");
      const told = { reader, "let in": name, runs, body: body.toString("latin1") };
      console.log(JSON.stringify(told));
    }
  }
}
console.log(JSON.stringify({ taken }));

// The anthropic package for Node.
import { all, base, key, load, messages, report, schema } from "./cases.mjs";

const { default: Anthropic } = await load("@anthropic-ai/sdk");
const client = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0 });
const create = (more) => client.messages.create({ model: "mock", max_tokens: 64, messages, ...more });

for (const [kind, more] of Object.entries({
  text: {},
  bound: { max_tokens: 3 },
  thinking: { model: "mock-think" },
  tool: { tools: [{ name: "weather", input_schema: schema }] },
})) {
  await report(kind, () => create(more));
  await report(`${kind} stream`, () => all(create({ stream: true, ...more })));
  await report(`${kind} final`, () =>
    client.messages.stream({ model: "mock", max_tokens: 64, messages, ...more }).finalMessage());
}

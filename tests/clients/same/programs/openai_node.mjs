// The openai package for Node.
import { all, base, engine, key, load, messages, report, schema } from "./cases.mjs";

const { default: OpenAI } = await load("openai");
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
const chat = (more) => client.chat.completions.create({ model: "mock", messages, ...more });
const tools = [{ type: "function", function: { name: "weather", parameters: schema } }];
const withUsage = { stream: true, stream_options: { include_usage: true } };

for (const [kind, more] of Object.entries({
  text: {},
  bound: { max_tokens: 3 },
  thinking: { model: "mock-think" },
  tool: { tools },
  n: { n: 2 },
})) {
  await report(`chat ${kind}`, () => chat(more));
  await report(`chat ${kind} stream`, () => all(chat({ stream: true, ...more })));
  await report(`chat ${kind} usage`, () => all(chat({ ...withUsage, ...more })));
}
await report("chat final", async () => {
  const stream = client.chat.completions.stream({ model: "mock", messages });
  return [await stream.finalChatCompletion(), (await stream.totalUsage()) ?? null];
});
for (const [kind, more] of Object.entries({ whole: {}, stream: { stream: true }, usage: withUsage })) {
  const request = { model: "mock", prompt: "one two three", ...more };
  await report(`completion ${kind}`, async () => {
    const answer = await client.completions.create(request);
    return more.stream ? all(answer) : answer;
  });
}
if (["openai", "vllm", "llamacpp", "transformers"].includes(engine)) {
  const response = (stream) => client.responses.create({ model: "mock", input: "one two", stream });
  await report("response", () => response(false));
  await report("response stream", () => all(response(true)));
}
await report("error", () => client.chat.completions.create(
  { model: "mock", messages }, { headers: { "X-Mock-Status": "400" } }));

// Vercel's AI SDK, with the provider of OpenAI and the one for what is compatible.
import { base, key, load, messages, report, schema } from "./cases.mjs";

const { generateText, jsonSchema, streamText, tool } = await load("ai");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = createOpenAI({ baseURL: `${base}/v1`, apiKey: key });
const compatible = (includeUsage) =>
  createOpenAICompatible({ name: "mock", baseURL: `${base}/v1`, apiKey: key, includeUsage });
const tools = { weather: tool({ description: "of a city", inputSchema: jsonSchema(schema) }) };

const said = (result) => ({
  text: result.text,
  reasoning: result.reasoningText,
  calls: result.toolCalls?.map(({ toolName, input }) => ({ toolName, input })),
  usage: result.usage,
  finish: result.finishReason,
});

async function streamed(options) {
  const result = streamText({ ...options, onError() {} });
  const parts = [];
  for await (const part of result.fullStream) {
    const { type, text, delta, usage, totalUsage, finishReason, error } = part;
    parts.push({ type, text, delta, usage, totalUsage, finishReason, error: error?.message });
  }
  return parts;
}

for (const [provider, model] of Object.entries({
  openai: (name) => openai.chat(name),
  compatible: (name) => compatible(undefined)(name),
  "with usage": (name) => compatible(true)(name),
})) {
  for (const [kind, options] of Object.entries({
    text: { model: model("mock") },
    bound: { model: model("mock"), maxOutputTokens: 3 },
    thinking: { model: model("mock-think") },
    tool: { model: model("mock"), tools },
  })) {
    const request = { maxRetries: 0, messages, ...options };
    await report(`${provider} ${kind}`, async () => said(await generateText(request)));
    await report(`${provider} ${kind} stream`, () => streamed(request));
  }
}

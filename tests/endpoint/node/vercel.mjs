// Each case with Vercel's AI SDK over its OpenAI-compatible provider; prints what came of it, by case, as JSON.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, jsonSchema, streamText, tool } from "ai";

const [baseURL, apiKey] = process.argv.slice(2);
const provider = (key) =>
  createOpenAICompatible({ name: "lanewise", baseURL, apiKey: key, supportsStructuredOutputs: true });
const ours = provider(apiKey);
// The router has retried already, and the AI SDK doesn't know x-should-retry.
const ask = (model, more) => ({ model: ours(model), prompt: "Hello?", maxRetries: 0, ...more });
const schema = jsonSchema({
  type: "object",
  properties: { n: { type: "integer" } },
  required: ["n"],
  additionalProperties: false,
});
const nothing = jsonSchema({ type: "object", properties: {}, additionalProperties: false });

async function joined(options) {
  let failure;
  const { textStream } = streamText({ ...options, onError: ({ error }) => (failure = error) });
  let text = "";
  for await (const piece of textStream) text += piece;
  if (failure) throw failure instanceof Error ? failure : Object.assign(new Error("an error in the stream"), failure);
  return text;
}

const cases = {
  whole: async () => (await generateText(ask("chat"))).text,
  stream: () => joined(ask("chat")),
  tools: async () => {
    const { toolCalls } = await generateText(ask("tools", { tools: { look_up: tool({ inputSchema: nothing }) } }));
    return `${toolCalls[0].toolName} ${JSON.stringify(toolCalls[0].input)}`;
  },
  json: async () => JSON.stringify((await generateObject(ask("json", { schema }))).object),
  error: () => generateText(ask("error")),
  broken: () => joined(ask("broken")),
  "wrong key": () => generateText({ ...ask("chat"), model: provider("lw_wrong")("chat") }),
  "hang-up": async () => {
    const controller = new AbortController();
    const { textStream } = streamText(ask("slow", { abortSignal: controller.signal, onError: () => {} }));
    for await (const piece of textStream) {
      if (piece) break;
    }
    controller.abort();
    return "left";
  },
};

const results = {};
for (const [name, run] of Object.entries(cases)) {
  try {
    results[name] = { text: await run() };
  } catch (error) {
    const code = error.data?.error?.code ?? error.code ?? null;
    results[name] = { raised: error.constructor.name, status: error.statusCode ?? null, code };
  }
}
console.log(JSON.stringify(results));
await new Promise((resolve) => setTimeout(resolve, 1000)); // it must be the hang-up that closes, not the process's end

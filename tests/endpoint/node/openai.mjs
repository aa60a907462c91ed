// Each case with the official client; prints what came of it, by case, as JSON.
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const messages = [{ role: "user", content: "Hello?" }];
const ask = (model, more) => client.chat.completions.create({ model, messages, ...more });
const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"], additionalProperties: false };
const tool = { type: "function", function: { name: "look_up", parameters: { type: "object", properties: {} } } };

async function joined(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  return text;
}

const cases = {
  whole: async () => (await ask("chat")).choices[0].message.content,
  stream: async () => joined(await ask("chat", { stream: true })),
  tools: async () => {
    const [call] = (await ask("tools", { tools: [tool] })).choices[0].message.tool_calls;
    return `${call.function.name} ${call.function.arguments}`;
  },
  json: async () => {
    const json_schema = { name: "n", schema, strict: true };
    return (await ask("json", { response_format: { type: "json_schema", json_schema } })).choices[0].message.content;
  },
  error: () => ask("error"),
  broken: async () => joined(await ask("broken", { stream: true })),
  "wrong key": () => new OpenAI({ baseURL, apiKey: "lw_wrong" }).models.list(),
  models: async () => (await client.models.list()).data.map((model) => model.id).join(" "),
  "hang-up": async () => {
    for await (const chunk of await ask("slow", { stream: true })) if (chunk.choices[0]?.delta?.content) break;
    return "left";
  },
};

const results = {};
for (const [name, run] of Object.entries(cases)) {
  try {
    results[name] = { text: await run() };
  } catch (error) {
    results[name] = { raised: error.constructor.name, status: error.status ?? null, code: error.code ?? null };
  }
}
console.log(JSON.stringify(results));
await new Promise((resolve) => setTimeout(resolve, 1000)); // it must be the hang-up that closes, not the process's end

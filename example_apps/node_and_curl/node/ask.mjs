// Node asks for a task: with the official client, and with Vercel's AI SDK. OPENAI_BASE_URL and OPENAI_API_KEY say
// where, and who it is.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";

const model = "ticket-summary";
const question = "Where is my parcel?";

const client = new OpenAI(); // by the two variables, as anywhere
const { data, response } = await client.chat.completions
  .create({ model, messages: [{ role: "user", content: question }] })
  .withResponse();
console.log("openai:        ", data.choices[0].message.content, `(${response.headers.get("x-lanewise-route")})`);

const stream = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: question }],
  stream: true,
});
let text = "";
for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
console.log("openai stream: ", text);

const lanewise = createOpenAICompatible({
  name: "lanewise",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
});
// The router has tried again already.
const answer = await generateText({ model: lanewise(model), prompt: question, maxRetries: 0 });
console.log("AI SDK:        ", answer.text);

process.stdout.write("AI SDK stream:  ");
for await (const piece of streamText({ model: lanewise(model), prompt: question, maxRetries: 0 }).textStream) {
  process.stdout.write(piece);
}
console.log();

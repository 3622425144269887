// The npm package `openai`, as its documentation uses it. The steps and what is
// printed are those of steps.py.
import OpenAI, { APIError, toFile } from "openai";

const { all, run } = await import(process.argv.at(-2)); // steps.mjs

const client = new OpenAI(); // OPENAI_BASE_URL and OPENAI_API_KEY

const messages = (step) => [{ role: "user", content: step.prompt }];

const operations = {
  async chat(client, step) {
    const r = await client.chat.completions.create({ model: step.model, messages: messages(step) });
    return { text: r.choices[0].message.content, model: r.model, finish: r.choices[0].finish_reason, tokens: r.usage.total_tokens };
  },
  async chat_stream(client, step) {
    const chunks = await all(await client.chat.completions.create({
      model: step.model, messages: messages(step), stream: true, stream_options: { include_usage: true },
    }));
    const text = chunks.map((c) => c.choices[0]?.delta.content ?? "").join("");
    return { text, model: chunks[0].model, events: chunks.length, tokens: chunks.at(-1).usage.total_tokens };
  },
  async responses(client, step) {
    const r = await client.responses.create({ model: step.model, input: step.prompt });
    return { text: r.output_text, model: r.model, finish: r.status, tokens: r.usage.total_tokens };
  },
  async responses_stream(client, step) {
    const events = await all(await client.responses.create({ model: step.model, input: step.prompt, stream: true }));
    const text = events.filter((e) => e.type === "response.output_text.delta").map((e) => e.delta).join("");
    return { text, model: events.at(-1).response.model, events: events.length, finish: events.at(-1).type };
  },
  async completions(client, step) {
    const r = await client.completions.create({ model: step.model, prompt: step.prompt });
    return { text: r.choices[0].text, model: r.model };
  },
  async embeddings(client, step) {
    const r = await client.embeddings.create({ model: step.model, input: [step.prompt, "another"] });
    return { model: r.model, vectors: r.data.map((d) => d.embedding) };
  },
  async transcription(client, step) {
    const file = await toFile(Buffer.alloc(16384, "speech"), "speech.wav");
    const r = await client.audio.transcriptions.create({ model: step.model, file, language: "en" });
    return { text: r.text };
  },
  async models(client) {
    return { models: (await all(client.models.list())).map((m) => m.id) };
  },
  async model(client, step) {
    const m = await client.models.retrieve(step.model);
    return { model: m.id, text: m.owned_by };
  },
};

const describe = (e) => ({
  class: e.constructor.name, status: e.status, message: e.error?.message, type: e.type, code: e.code,
});

await run(client, operations, APIError, describe);

// The npm package `@anthropic-ai/sdk`, as its documentation uses it. The steps and
// what is printed are those of steps.py.
import Anthropic, { APIError } from "@anthropic-ai/sdk";

const { all, run } = await import(process.argv.at(-2)); // steps.mjs

const client = new Anthropic(); // ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY

const prompt = (step) => ({ model: step.model, max_tokens: 1024, messages: [{ role: "user", content: step.prompt }] });

const operations = {
  async messages(client, step) {
    const r = await client.messages.create(prompt(step));
    return { text: r.content[0].text, model: r.model, finish: r.stop_reason, tokens: r.usage.output_tokens };
  },
  async messages_stream(client, step) {
    const stream = client.messages.stream(prompt(step));
    const events = await all(stream);
    const r = await stream.finalMessage();
    return { text: r.content[0].text, model: r.model, finish: r.stop_reason, events: events.length, tokens: r.usage.output_tokens };
  },
  async count_tokens(client, step) {
    const { max_tokens: _, ...body } = prompt(step);
    return { tokens: (await client.messages.countTokens(body)).input_tokens };
  },
  async models(client) {
    return { models: (await all(client.models.list())).map((m) => m.id) };
  },
  async model(client, step) {
    const m = await client.models.retrieve(step.model);
    return { model: m.id, text: m.display_name };
  },
};

// The SDK gives what is around the error object.
const describe = (e) => ({
  class: e.constructor.name, status: e.status, message: e.error?.error?.message, type: e.error?.error?.type,
});

await run(client, operations, APIError, describe);

// The npm package `@anthropic-ai/sdk`, as its documentation uses it. The steps and
// what is printed are those of steps.py.
import { readFileSync } from "node:fs";

import Anthropic, { APIError } from "@anthropic-ai/sdk";

const client = new Anthropic(); // ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY

const prompt = (step) => ({ model: step.model, max_tokens: 1024, messages: [{ role: "user", content: step.prompt }] });

const all = async (list) => {
  const items = [];
  for await (const item of list) items.push(item);
  return items;
};

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

for (const step of JSON.parse(readFileSync(process.argv.at(-1), "utf8"))) {
  const { api_key: apiKey, max_retries: maxRetries } = step.options ?? {};
  const options = { ...(apiKey && { apiKey }), ...(maxRetries !== undefined && { maxRetries }) };
  let line;
  try {
    line = await operations[step.op](client.withOptions(options), step);
  } catch (e) {
    if (!(e instanceof APIError) || e.status === undefined) throw e;
    line = { error: describe(e) };
  }
  console.log(JSON.stringify(line));
}

// What the programs in JavaScript share. The steps and what is printed are those of
// steps.py.
import { readFileSync } from "node:fs";

export const all = async (list) => {
  const items = [];
  for await (const item of list) items.push(item);
  return items;
};

export const run = async (client, operations, APIError, describe) => {
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
};

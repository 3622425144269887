// Package llm describes what the OpenAI and Anthropic APIs look like on the wire:
//
//   - requests: paths and operations (FindRoute), body fields, media types, and headers
//     with keys (Credentials);
//   - errors: codes, statuses and shapes (Error);
//   - responses: kinds (ResponseKind), content (Judge), faults (Fault), last events (LastEvents),
//     usage (ReadEarlyUsage), rate limits (QuotaHeaders) and lists of models (Model).
//
// It is the only package that knows these facts; each of them names its source. Package
// llm/body reads and edits request bodies, package llm/prompt knows which parts of them a
// model reads.
//
// It is pure: it takes bytes and values, and returns values and coded errors. It decides
// nothing about providers, models or keys, and it imports nothing of Weir.
package llm

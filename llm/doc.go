// Package llm describes what the OpenAI and Anthropic APIs look like on the wire:
// their operations and paths, the formats and status codes of errors, and the
// kinds of responses. It is the only package that knows these facts; each of them
// names its source.
//
// It is pure: bytes and values in, values and coded errors out. It decides
// nothing about providers, models or keys, and it imports nothing of Weir.
// Package llm/body reads and edits request bodies.
package llm

// Package tokens estimates how many tokens of input a JSON request has, for
// the limit `max_input_tokens`. It needs no network: the vocabulary, OpenAI's
// o200k_base, is part of the binary, and is unpacked when it is first needed.
//
// The estimate is the sum of
//
//   - the text of the prompt: the strings of `messages`, `input`, `prompt`,
//     `system`, `instructions`, `query` and the others that package llm/prompt lists, decoded,
//     each tokenised by itself. Of what has a schema of its own or none
//     (`tools`, `documents`, a tool call's `input`), keys, numbers and literals
//     are text too: a model sees them;
//   - 3 for each message, 1 for each name, 3 for the start of the reply;
//   - 1 for each number of a prompt that is already tokenised.
//
// Not counted are JSON's punctuation; the keys of messages and of their parts;
// the API's own words, such as a part's `type`; images, sound, video and PDF files, whose
// cost each provider measures differently; ciphertext that a provider gave
// out; and what a provider keeps itself, such as a former response.
//
// What is not counted is known by its exact position. All else counts: what
// stands under an unknown key of a message, base64 where text belongs, a file
// of text.
//
// Two rules bound the work that a client can cause, at the price of counting
// too many tokens. A word that is longer than [maxWord] bytes is cut: of text
// without spaces, Thai or Chinese without punctuation among it, this makes up
// to 6 % more. And a token stands for at most [maxTokenBytes] bytes, on average
// over a piece of text: o200k_base has a token of 128 spaces. So at most 8 MB
// are ever tokenised for a limit of 500,000. Prose takes 15 ms for 1 MiB, code
// and markup 20 to 60, the worst that is known 200.
//
// It needs no network and no module of others.
package tokens

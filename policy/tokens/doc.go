// Package tokens estimates the number of input tokens of a JSON request, for the limit
// max_input_tokens. It makes no network requests and has no state except the vocabulary,
// OpenAI's o200k_base, which is part of the binary and is unpacked on first use.
//
// The estimate is the sum of
//
//   - the text of the prompt: the strings of messages, input, prompt, system, instructions,
//     query and the other fields of package llm/prompt, decoded, and each tokenized on its
//     own. In fields with a schema of their own, or without one (tools, documents, the input
//     of a tool call), keys, numbers and literals are text too, because the model sees them;
//   - 3 tokens for each message, 1 for each name, and 3 for the start of the reply;
//   - 1 token for each number of a prompt that is already tokenized.
//
// It does not include JSON's punctuation; the keys of messages and of their parts; the API's
// own words, such as the type of a part; images, sound, video and PDF files, which each
// provider measures differently; ciphertext from a provider; and what a provider stores
// itself, such as an earlier response.
//
// These exceptions are recognized by their exact position. Everything else counts: the value
// of an unknown key of a message, base64 in place of text, a text file.
//
// Two rules bound the work that a client can cause. Both can make the estimate too high:
//
//   - A word of more than [maxWord] bytes is split. This adds up to 6 % to text without
//     spaces, such as Thai or Chinese without punctuation.
//   - A token stands for at most [maxTokenBytes] bytes, on average over a chunk of text,
//     although o200k_base has, for example, a token of 128 spaces. So at most 8 MB are
//     tokenized for a limit of 500,000.
//
// Prose takes 15 ms for 1 MiB, code and markup 20 to 60 ms, the slowest known text 200 ms.
package tokens

// Package body reads and edits the bodies of requests, JSON and multipart forms,
// without decoding more than Weir must know: the model names, whether the client
// wants a stream, and where each top-level key is. Edits replace single values, so
// that a provider receives every other byte unchanged.
//
// It refuses a body that two parsers could read differently, such as one with two
// model keys, with a coded error of package llm.
package body

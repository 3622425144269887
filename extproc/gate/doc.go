// Package gate judges the responses of providers while they arrive. A Judge decides,
// before any byte reaches the client, whether the beginning of a response has content or
// is a failure disguised as success. An End reports whether a stream ended with the last
// event of its API.
//
// The package takes bytes and returns verdicts; it never changes a response. It knows the
// framing of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html) and how much to read
// before it decides. Package llm knows what the events mean. An unknown event passes, so
// that a new event of an API does not become an outage.
package gate

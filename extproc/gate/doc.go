// Package gate judges responses of providers while they arrive: whether the beginning
// of one has content, or is a failure disguised as success, before any of it reaches
// the client; and whether a stream came to its own end.
//
// It takes bytes and returns verdicts, and never changes a response. What the APIs'
// events mean is in package llm, the only package of Weir that it may import; this one
// knows the framing of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), and how much to read
// before it decides. What is unknown passes: a new event of an API must not become an
// outage.
package gate

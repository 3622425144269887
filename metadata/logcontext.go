package metadata

import "strings"

// LogContext is what the access log tells of a request beside what Envoy knows
// of it. It travels as metadata, so that whoever receives the log needs no
// memory of the decision.
type LogContext struct {
	// ID is the id of the request when it was decided on: its header may be
	// another when it is logged, where one is configured.
	ID string
	// Operation is what was asked for, as Endpoint.Operation.
	Operation string
	// Asked is the first model name that the client wrote; empty where it wrote
	// none.
	Asked    string
	KeyID    string
	Key      string
	Stream   bool
	Attempts []LoggedAttempt
}

// LoggedAttempt says where an attempt goes: Envoy's log of a cluster that looks
// its host up names the host's cluster.
type LoggedAttempt struct {
	Cluster string
	Model   string // what the provider is asked for
}

// logSeparator cannot occur in a field: control characters are refused in
// model names and in the names of keys.
const logSeparator = "\n"

const streamed = "stream"

// Encode writes the context as one metadata value: a line for each field, and
// two lines for each attempt.
func (c *LogContext) Encode() string {
	var b strings.Builder
	n := len(c.ID) + len(c.Operation) + len(c.Asked) + len(c.KeyID) + len(c.Key) + len(streamed) + 5
	for _, a := range c.Attempts {
		n += len(a.Cluster) + len(a.Model) + 2
	}
	b.Grow(n)
	for i, field := range [...]string{c.ID, c.Operation, c.Asked, c.KeyID, c.Key} {
		if i > 0 {
			b.WriteString(logSeparator)
		}
		b.WriteString(field)
	}
	b.WriteString(logSeparator)
	if c.Stream {
		b.WriteString(streamed)
	}
	for _, a := range c.Attempts {
		b.WriteString(logSeparator)
		b.WriteString(a.Cluster)
		b.WriteString(logSeparator)
		b.WriteString(a.Model)
	}
	return b.String()
}

// DecodeLogContext reads what Encode wrote, without copying it. It is given
// only what this process or another Weir wrote; of anything else it makes what
// it can.
func DecodeLogContext(s string) LogContext {
	var c LogContext
	next := func() string {
		field, rest, _ := strings.Cut(s, logSeparator)
		s = rest
		return field
	}
	c.ID, c.Operation, c.Asked, c.KeyID, c.Key = next(), next(), next(), next(), next()
	c.Stream = next() == streamed
	for s != "" && len(c.Attempts) < MaxAttempts {
		c.Attempts = append(c.Attempts, LoggedAttempt{next(), next()})
	}
	return c
}

// LoggedID reads the ID of what Encode wrote.
func LoggedID(s string) string {
	id, _, _ := strings.Cut(s, logSeparator)
	return id
}

package policy

import "strings"

// LogContext is what the access log tells of a request beside what Envoy knows
// of it. It travels as metadata, so that whoever receives the log needs no
// memory of the decision.
type LogContext struct {
	// Operation is what was asked for, as Endpoint.Operation.
	Operation string
	// Asked is the first model name that the client wrote; empty where it wrote
	// none.
	Asked  string
	KeyID  string
	Key    string
	Stream bool
	// Models are what the providers were asked for, by attempt.
	Models []string
}

// logSeparator cannot occur in a field: control characters are refused in
// model names and in the names of keys.
const logSeparator = "\n"

const streamed = "stream"

// logContext says what is logged of a request, with a plan or without.
func logContext(e *Endpoint, key *AccessKey, body *Body, plan *Plan) LogContext {
	c := LogContext{Operation: "unknown"}
	if e != nil {
		c.Operation = e.Operation
	}
	if key != nil {
		c.KeyID, c.Key = key.ID, key.Name
	}
	switch {
	case body == nil:
	case body.HasModel:
		c.Asked = body.Model
	case len(body.Models) > 0:
		c.Asked = body.Models[0]
	}
	if plan != nil {
		c.Stream = plan.Stream
		for i := range plan.Attempts {
			c.Models = append(c.Models, plan.Attempts[i].Model)
		}
	}
	return c
}

// Encode writes the context as one metadata value: a line for each field, and
// a line for each attempt.
func (c *LogContext) Encode() string {
	var b strings.Builder
	n := len(c.Operation) + len(c.Asked) + len(c.KeyID) + len(c.Key) + len(streamed) + 5 + len(c.Models)
	for _, m := range c.Models {
		n += len(m)
	}
	b.Grow(n)
	for i, field := range [...]string{c.Operation, c.Asked, c.KeyID, c.Key} {
		if i > 0 {
			b.WriteString(logSeparator)
		}
		b.WriteString(field)
	}
	b.WriteString(logSeparator)
	if c.Stream {
		b.WriteString(streamed)
	}
	for _, m := range c.Models {
		b.WriteString(logSeparator)
		b.WriteString(m)
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
	c.Operation, c.Asked, c.KeyID, c.Key = next(), next(), next(), next()
	c.Stream = next() == streamed
	for s != "" && len(c.Models) < MaxAttempts {
		c.Models = append(c.Models, next())
	}
	return c
}

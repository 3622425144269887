package policy

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// Answer is a kind of answers, by what they look like.
type Answer string

// The kinds. AnyAnswer may be of any type: sound, text, subtitles.
const (
	AnyAnswer       Answer = ""
	JSONAnswer      Answer = "json"
	ChatAnswer      Answer = "chat"
	ResponsesAnswer Answer = "responses"
	MessagesAnswer  Answer = "messages"
)

// Format is that of the API that answers so.
func (a Answer) Format() Format {
	if a == MessagesAnswer {
		return Anthropic
	}
	return OpenAI
}

// CountedStream is a stream of chat completions whose client asked for tokens in
// every event (stream_options.continuous_usage_stats, of vLLM).
const CountedStream = "chat-counted"

// Stream says what a stream of this kind looks like, by the client's body; empty
// where it has no last event.
func (a Answer) Stream(body []byte) string {
	switch {
	case a == ChatAnswer && bytes.Contains(body, []byte(`"continuous_usage_stats"`)):
		return CountedStream
	case a == ChatAnswer, a == ResponsesAnswer, a == MessagesAnswer:
		return string(a)
	}
	return ""
}

// Gate is what Weir has to do with the answer of an attempt. It travels as
// metadata, like the plan.
type Gate struct {
	Answer Answer
	Stream bool
	// Hold says that nothing of the answer reaches the client before it has
	// content: another attempt could follow.
	Hold bool
	// Strict says that a stream that ends without its last event ends in an
	// error.
	Strict bool
	// Idle is the longest silence inside a stream, 0 where Envoy sees to it.
	Idle time.Duration
	// Deadline bounds how long the answer may be held.
	Deadline time.Time
}

// Needed says whether there is anything to do.
func (g *Gate) Needed() bool { return g.Hold || g.Watches() }

// Watches says whether the answer is followed to its end.
func (g *Gate) Watches() bool { return g.Stream && (g.Strict || g.Idle > 0) }

// Encode writes g as one metadata value.
func (g *Gate) Encode() string {
	b := make([]byte, 0, 64)
	b = append(append(b, g.Answer...), ' ')
	for _, f := range [...]struct {
		letter byte
		set    bool
	}{{'s', g.Stream}, {'h', g.Hold}, {'e', g.Strict}} {
		if f.set {
			b = append(b, f.letter)
		}
	}
	b = strconv.AppendInt(append(b, ' '), g.Idle.Milliseconds(), 10)
	b = strconv.AppendInt(append(b, ' '), g.Deadline.UnixMilli(), 10)
	return string(b)
}

// DecodeGate reads what Encode wrote. Of anything else it makes a Gate that
// does nothing.
func DecodeGate(s string) Gate {
	parts := strings.Split(s, " ")
	if len(parts) != 4 {
		return Gate{}
	}
	idle, err := strconv.ParseInt(parts[2], 10, 64)
	deadline, err2 := strconv.ParseInt(parts[3], 10, 64)
	if err != nil || err2 != nil {
		return Gate{}
	}
	flags := parts[1]
	return Gate{
		Answer: Answer(parts[0]),
		Stream: strings.Contains(flags, "s"), Hold: strings.Contains(flags, "h"), Strict: strings.Contains(flags, "e"),
		Idle: time.Duration(idle) * time.Millisecond, Deadline: time.UnixMilli(deadline),
	}
}

// gate says what is to be done with the answers of a plan's first attempt.
func (p *Policy) gate(req *Request, plan *Plan) Gate {
	g := Gate{
		Answer: req.Endpoint.Answer, Stream: plan.Stream,
		Hold: p.ResponseGate && len(plan.Attempts) > 1, Strict: p.StrictStreamEnd,
		Deadline: plan.Deadline,
	}
	if p.watchesIdle(len(plan.Attempts)) {
		g.Idle = p.StreamIdleTimeout
	}
	return g
}

// LongestWait bounds the time until one of so many attempts of a stream begins
// its answer.
func (p *Policy) LongestWait(attempts int) time.Duration {
	return min(time.Duration(attempts)*p.PerRequestTimeout, p.TotalTimeout)
}

// watchesIdle says that Weir bounds the silence inside a stream. Envoy's timer,
// which costs nothing, also runs while attempts are waited for, so that it
// cannot be shorter than that: it is good enough as long as it is not twice as
// long as what is configured.
func (p *Policy) watchesIdle(attempts int) bool {
	s := p.StreamIdleTimeout
	return s < p.AttemptTimeout() || 2*s < p.LongestWait(attempts)
}

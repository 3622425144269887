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

// Stream returns what a stream of this kind looks like, empty where it has no last
// event. counted reports whether the client asked for tokens in every event.
func (a Answer) Stream(counted bool) string {
	switch {
	case a == ChatAnswer && counted:
		return CountedStream
	case a == ChatAnswer, a == ResponsesAnswer, a == MessagesAnswer:
		return string(a)
	}
	return ""
}

// CountsStream reports whether the stream's options name continuous_usage_stats.
func (b *Body) CountsStream() bool {
	for _, m := range b.Members {
		if string(m.Name) == "stream_options" && bytes.Contains(b.Bytes[m.Value.Start:m.Value.End], []byte(`"continuous_usage_stats"`)) {
			return true
		}
	}
	return false
}

// Gate is what Weir has to do with the answer of an attempt. It travels as
// metadata, like the plan.
type Gate struct {
	Answer Answer
	Stream bool
	// MayStream says that an answer in events would be no surprise.
	MayStream bool
	// Hold says that nothing of the answer reaches the client before it has
	// content: another attempt could follow.
	Hold bool
	// Strict says that a stream that ends without its last event ends in an
	// error.
	Strict bool
	// Idle is the longest silence inside a stream, 0 where Envoy sees to it.
	Idle time.Duration
	// Deadline bounds how long the answer may be held, Attempt is the timeout of
	// one attempt.
	Deadline time.Time
	Attempt  time.Duration
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
	}{{'s', g.Stream}, {'m', g.MayStream}, {'h', g.Hold}, {'e', g.Strict}} {
		if f.set {
			b = append(b, f.letter)
		}
	}
	b = strconv.AppendInt(append(b, ' '), g.Idle.Milliseconds(), 10)
	b = strconv.AppendInt(append(b, ' '), g.Attempt.Milliseconds(), 10)
	b = strconv.AppendInt(append(b, ' '), g.Deadline.UnixMilli(), 10)
	return string(b)
}

// DecodeGate reads what Encode wrote. Of anything else it makes a Gate that
// does nothing.
func DecodeGate(s string) Gate {
	parts := strings.Split(s, " ")
	if len(parts) != 5 {
		return Gate{}
	}
	var numbers [3]int64
	for i, part := range parts[2:] {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return Gate{}
		}
		numbers[i] = n
	}
	flag := func(letter string) bool { return strings.Contains(parts[1], letter) }
	return Gate{
		Answer: Answer(parts[0]),
		Stream: flag("s"), MayStream: flag("m"), Hold: flag("h"), Strict: flag("e"),
		Idle: time.Duration(numbers[0]) * time.Millisecond, Attempt: time.Duration(numbers[1]) * time.Millisecond,
		Deadline: time.UnixMilli(numbers[2]),
	}
}

// gate says what is to be done with the answers of a plan's first attempt.
func (p *Policy) gate(req *Request, plan *Plan) Gate {
	g := Gate{
		Answer: req.Endpoint.Answer, Stream: plan.Stream, MayStream: plan.Stream || req.Body.MayStream,
		Strict:   p.StrictStreamEnd,
		Deadline: plan.Deadline, Attempt: plan.AttemptTimeout,
		// What is held past its timeout would be lost if that led nowhere. Over
		// HTTP/2 another response to the same client can pause this one while it
		// is held and already complete, and Envoy 1.40 crashes.
		Hold: p.ResponseGate && !req.Multiplexed && len(plan.Attempts) > 1 && (p.Failover.Reset || p.Failover.Timeout),
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
// cannot be shorter than that. What is configured is kept to; of the default, it
// is good enough not to be twice as long.
func (p *Policy) watchesIdle(attempts int) bool {
	s, wait := p.StreamIdleTimeout, p.LongestWait(attempts)
	if p.gateway.StreamIdleTimeout != 0 {
		return s < wait
	}
	return s < p.AttemptTimeout() || 2*s < wait
}

// EncodeCause writes why an answer with a status is none, as CauseHeader.
func EncodeCause(cause string, status int) string { return cause + " " + strconv.Itoa(status) }

// DecodeCause reads what EncodeCause wrote; cause is empty if it did not.
func DecodeCause(s string) (cause string, status int) {
	cause, number, _ := strings.Cut(s, " ")
	status, err := strconv.Atoi(number)
	if err != nil {
		return "", 0
	}
	return cause, status
}

package extproc

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/extproc/gate"
	"weir/extproc/wire"
	"weir/llm"
	"weir/metadata"
)

// judged is the memory that judging one response needs.
type judged struct {
	judge gate.Judge
	end   gate.End
}

// gate judges the response of an attempt, whose headers are the first message. Until
// Weir replies, Envoy holds the response, and the client receives nothing of it. To let
// it pass, Weir closes the stream without a reply: Envoy still has every byte and goes
// on without Weir.
func (p *Processor) gate(stream *wire.Stream, x *exchange) error {
	encoded, _ := x.in.Metadata(metadata.GateNamespace, metadata.GateField)
	g := metadata.DecodeGate(encoded)
	if !g.Hold {
		return nil
	}
	status, contentType, encoding := responseHeaders(x.in.Headers)
	judge := &x.judged.judge
	judge.Reset(g.Response, g.MayStream, g.Helped())
	verdict := judge.Headers(status, contentType, encoding, x.in.EndOfStream)
	var late alarm
	if verdict == llm.Undecided && g.Stream {
		late.set(g.Deadline.Sub(p.now()), func() { p.giveUp(stream, g.Response.Format()) })
	}
	for verdict == llm.Undecided {
		if err := stream.Recv(&x.in); err != nil {
			late.stop()
			return ended(err)
		}
		verdict = judge.Data(x.in.Body, x.in.EndOfStream)
	}
	if late.stop() {
		return nil
	}
	p.metrics.judged(verdict)
	if !verdict.Failed() {
		return nil
	}
	// The status becomes that of a failure, because Envoy's retry and its log depend on it.
	x.set = append(x.set[:0],
		wire.SetHeader{Key: ":status", Value: metadata.JudgedStatus},
		wire.SetHeader{Key: metadata.CauseHeader, Value: metadata.Cause{Name: verdict.Cause(), Status: status}.Encode()},
	)
	x.out = wire.Response{Kind: wire.ResponseHeaders, Common: wire.Common{Set: x.set}}
	return stream.Send(&x.out)
}

// watch follows a stream on its way to the client to its end. For anything else, Weir
// closes its own stream, and Envoy goes on without it.
func (p *Processor) watch(stream *wire.Stream, x *exchange) error {
	encoded, _ := x.in.Metadata(metadata.GateNamespace, metadata.GateField)
	g := metadata.DecodeGate(encoded)
	status, contentType, encoding := responseHeaders(x.in.Headers)
	if !g.Watches() || status != 200 || !llm.Plain(encoding) || llm.MediaOf(contentType) != llm.MediaEvents || x.in.EndOfStream {
		return nil
	}
	end := &x.judged.end
	end.Reset(g.Response)
	// An event that Weir adds would change the length.
	x.out = wire.Response{Kind: wire.ResponseHeaders, Common: wire.Common{Remove: contentLength}}
	if err := stream.Send(&x.out); err != nil {
		return err
	}
	for {
		var silence alarm
		if g.Idle > 0 {
			silence.set(g.Idle, func() { p.giveUp(stream, g.Response.Format()) })
		}
		err := stream.Recv(&x.in)
		if silence.stop() {
			return nil
		}
		if err != nil {
			return ended(err)
		}
		if x.in.Kind == wire.ResponseTrailers {
			return p.trailers(stream, x, &g)
		}
		last := x.in.EndOfStream
		end.Data(x.in.Body)
		x.out = wire.Response{Kind: wire.ResponseBody}
		if last && !end.Complete() {
			p.endTruncated(x, &g)
		}
		if err := stream.Send(&x.out); err != nil || last {
			return err
		}
	}
}

// endTruncated marks a stream that ends without its last event in Envoy's log. Where
// the configuration asks for it (strict_stream_end), it appends an error event.
func (p *Processor) endTruncated(x *exchange, g *metadata.Gate) {
	x.out.Metadata = x.truncated()
	if !g.Strict {
		return
	}
	p.metrics.truncated()
	end := &x.judged.end
	x.edits = append(x.edits[:0], wire.Edit{At: len(x.in.Body), With: truncated().Event(g.Response, end.Between(), end.Next())})
	x.out.Body = &wire.BodyPatch{Source: &x.in, Edits: x.edits}
}

// trailers ends a stream at its trailers. All chunks have passed, so no event can be
// added: with strict_stream_end, Weir replies with an error, which breaks the stream
// off, or becomes the response if Envoy still has the headers.
func (p *Processor) trailers(stream *wire.Stream, x *exchange, g *metadata.Gate) error {
	if x.judged.end.Complete() {
		return nil
	}
	if g.Strict {
		p.metrics.truncated()
		return x.replyError(stream, truncated(), g.Response.Format())
	}
	x.out = wire.Response{Kind: wire.ResponseTrailers, Metadata: x.truncated()}
	return stream.Send(&x.out)
}

// truncated returns the metadata by which the access log tells a truncated stream.
func (x *exchange) truncated() []wire.Metadata {
	x.field[0] = wire.Field{Key: metadata.TruncatedField, Value: wire.Number(1)}
	x.meta[0] = wire.Metadata{Namespace: metadata.ResponseNamespace, Fields: x.field[:1]}
	return x.meta[:1]
}

func truncated() *llm.Error {
	return llm.Errorf(llm.StreamTruncated, "the provider closed the stream before sending its last event")
}

var contentLength = []string{"content-length"}

// giveUp ends a request whose time is over. It may be called while another goroutine
// receives.
func (p *Processor) giveUp(stream *wire.Stream, format llm.Format) {
	err := p.count(llm.Errorf(llm.Timeout, "no provider responded in the time available"))
	_ = new(exchange).replyError(stream, err, format) // it fails only if Envoy is gone
}

func responseHeaders(headers []wire.Header) (status int, contentType, encoding string) {
	for _, h := range headers {
		switch h.Key {
		case ":status":
			status, _ = strconv.Atoi(h.Value)
		case "content-type":
			contentType = h.Value
		case "content-encoding":
			encoding = strings.TrimPrefix(encoding+","+h.Value, ",")
		}
	}
	return status, contentType, encoding
}

// alarm calls a function after a time, unless it is stopped before.
type alarm struct {
	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	fired   bool
}

func (a *alarm) set(d time.Duration, f func()) {
	a.timer = time.AfterFunc(max(d, 0), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.stopped {
			a.fired = true
			f()
		}
	})
}

// stop stops the alarm, and reports whether the function was already called.
func (a *alarm) stop() bool {
	if a.timer == nil {
		return false
	}
	a.timer.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	return a.fired
}

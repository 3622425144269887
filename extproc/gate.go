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

// answer is the memory of one answer that is judged.
type answer struct {
	judge gate.Judge
	end   gate.End
}

// gate judges the answer of an attempt; the first message is its headers. As
// long as Envoy gets no word, nothing of the answer reaches the client. To let
// it pass, the stream is closed: Envoy still has every byte, and Weir is out of
// its way.
func (p *Processor) gate(stream *wire.Stream, x *exchange) error {
	encoded, _ := x.in.Metadata(metadata.GateNamespace, metadata.GateField)
	g := metadata.DecodeGate(encoded)
	if !g.Hold {
		return nil
	}
	status, contentType, encoding := responseHeaders(x.in.Headers)
	judge := &x.answer.judge
	judge.Reset(g.Response, g.MayStream)
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
	// As a failure: what Envoy logs of attempts goes by their status.
	x.set = append(x.set[:0],
		wire.SetHeader{Key: ":status", Value: metadata.JudgedStatus},
		wire.SetHeader{Key: metadata.CauseHeader, Value: metadata.Cause{Name: verdict.Cause(), Status: status}.Encode()},
	)
	x.out = wire.Response{Kind: wire.ResponseHeaders, Common: wire.Common{Set: x.set}}
	return stream.Send(&x.out)
}

// watch follows a stream that goes to the client to its end. Anything else
// passes: to let it, the stream to Weir is closed.
func (p *Processor) watch(stream *wire.Stream, x *exchange) error {
	encoded, _ := x.in.Metadata(metadata.GateNamespace, metadata.GateField)
	g := metadata.DecodeGate(encoded)
	status, contentType, encoding := responseHeaders(x.in.Headers)
	if !g.Watches() || status != 200 || !llm.Plain(encoding) || !gate.Events(contentType) || x.in.EndOfStream {
		return nil
	}
	end := &x.answer.end
	end.Reset(g.Response)
	// With what may be added, the length is another.
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

// endTruncated marks the last piece of a stream that has no end, and makes an
// error its end where that is asked for.
func (p *Processor) endTruncated(x *exchange, g *metadata.Gate) {
	x.out.Metadata = x.truncated()
	if !g.Strict {
		return
	}
	p.metrics.truncated()
	end := &x.answer.end
	x.edits = append(x.edits[:0], wire.Edit{At: len(x.in.Body), With: truncated().Event(g.Response, end.Between(), end.Next())})
	x.out.Body = &wire.BodyPatch{Source: &x.in, Edits: x.edits}
}

// trailers ends a stream whose pieces have all passed. Nothing can be added to
// it any more: where an error has to be its end, it breaks off, or is the answer
// if there was no piece.
func (p *Processor) trailers(stream *wire.Stream, x *exchange, g *metadata.Gate) error {
	if x.answer.end.Complete() {
		return nil
	}
	if g.Strict {
		p.metrics.truncated()
		return x.replyError(stream, truncated(), g.Response.Format())
	}
	x.out = wire.Response{Kind: wire.ResponseTrailers, Metadata: x.truncated()}
	return stream.Send(&x.out)
}

// truncated is what tells the access log.
func (x *exchange) truncated() []wire.Metadata {
	x.field[0] = wire.Field{Key: metadata.TruncatedField, Value: wire.Number(1)}
	x.meta[0] = wire.Metadata{Namespace: metadata.EndNamespace, Fields: x.field[:1]}
	return x.meta[:1]
}

func truncated() *llm.Error {
	return llm.Errorf(llm.StreamTruncated, "the provider ended the stream before the answer was complete")
}

var contentLength = []string{"content-length"}

// giveUp ends a request because its time is over. It may be called while
// another goroutine receives.
func (p *Processor) giveUp(stream *wire.Stream, format llm.Format) {
	err := p.count(llm.Errorf(llm.Timeout, "no provider answered within the time for it"))
	_ = new(exchange).replyError(stream, err, format) // Envoy is gone if it fails
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

// alarm calls a function unless it is stopped in time.
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

// stop says whether the function was called. Afterwards it is not.
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

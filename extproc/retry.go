package extproc

import (
	"strconv"
	"time"

	"weir/extproc/wire"
	"weir/llm"
	"weir/metadata"
)

// retry replies to a later attempt of a request, with the body, path and authority of
// the plan that the request carries.
func (p *Processor) retry(stream *wire.Stream, x *exchange, attempt string) error {
	cluster := x.in.Attribute("xds.cluster_name")
	n, err := strconv.Atoi(attempt)
	if err != nil {
		return err
	}
	encoded, _ := x.in.Metadata(metadata.GateNamespace, metadata.GateField)
	g := metadata.DecodeGate(encoded)
	// Envoy has no timer that spans all attempts and stops when a response begins. If
	// the total timeout could end before the attempt's, Weir waits for it.
	bounded := g.Stream && g.Deadline.Sub(p.now()) < g.Attempt
	if x.in.EndOfStream {
		return p.again(stream, x, &g, false, llm.OpenAI)
	}
	x.out = wire.Response{Kind: wire.RequestHeaders, WantResponse: bounded}
	if err := stream.Send(&x.out); err != nil {
		return err
	}
	if err := stream.Recv(&x.in); err != nil {
		return ended(err)
	}
	plan, planned := x.in.Metadata(metadata.PlanNamespace, metadata.PlanField)
	format := llm.OpenAI
	if name, ok := x.in.Metadata(metadata.PlanNamespace, metadata.FormatField); ok {
		format = llm.Format(name)
	}
	if _, decided := x.in.Metadata(metadata.PlanNamespace, metadata.ModelField); decided && !planned {
		return p.again(stream, x, &g, bounded, format)
	}
	next, err := metadata.DecodeRetry(plan, n, cluster, len(x.in.Body), p.now())
	if err != nil {
		return x.replyError(stream, p.count(err), format)
	}
	if next.Expired {
		return x.replyError(stream, p.count(llm.Errorf(llm.Timeout, "no provider responded within the total timeout, after %d attempts", n-1)), format)
	}
	p.metrics.retried()
	x.set = append(x.set[:0],
		wire.SetHeader{Key: ":path", Value: next.Path},
		wire.SetHeader{Key: ":authority", Value: next.Authority},
	)
	x.field[0] = wire.Field{Key: metadata.ModelField, Value: wire.String(metadata.HeaderText(next.Model))}
	meta := append(x.meta[:0], wire.Metadata{Namespace: metadata.PlanNamespace, Fields: x.field[:1]})
	x.out = wire.Response{Kind: wire.RequestBody}
	was := g
	if g.Hold && (next.Last || g.Wider != 0) {
		g.Hold = !next.Last
		g.Wider >>= 1
	}
	if g.Strict = next.Strict; g.Idle != 0 {
		g.Idle = next.Idle
	}
	if g != was {
		meta = append(meta, x.gateMetadata(&g))
	}
	x.mark(&g)
	x.out.Metadata = meta
	for _, h := range next.Headers {
		if h.Value == "" {
			x.out.Remove = append(x.out.Remove, h.Name)
		} else {
			x.set = append(x.set, wire.SetHeader{Key: h.Name, Value: h.Value})
		}
	}
	x.patch(next.Edits, next.Length)
	if err := stream.Send(&x.out); err != nil || !bounded {
		return err
	}
	if g.Hold {
		g.Deadline = g.Deadline.Add(gateFirst)
	}
	return p.await(stream, x, g.Deadline, format)
}

// again replies to a later attempt of a request whose plan has only one: the provider
// did not process the first. Body, path and authority are still those of the first,
// because Envoy keeps them. A request without a body has no other plan.
func (p *Processor) again(stream *wire.Stream, x *exchange, g *metadata.Gate, bounded bool, format llm.Format) error {
	p.metrics.retried()
	x.set = x.set[:0]
	x.mark(g)
	x.out = wire.Response{Kind: x.in.Kind, Common: wire.Common{Set: x.set}}
	if err := stream.Send(&x.out); err != nil || !bounded {
		return err
	}
	return p.await(stream, x, g.Deadline, format)
}

// mark adds the header that turns on the gate. The cluster of the previous attempt has
// removed that attempt's mark.
func (x *exchange) mark(g *metadata.Gate) {
	if g.Hold {
		x.set = append(x.set, wire.SetHeader{Key: metadata.GateHeader, Value: metadata.GateOn})
	}
}

// gateFirst is added to the deadline where a response may be held, so that the gate ends
// the request first.
const gateFirst = 50 * time.Millisecond

// await waits for the response headers of an attempt, and ends the request at a time.
func (p *Processor) await(stream *wire.Stream, x *exchange, until time.Time, format llm.Format) error {
	var late alarm
	late.set(until.Sub(p.now()), func() { p.giveUp(stream, format) })
	err := stream.Recv(&x.in)
	if late.stop() || err != nil {
		return ended(err)
	}
	x.out = wire.Response{Kind: wire.ResponseHeaders}
	return stream.Send(&x.out)
}

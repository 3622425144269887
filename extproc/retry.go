package extproc

import (
	"strconv"
	"time"

	"weir/extproc/wire"
	"weir/llm"
	"weir/metadata"
)

// retry answers a later attempt of a request: body, path and authority come
// from the plan that the request carries.
func (p *Processor) retry(stream *wire.Stream, x *exchange, attempt string) error {
	cluster := x.in.Attribute("xds.cluster_name")
	n, err := strconv.Atoi(attempt)
	if err != nil {
		return err
	}
	encoded, _ := x.in.Metadata(metadata.GateNamespace, metadata.GateField)
	g := metadata.DecodeGate(encoded)
	// Envoy has no timer that spans all attempts and ends with the beginning of
	// an answer: where the time for all could end first, Weir has.
	bounded := g.Stream && g.Deadline.Sub(p.now()) < g.Attempt
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
		return x.replyError(stream, p.count(llm.Errorf(llm.Timeout, "no provider answered within the total timeout, after %d attempts", n-1)), format)
	}
	p.metrics.retried()
	x.set = append(x.set[:0],
		wire.SetHeader{Key: ":path", Value: next.Path},
		wire.SetHeader{Key: ":authority", Value: next.Authority},
	)
	x.field[0] = wire.Field{Key: metadata.ModelField, Value: wire.String(next.Model)}
	meta := append(x.meta[:0], wire.Metadata{Namespace: metadata.PlanNamespace, Fields: x.field[:1]})
	x.out = wire.Response{Kind: wire.RequestBody}
	if next.Last && g.Hold {
		g.Hold = false
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

// again answers a later attempt of a request that has one in its plan: the
// provider said that it has not processed the first. Body, path and authority
// are still those of the first, as Envoy keeps them.
func (p *Processor) again(stream *wire.Stream, x *exchange, g *metadata.Gate, bounded bool, format llm.Format) error {
	p.metrics.retried()
	x.set = x.set[:0]
	x.mark(g)
	x.out = wire.Response{Kind: wire.RequestBody, Common: wire.Common{Set: x.set}}
	if err := stream.Send(&x.out); err != nil || !bounded {
		return err
	}
	return p.await(stream, x, g.Deadline, format)
}

// mark asks for the gate. The mark of the previous attempt is gone with that
// attempt's headers.
func (x *exchange) mark(g *metadata.Gate) {
	if g.Hold {
		x.set = append(x.set, wire.SetHeader{Key: metadata.GateHeader, Value: metadata.GateOn})
	}
}

// gateFirst lets the gate, where an answer is held, end a request whose time is
// over.
const gateFirst = 50 * time.Millisecond

// await bounds the time until an attempt answers.
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

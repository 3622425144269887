package extproc

import (
	"strconv"
	"time"

	"weir/extproc/wire"
	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy"
)

// durationSlack makes the attempt's own timeout fire first while no response headers
// have arrived: the client then receives a timeout error.
const durationSlack = 100 * time.Millisecond

// streamDuration bounds an attempt to the end of its response. It takes precedence over the
// cluster's own bound; 0 means none.
const streamDuration = "x-envoy-upstream-stream-duration-ms"

// refusedRetries is how often a request is sent again to its only provider if the
// provider did not process it: HTTP/2's REFUSED_STREAM, or a GOAWAY for lower streams
// (RFC 9113 8.7). It is more than once because a burst of requests above the
// provider's stream limit may be refused on new connections too.
const refusedRetries = "5"

// connectRetries is how often a request that changes nothing, or nothing more the second
// time, is sent again to the only provider that can serve it, if no connection was made.
const connectRetries = "2"

// respond writes a plan into x.out.
func (p *Processor) respond(x *exchange, current *policy.Policy, plan *policy.Plan, req *request) {
	first := &plan.Attempts[0]
	x.set = append(x.set[:0],
		wire.SetHeader{Key: ":path", Value: first.Path},
		wire.SetHeader{Key: ":authority", Value: first.Authority},
		wire.SetHeader{Key: metadata.HopHeader, Value: req.Hops},
	)
	if req.SentType != "" {
		x.set = append(x.set, wire.SetHeader{Key: "content-type", Value: req.SentType})
	}
	if req.SentID != "" {
		x.set = append(x.set, wire.SetHeader{Key: metadata.SentIDHeader, Value: req.SentID})
	}
	if plan.Stream {
		x.set = append(x.set, wire.SetHeader{Key: metadata.StreamHeader, Value: strconv.Itoa(plan.Class)})
		if plan.OwnTimeouts { // those of the clusters are for complete responses
			x.set = append(x.set, wire.SetHeader{Key: streamDuration, Value: "0"})
		}
		if kind := req.Endpoint.Response.Stream(); kind != "" {
			x.set = append(x.set, wire.SetHeader{Key: metadata.StreamKindHeader, Value: kind})
		}
	} else if !plan.OwnTimeouts {
		// The route's timeout of an attempt ends with the response headers. This one
		// also ends a response whose body arrives too slowly.
		x.set = append(x.set, wire.SetHeader{Key: streamDuration, Value: strconv.FormatInt((plan.AttemptTimeout + durationSlack).Milliseconds(), 10)})
	}
	if plan.OwnTimeouts {
		x.set = append(x.set, wire.SetHeader{Key: "x-envoy-upstream-rq-per-try-timeout-ms", Value: strconv.FormatInt(plan.AttemptTimeout.Milliseconds(), 10)})
	}
	fields := append(x.field[:0],
		wire.Field{Key: metadata.ModelField, Value: wire.String(metadata.HeaderText(first.Model))},
		x.logged(req, &x.body, plan),
	)
	if req.Format != llm.OpenAI {
		fields = append(fields, wire.Field{Key: metadata.FormatField, Value: wire.String(string(req.Format))})
	}
	for i := range x.headers {
		current.Header(plan, &x.plan.Presented, x.headers[i].Key, x.headers[i].Value)
	}
	meta := x.meta[:0]
	if len(plan.Attempts) == 1 {
		x.set = append(x.set, wire.SetHeader{Key: metadata.DirectHeader, Value: first.Cluster.Name})
		if on, most := again(req.Endpoint, first.Cluster); on != "" {
			x.set = append(x.set, wire.SetHeader{Key: "x-envoy-retry-on", Value: on}, wire.SetHeader{Key: "x-envoy-max-retries", Value: most})
		}
	} else {
		x.set = append(x.set, wire.SetHeader{Key: "x-envoy-max-retries", Value: strconv.Itoa(len(plan.Attempts) - 1)})
		meta = append(meta, x.chainMetadata(plan))
		var retries [metadata.MaxAttempts]metadata.Attempt
		later := metadata.Plan{Deadline: plan.Deadline, Length: first.Length, Attempts: plan.Retries(retries[:0])}
		fields = append(fields, wire.Field{Key: metadata.PlanField, Value: wire.String(later.Encode())})
	}
	if len(plan.Rejected) > 0 {
		fields = append(fields, wire.Field{Key: metadata.RejectedField, Value: wire.String(metadata.HeaderList(plan.Rejected))})
	}
	for _, f := range plan.Fields {
		fields = append(fields, wire.Field{Key: f.Name, Value: wire.String(f.Value)})
	}
	meta = append(meta, wire.Metadata{Namespace: metadata.PlanNamespace, Fields: fields})
	x.mark(&plan.Gate)
	if plan.Gate.Needed() || plan.Stream && len(plan.Attempts) > 1 {
		meta = append(meta, x.gateMetadata(&plan.Gate))
	}
	x.out = wire.Response{
		Kind:     x.in.Kind, // the request's headers, if it has no body
		Common:   wire.Common{ClearRouteCache: true, Remove: plan.Withheld},
		Metadata: meta,
	}
	x.patch(first.Edits, first.Length)
}

// again returns what leads to another attempt, at the same provider, of a request that has
// only one in its plan, and how often.
func again(e *llm.Endpoint, c *policy.Cluster) (on, most string) {
	switch {
	case e.Stored && e.Method != "POST":
		return "connect-failure,refused-stream", connectRetries
	case c.Connections.HTTP2:
		return "refused-stream", refusedRetries
	}
	return "", ""
}

func (x *exchange) chainMetadata(plan *policy.Plan) wire.Metadata {
	x.names = x.names[:0]
	for i := range plan.Attempts {
		x.names = append(x.names, plan.Attempts[i].Cluster.Name)
	}
	x.chain = wire.AppendChain(x.chain[:0], x.names)
	return wire.Metadata{Namespace: metadata.ChainNamespace, Struct: x.chain}
}

func (x *exchange) gateMetadata(g *metadata.Gate) wire.Metadata {
	fields := append(x.gate[:0], wire.Field{Key: metadata.GateField, Value: wire.String(g.Encode())})
	if g.Watches() || g.Later {
		fields = append(fields, wire.Field{Key: metadata.WatchField, Value: wire.String(metadata.GateOn)})
	}
	return wire.Metadata{Namespace: metadata.GateNamespace, Fields: fields}
}

// patch adds the edits of the received body, and the content-length that Envoy requires
// in the same message.
func (x *exchange) patch(edits []body.Edit, length int) {
	if len(edits) > 0 {
		x.edits = x.edits[:0]
		for _, e := range edits {
			x.edits = append(x.edits, wire.Edit(e))
		}
		x.out.Body = &wire.BodyPatch{Source: &x.in, Edits: x.edits}
		x.set = append(x.set, wire.SetHeader{Key: "content-length", Value: strconv.Itoa(length)})
	}
	x.out.Set = x.set
}

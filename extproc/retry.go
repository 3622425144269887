package extproc

import (
	"strconv"

	"weir/extproc/wire"
	"weir/policy"
)

// retry answers a later attempt of a request: body, path and authority come
// from the plan that the request carries.
func (p *Processor) retry(stream *wire.Stream, x *exchange, attempt string) error {
	cluster := x.in.Attribute("xds.cluster_name")
	n, err := strconv.Atoi(attempt)
	if err != nil {
		return err
	}
	x.out = wire.Response{Kind: wire.RequestHeaders}
	if err := stream.Send(&x.out); err != nil {
		return err
	}
	if err := stream.Recv(&x.in); err != nil {
		return ended(err)
	}
	encoded, _ := x.in.Metadata(policy.PlanNamespace, policy.PlanField)
	name, _ := x.in.Metadata(policy.PlanNamespace, policy.FormatField)
	format := policy.Format(name)
	next, err := policy.DecodeRetry(encoded, n, cluster, len(x.in.Body), p.now())
	if err != nil {
		return p.abandon(stream, x, format, err)
	}
	if next.Expired {
		return p.abandon(stream, x, format, policy.Errorf(policy.Timeout, "no provider answered within the total timeout, after %d attempts", n-1))
	}
	p.metrics.retried()
	x.set = append(x.set[:0],
		wire.SetHeader{Key: ":path", Value: next.Path},
		wire.SetHeader{Key: ":authority", Value: next.Authority},
	)
	x.field[0] = wire.Field{Key: policy.ModelField, Value: wire.String(next.Model)}
	x.meta[0] = wire.Metadata{Namespace: policy.PlanNamespace, Fields: x.field[:1]}
	x.out = wire.Response{Kind: wire.RequestBody, Metadata: x.meta[:1]}
	x.patch(next.Edits, next.Length)
	return stream.Send(&x.out)
}

// abandon answers instead of a later attempt. Who asked for what is in the
// metadata since the first.
func (p *Processor) abandon(stream *wire.Stream, x *exchange, format policy.Format, err error) error {
	coded := p.count(err)
	return x.answer(stream, coded.Code.Status(), coded.Render(format), policy.DetailsPrefix+string(coded.Code))
}

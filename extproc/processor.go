package extproc

import (
	"errors"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/extproc/admit"
	"weir/extproc/wire"
	"weir/identity"
	"weir/internal/sample"
	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy"
)

// Plans records which policies and clusters requests still need, by the id of the
// request.
type Plans interface {
	// Enter and Leave mark the beginning and the end of a decision.
	Enter(*policy.Policy)
	Leave(*policy.Policy)
	// Plan records the clusters of a plan. It reports whether those of the policy still
	// exist. Done removes the record.
	Plan(id string, p *policy.Policy, attempts []policy.Attempt) bool
	Done(id string)
}

// Health is what is known of clusters, and who may probe one that is ejected.
type Health interface {
	policy.Health
	// Claim reports whether a request may start at an ejected cluster at now, to find
	// out whether the cluster works again. If so, the request must start there, and no
	// other request may until the result is known.
	Claim(cluster, key, model string, now time.Time) bool
}

// Current is what new requests are decided with.
type Current struct {
	Policy  *policy.Policy
	Keys    *identity.Index
	Numbers Numbers // of the policy's models and keys; nil: all are 0
}

// Numbers are live numbers as they change.
type Numbers interface {
	// Now returns the current numbers, which do not change.
	Now() policy.Numbers
}

// Processor serves envoy.service.ext_proc.v3.ExternalProcessor.
type Processor struct {
	current func() Current
	log     *slog.Logger
	metrics *Metrics
	limiter *admit.Limiter
	reached *Reached
	plans   Plans
	health  Health
	now     func() time.Time
	// past returns the credentials that requests to a cluster may carry besides those
	// of the current policy.
	past func(cluster string) []string
	pool sync.Pool // of *exchange
	// A client can cause one log line per request, so lines are sampled.
	failed, refused sample.Sampler
}

// New returns a Processor. current returns what a request is decided with; it is called
// once per request. limiter counts running requests, and reached counts those that it
// refuses. plans records the clusters that requests need, and health knows which are
// ejected. past returns the credentials that requests to a cluster may carry beside
// those of the current policy.
func New(current func() Current, log *slog.Logger, metrics *Metrics, limiter *admit.Limiter, reached *Reached, plans Plans, health Health, past func(cluster string) []string) *Processor {
	return &Processor{
		current: current, log: log, metrics: metrics, limiter: limiter, reached: reached, plans: plans, health: health, past: past, now: time.Now,
		pool: sync.Pool{New: func() any { return newExchange() }},
	}
}

// exchange is the memory of one stream. It is reused for the next.
type exchange struct {
	in wire.Request
	// headers are the client's. in has those of the current message only.
	headers []wire.Header
	plan    policy.Request
	all     iter.Seq2[string, string]
	random  *rand.Rand
	out     wire.Response
	body    body.Body
	edits   []wire.Edit
	set     []wire.SetHeader
	names   []string
	chain   []byte
	meta    [3]wire.Metadata
	field   [6]wire.Field
	gate    [2]wire.Field
	judged  judged
}

func newExchange() *exchange {
	x := &exchange{random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	x.all = x.each
	return x
}

// each yields the client's headers.
func (x *exchange) each(yield func(name, value string) bool) {
	for _, h := range x.headers {
		if !yield(h.Key, h.Value) {
			return
		}
	}
}

// Process serves one stream: the question of one filter about one request. The first
// message and its attributes tell which filter asks.
func (p *Processor) Process(stream *wire.Stream) error {
	x := p.pool.Get().(*exchange)
	defer func() {
		x.in.Free()
		x.plan.Reset()
		clear(x.headers)
		x.headers = x.headers[:0]
		p.pool.Put(x)
	}()
	if err := stream.Recv(&x.in); err != nil {
		return ended(err)
	}
	if x.in.Kind == wire.ResponseHeaders {
		if cluster := x.in.Attribute("xds.cluster_name"); cluster != "" {
			return p.failure(stream, x, cluster)
		}
		if x.in.Attribute(metadata.WatchAttribute) != "" {
			return p.watch(stream, x)
		}
		return p.gate(stream, x)
	}
	if x.in.Kind != wire.RequestHeaders {
		return errors.New("the first message is neither request_headers nor response_headers: the filter's processing mode is not Weir's")
	}
	if attempt := x.in.Attribute("upstream.request_attempt_count"); attempt != "" {
		return p.retry(stream, x, attempt)
	}
	return p.decide(stream, x)
}

// ended returns nil if Envoy ended the stream, and err otherwise.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// decide replies to a client's request with a plan, the list of models, or a refusal. A
// request without a body is planned when its headers have arrived: Envoy sends no more.
func (p *Processor) decide(stream *wire.Stream, x *exchange) error {
	began := p.now()
	defer func() { p.metrics.replied(p.now().Sub(began)) }()
	now := p.current()
	current, keys := now.Policy, now.Keys
	p.plans.Enter(current)
	defer p.plans.Leave(current)
	req, err := readHeaders(current, keys, &x.in)
	if err != nil {
		return p.refuse(stream, x, &req, nil, err)
	}
	switch {
	case req.Models:
		return p.models(stream, x, current, req)
	case req.Presence:
		return p.present(stream, x, &req)
	}
	if current.NeedsClientAddress {
		req.clientIP = clientIP(x.in.Attribute("source.address"))
	}
	req.multiplexed = strings.HasPrefix(x.in.Attribute("request.protocol"), "HTTP/2")
	asked := p.now()
	slot, gone, err := p.enter(stream, x, current, &req)
	if gone {
		return nil
	}
	if err != nil {
		began = began.Add(p.now().Sub(asked)) // nor does the wait for room
		return p.refuse(stream, x, &req, nil, err)
	}
	// The request counts until Envoy's log reports its end. If it is not passed on,
	// because the client left or it is refused, it counts until here.
	passedOn := false
	defer func() {
		if !passedOn {
			slot.Leave()
		}
	}()
	x.headers, x.in.Headers = x.in.Headers, x.headers[:0]
	if !x.in.EndOfStream {
		x.out = wire.Response{Kind: wire.RequestHeaders}
		if err := stream.Send(&x.out); err != nil {
			return err
		}
		err = stream.Recv(&x.in)
	}
	start := p.now()
	began = began.Add(start.Sub(asked)) // the wait for the body does not count
	if err != nil {
		return ended(err)
	}
	slot.Body(int64(len(x.in.Body)))
	plan, err := p.plan(now, &req, x, start)
	if err != nil {
		return p.refuse(stream, x, &req, &x.body, err)
	}
	if !p.plans.Plan(req.ID, current, plan.Attempts) {
		return p.refuse(stream, x, &req, &x.body, llm.Errorf(llm.GatewayUnavailable, "the configuration of the gateway has changed several times since the request began: try again"))
	}
	p.respond(x, current, plan, &req)
	p.metrics.planned(p.now().Sub(start))
	slot.Run()
	passedOn = true
	if err := stream.Send(&x.out); err != nil {
		slot.Leave()
		p.plans.Done(req.ID)
		return err
	}
	return nil
}

func (p *Processor) plan(from Current, req *request, x *exchange, now time.Time) (*policy.Plan, error) {
	current := from.Policy
	if err := current.ReadBody(&req.Admission, x.in.Body, &x.body); err != nil {
		return nil, err
	}
	r := &x.plan
	r.Admitted(&req.Admission)
	r.Multiplexed, r.Body, r.Now = req.multiplexed, &x.body, now
	r.ClientIP, r.Headers, r.Random = req.clientIP, x.all, x.random
	r.Health, r.Probe = p.health, true
	if from.Numbers != nil {
		// The current ones: numbers may have changed while the body arrived, and results
		// of strategies are kept for the current numbers only.
		r.Numbers = from.Numbers.Now()
	}
	plan, err := current.Plan(r)
	if err == nil && plan.Probe && !p.claim(r, plan) {
		r.Probe = false
		plan, err = current.Plan(r)
	}
	return plan, err
}

// claim reports whether the request may make the probe that its plan begins with.
// Another request may have claimed it in the meantime.
func (p *Processor) claim(r *policy.Request, plan *policy.Plan) bool {
	key := ""
	if r.Key != nil {
		key = r.Key.ID
	}
	first := &plan.Attempts[0]
	return p.health.Claim(first.Cluster.Name, key, first.Model, r.Now)
}

// count counts a refusal, logs its cause, and returns it with its code.
func (p *Processor) count(err error) *llm.Error {
	coded := llm.AsError(err)
	switch {
	case coded.Code == llm.Internal:
		if suppressed, ok := p.failed.Take(p.now()); ok {
			p.log.Error("request failed", "error", err, "suppressed", suppressed)
		}
	case coded.Cause != nil:
		if suppressed, ok := p.refused.Take(p.now()); ok {
			p.log.Warn("request refused", "code", string(coded.Code), "reason", coded.Cause, "suppressed", suppressed)
		}
	}
	p.metrics.refused(coded.Code)
	return coded
}

// models replies to GET /v1/models and GET /v1/models/{id}.
func (p *Processor) models(stream *wire.Stream, x *exchange, current *policy.Policy, req request) error {
	body, err := current.Models(req.Key, req.ModelID, req.Query, req.Format)
	if err != nil {
		return p.refuse(stream, x, &req, nil, err)
	}
	return x.reply(stream, 200, body, metadata.DetailsPrefix+"models", x.logged(&req, nil, nil))
}

// present replies to a request that asks only whether the gateway is there.
func (p *Processor) present(stream *wire.Stream, x *exchange, req *request) error {
	status, headers := 200, []wire.SetHeader(nil)
	if req.Allow != "" {
		status, headers = 204, []wire.SetHeader{{Key: "allow", Value: req.Allow}}
	}
	return x.replyWith(stream, status, headers, nil, metadata.DetailsPrefix+"presence", x.logged(req, nil, nil))
}

// refuse replies with an error, in the shape of the client's API. body is what was read
// of the request's body, or nil.
func (p *Processor) refuse(stream *wire.Stream, x *exchange, req *request, body *body.Body, err error) error {
	return x.replyError(stream, p.count(err), req.Format, x.logged(req, body, nil))
}

// logged returns what the access log will say of a request, as far as it was read:
// body and plan may be nil.
func (x *exchange) logged(req *request, body *body.Body, plan *policy.Plan) wire.Field {
	c := metadata.LogContext{ID: req.ID, Operation: req.Operation, Path: req.Target, ClientID: req.ClientID}
	if req.Key != nil {
		c.KeyID, c.Key = req.Key.ID, req.Key.Name
	}
	switch {
	case body == nil:
	case body.Model != "":
		c.Asked = body.Model
	case len(body.Models) > 0:
		c.Asked = body.Models[0]
	}
	c.Asked = x.plan.Presented.Scrub(c.Asked)
	if plan != nil {
		c.Stream, c.Prompt = plan.Stream, plan.Prompt
		c.Attempts = make([]metadata.LoggedAttempt, len(plan.Attempts))
		for i := range plan.Attempts {
			c.Attempts[i] = metadata.LoggedAttempt{Cluster: plan.Attempts[i].Cluster.Name, Model: plan.Attempts[i].Model}
		}
	}
	return wire.Field{Key: metadata.LogField, Value: wire.String(c.Encode())}
}

// reply makes Envoy respond to the client itself. The metadata keeps Envoy's local
// reply mapping from replacing the body.
func (x *exchange) reply(stream *wire.Stream, status int, body []byte, details string, fields ...wire.Field) error {
	return x.replyWith(stream, status, nil, body, details, fields...)
}

// replyWith is reply with additional headers.
func (x *exchange) replyWith(stream *wire.Stream, status int, headers []wire.SetHeader, body []byte, details string, fields ...wire.Field) error {
	fields = append(append(x.field[:0], wire.Field{Key: metadata.RefusedField, Value: wire.Number(1)}), fields...)
	x.meta[0] = wire.Metadata{Namespace: metadata.PlanNamespace, Fields: fields}
	if len(body) > 0 {
		headers = append(headers, wire.SetHeader{Key: "content-type", Value: llm.JSONType})
	}
	for _, h := range llm.StatusHeaders(status) {
		headers = append(headers, wire.SetHeader{Key: h.Name, Value: h.Value})
	}
	x.out = wire.Response{
		Kind: wire.RequestHeaders, // an immediate response has none
		Immediate: &wire.Immediate{
			Status:  status,
			Headers: headers,
			Body:    body,
			Details: details,
		},
		Metadata: x.meta[:1],
	}
	return stream.Send(&x.out)
}

// replyError is reply with an error.
func (x *exchange) replyError(stream *wire.Stream, e *llm.Error, format llm.Format, fields ...wire.Field) error {
	var headers []wire.SetHeader
	if e.RetryAfter > 0 {
		headers = append(headers, wire.SetHeader{Key: "retry-after", Value: strconv.Itoa(e.RetryAfter)})
	}
	if e.Allow != "" {
		headers = append(headers, wire.SetHeader{Key: "allow", Value: e.Allow})
	}
	return x.replyWith(stream, e.Status(), headers, e.Render(format), metadata.DetailsPrefix+string(e.Code), fields...)
}

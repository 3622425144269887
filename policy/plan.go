package policy

import (
	"math"
	"slices"
	"strings"
	"time"

	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy/config"
	"weir/policy/tokens"
)

// Attempt is one attempt of a plan: a provider, with one of its keys, and a model. It holds
// everything that differs between attempts. ExamplePolicy_Plan shows how edits make the
// body of each.
type Attempt struct {
	Cluster   *Cluster
	Model     string
	Path      string
	Authority string
	// Edits turn the client's body into the first attempt's, and the first
	// attempt's body into that of a later one: Envoy buffers the first.
	Edits []body.Edit
	// Length is the body's length after the edits.
	Length int
}

// Field is a value that a cluster's header refers to by name.
type Field struct{ Name, Value string }

// Plan is the ordered attempts of one request, with what holds for all of them. Envoy makes
// the first; if it fails in a way that Policy.Failover lists, the next one follows, until
// one succeeds or none is left. ExamplePolicy_Plan shows one.
type Plan struct {
	Attempts []Attempt
	Stream   bool
	// AttemptTimeout bounds each attempt. If OwnTimeouts is set, it is the longest of
	// their timeouts, and each attempt's cluster has its own.
	AttemptTimeout time.Duration
	OwnTimeouts    bool
	// Class selects Envoy's idle timeout: see Policy.EnvoyIdle.
	Class int
	// Prompt is about how many tokens the input has, for a response that does not say. It is 0
	// without telemetry, and for a form.
	Prompt int64
	// Deadline bounds when a later attempt may start.
	Deadline time.Time
	// Rejected are the entries of the client's list that cannot serve the request.
	Rejected []string
	// Fields are the values of clusters' headers that depend on the request.
	Fields []Field
	// Probe is set if the first attempt finds out whether an ejected cluster, or model, has
	// recovered. One request at a time does so: the caller claims the probe before the
	// attempt. See Request.Probe.
	Probe bool
	// Gate is how to treat the first attempt's response.
	Gate metadata.Gate
	// Withheld are the client's headers that the first attempt must not carry. See
	// Policy.Header.
	Withheld []string

	// wider has a bit for each attempt that is set if a later one may take a longer prompt.
	wider int

	mixed    []mixedHeader
	attempts [metadata.MaxAttempts]Attempt
	// Memory for the attempts' edits, and for those of one attempt against the
	// client's body.
	edits   [metadata.MaxAttempts]body.Edit
	scratch [4]body.Edit
	text    [metadata.MaxAttempts * 32]byte // what the edits insert
}

// isAuto reports whether a model name leaves the choice to the gateway.
func isAuto(name string) bool {
	return strings.EqualFold(name, "weir/auto") || strings.EqualFold(name, "ngrok/auto")
}

// Plan decides which providers and models serve the request, and in which order. It is a
// pure function of the policy and the request, which carries the time, randomness and the
// state of clusters: equal values give an equal plan, and many goroutines may plan at once.
//
// Planning fills memory that no result depends on: the request's own buffers, which Reset
// empties; the CEL form of a model or provider, which package expression makes when an
// expression first reads it; and the vocabulary, unless Prepare has loaded it.
func (p *Policy) Plan(req *Request) (*Plan, error) { return p.plan(req, nil) }

func (p *Policy) plan(req *Request, t *Trace) (*Plan, error) {
	req.candidates, req.found = req.candidates[:0], req.found[:0]
	if req.Endpoint.Stored {
		return p.planStored(req)
	}
	if p.inputLimit > 0 && !req.Endpoint.Multipart {
		if over, n := tokens.Exceeds(req.Body.Bytes, p.inputLimit); over {
			return nil, llm.Errorf(llm.InputTooLarge, "the input is estimated at %d tokens or more, the limit is %d", n, p.inputLimit)
		}
	}
	shaped, err := p.shape(req)
	if err != nil {
		return nil, err
	}
	var buffer [metadata.MaxAttempts]choice
	out := &Plan{Stream: p.streams(req, &shaped), Deadline: req.Now.Add(p.TotalTimeout)}
	if p.Telemetry && !req.Endpoint.Multipart {
		out.Prompt = int64(req.estimator.Estimate(req.Body.Bytes))
	}
	choices, err := p.choose(buffer[:0], out, req, t)
	if err != nil {
		return nil, err
	}
	if err := p.attempts(out, choices, req, &shaped, t); err != nil {
		return nil, err
	}
	return p.complete(out, req)
}

// complete adds what depends on the attempts as a whole, of any kind of request.
func (p *Policy) complete(out *Plan, req *Request) (*Plan, error) {
	if err := refuseSelectors(out, req); err != nil {
		return nil, err
	}
	if err := p.fields(out, req); err != nil {
		return nil, err
	}
	p.timeouts(out)
	out.Gate = p.gate(req, out)
	return out, nil
}

// choose returns the models to try, in order.
func (p *Policy) choose(dst []choice, out *Plan, req *Request, t *Trace) ([]choice, error) {
	byStrategy := len(p.strategies.models) > 0
	asked := entries(make([]string, 0, body.MaxModels+1), req.Body)
	if len(asked) == 0 {
		if byStrategy {
			return p.autoByStrategy(req, t)
		}
		dst = p.auto(dst, req.Endpoint, req.Key, t)
		if len(dst) == 0 {
			return nil, p.nothingFor(req)
		}
		return dst, nil
	}
	var first rejection
	var offers []askedFor
	some := false
	for _, entry := range asked {
		var why rejection
		if byStrategy {
			var found []choice
			found, why = p.resolve(req.room(), math.MaxInt, entry, req.Endpoint, req.Key, t)
			if found = req.hold(found); len(found) > 0 {
				offers = append(offers, askedFor{name: entry, candidates: req.viewsOf(found)})
			}
		} else {
			dst, why = p.resolve(dst, metadata.MaxAttempts, entry, req.Endpoint, req.Key, t)
		}
		if why.code == "" {
			some = true
			continue
		}
		if first.code == "" {
			first = why
		}
		if why.code == llm.ModelNotFound {
			t.unknown(entry)
		}
		out.Rejected = append(out.Rejected, entry)
	}
	if !some {
		return nil, first.err(p, req.Endpoint, req.Key)
	}
	if !byStrategy {
		return dst, nil
	}
	dst, left, err := p.filterByStrategy(dst, offers, req, t)
	out.Rejected = append(out.Rejected, left...)
	return dst, err
}

func (p *Policy) nothingFor(req *Request) error {
	return llm.Errorf(llm.NoModelsSelected, "no configured model can serve %s with this access key", req.Endpoint.Path)
}

// entries appends the names that the client asked for, in order and without repeats. There
// are none where it left the choice to the gateway.
func entries(dst []string, b *body.Body) []string {
	if b.Model != "" && !isAuto(b.Model) {
		dst = append(dst, b.Model)
	}
	for _, name := range b.Models {
		if !isAuto(name) && !slices.Contains(dst, name) {
			dst = append(dst, name)
		}
	}
	return dst
}

// streams reports whether the response will be a stream.
func (p *Policy) streams(req *Request, shaped *shaped) bool {
	if !req.Endpoint.Multipart {
		for _, kv := range shaped.set {
			if kv.Key == llm.StreamField {
				return string(kv.Value) == "true"
			}
		}
	}
	return req.Body.Stream
}

// maxPlanText bounds how much text of bodies the later attempts of a plan carry. A
// parameter that only the first attempt leaves out has to travel with the plan,
// once for each attempt that puts it back; attempts beyond the bound are left
// out, because a plan that is too large for gRPC would end the request.
const maxPlanText = 1 << 20

// attempts turns the choices into attempts: each model with each key of its
// provider, those that are ejected last.
func (p *Policy) attempts(out *Plan, choices []choice, req *Request, shaped *shaped, t *Trace) error {
	var buffer [metadata.MaxAttempts]try
	tries, err := p.tries(buffer[:0], choices, req, t)
	if err != nil {
		return err
	}
	if continues(req) {
		tries = p.whereStored(tries, choices, req, t)
	}
	out.Probe = req.order(tries, choices)
	tries = tries[:min(len(tries), p.Failover.most())]
	out.Attempts = out.attempts[:0]
	var original []body.Edit // of the first attempt, against the client's body
	unused, memory := out.edits[:0], out.text[:0]
	text := 0
	own := req.Presented.spans(req.Body)
	var a Attempt
	for i, s := range tries {
		c := &choices[s.choice]
		switch {
		case i > 0 && s.choice == tries[0].choice:
			a = out.Attempts[0]
			a.Edits = nil // the same model again, with another key
		case i == 0 || s.choice != tries[i-1].choice:
			if req.Presented.In(c.sent) {
				return llm.Errorf(llm.InvalidBody, "the model name contains the access key: send the key as a credential only")
			}
			change := p.change(c, req, shaped)
			change.Memory = &memory
			edits, _ := req.Body.Edit(out.scratch[:0], change)
			if edits, err = redact(edits, own); err != nil {
				return err
			}
			a = Attempt{Model: c.sent, Path: p.target(c, req, shaped), Authority: c.surface.authority, Length: body.EditedLen(len(req.Body.Bytes), edits)}
			if i == 0 {
				a.Edits = append(unused, edits...)
				original = a.Edits
			} else {
				a.Edits = body.Rebase(unused, req.Body.Bytes, original, edits)
			}
			unused = a.Edits[len(a.Edits):]
		}
		a.Cluster = s.cluster
		if i > 0 {
			text += textOf(a.Edits)
		}
		if text > maxPlanText {
			return nil
		}
		out.Attempts = append(out.Attempts, a)
	}
	out.wider = wider(tries, choices)
	return nil
}

// wider returns a bit for each attempt, which is set if one after it may take a longer prompt:
// that of another provider, or of a model whose window is larger or unknown.
func wider(tries []try, choices []choice) int {
	out := 0
	for i := range tries {
		c := &choices[tries[i].choice]
		for _, later := range tries[i+1:] {
			next := &choices[later.choice]
			if next.provider != c.provider || next != c && (next.window == 0 || next.window > c.window) {
				out |= 1 << i
				break
			}
		}
	}
	return out
}

// tries appends the attempts in the order of preference.
func (p *Policy) tries(dst []try, choices []choice, req *Request, t *Trace) ([]try, error) {
	var failed error
	for i := range choices {
		clusters, err := p.byKey(&choices[i], req, t)
		if err != nil {
			failed = err
			continue
		}
		for _, cluster := range clusters {
			if len(dst) == metadata.MaxAttempts {
				return dst, nil
			}
			dst = append(dst, try{i, cluster})
		}
	}
	if len(dst) == 0 {
		return nil, failed
	}
	return dst, nil
}

// target returns the path with its query.
func (p *Policy) target(c *choice, req *Request, shaped *shaped) string {
	if req.Query == "" && !shaped.query {
		return c.surface.targets[req.Endpoint.Index]
	}
	return withQuery(c.surface.paths[req.Endpoint.Index], config.MergeQuery(c.surface.base.RawQuery, shaped.params, c.provider.forward.clientQuery(req)))
}

func textOf(edits []body.Edit) int {
	n := 0
	for _, e := range edits {
		n += len(e.With)
	}
	return n
}

// Retries appends to dst what the attempts from the second on need, for the metadata
// of the request. It holds no credential.
func (p *Plan) Retries(dst []metadata.Attempt) []metadata.Attempt {
	for i := 1; i < len(p.Attempts); i++ {
		a := &p.Attempts[i]
		dst = append(dst, metadata.Attempt{
			Cluster: a.Cluster.Name, Model: a.Model, Path: a.Path, Authority: a.Authority, Edits: a.Edits, Headers: p.changes(i), Strict: a.Cluster.StrictEnd,
		})
		if p.Gate.Idle != 0 {
			dst[i-1].Idle = a.Cluster.Idle
		}
	}
	return dst
}

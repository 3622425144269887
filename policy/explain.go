package policy

import (
	"slices"
	"strings"
	"time"

	"weir/llm"
	"weir/llm/body"
	"weir/policy/config"
	"weir/policy/expression"
)

// Explanation describes what would happen to a request, and why. It shows no
// credential; the body is the client's own.
type Explanation struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Operation string `json:"operation"`
	Key       string `json:"key,omitempty"`
	// Stored is set if the request concerns what one provider stores, and names no model.
	Stored bool `json:"stored,omitempty"`
	// Asked are the names that the client wrote. It is empty if the gateway chooses.
	Asked []string `json:"asked"`
	// Candidates are the models that were considered, in order.
	Candidates []Candidate    `json:"candidates"`
	Strategies []StrategyStep `json:"strategies,omitempty"`
	Keys       []KeyStep      `json:"key_strategies,omitempty"`
	// Rejected are the entries of the client's list that cannot serve the request.
	Rejected []string `json:"rejected,omitempty"`
	// Note says that a strategy leaves the plan without failover to another provider.
	Note     string             `json:"note,omitempty"`
	Error    *ExplainedError    `json:"error,omitempty"`
	Attempts []ExplainedAttempt `json:"attempts,omitempty"`
	// Timeouts are as the configuration writes them.
	Stream         bool   `json:"stream"`
	AttemptTimeout string `json:"attempt_timeout,omitempty"`
	TotalTimeout   string `json:"total_timeout,omitempty"`
}

// Candidate is a model, and whether it was kept.
type Candidate struct {
	Entry    string `json:"entry,omitempty"` // as the client wrote it
	Provider string `json:"provider"`
	Model    string `json:"model"`
	Known    bool   `json:"known"` // false: passed through as the client wrote it
	Kept     bool   `json:"kept"`
	// By is the strategy or the rule that kept or dropped it.
	By string `json:"by"`
}

// ExplainedError is the error response that the client receives instead of a plan.
type ExplainedError struct {
	Status  int      `json:"status"`
	Code    llm.Code `json:"code"`
	Message string   `json:"message"`
	// Cause is for the operator and is not sent to the client.
	Cause string `json:"cause,omitempty"`
}

// ExplainedAttempt is a request as a provider would receive it.
type ExplainedAttempt struct {
	Provider string   `json:"provider"`
	Key      string   `json:"key,omitempty"` // the id of the provider's key
	Model    string   `json:"model"`
	URL      string   `json:"url"`
	Proxy    string   `json:"proxy,omitempty"` // host:port of the HTTP proxy on the way
	Headers  []string `json:"headers"`         // name: value
	Body     string   `json:"body"`
	// Timeout bounds the attempt, and StreamIdle the silence inside a stream.
	Timeout    string `json:"timeout"`
	StreamIdle string `json:"stream_idle_timeout,omitempty"`
	// Ejected is set if the provider, with this key, keeps failing, or limits this model:
	// the attempt follows all others. Only a running gateway knows that.
	Ejected *ExplainedEjection `json:"ejected,omitempty"`
}

// ExplainedEjection is why an attempt follows others. After Until, one request at a time
// starts there again.
type ExplainedEjection struct {
	// OfKey is set if only this access key is affected.
	OfKey bool      `json:"of_key,omitempty"`
	Model string    `json:"model,omitempty"` // the only one affected; empty: all
	Cause string    `json:"cause"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// rules are the reasons why admit leaves a model out.
var rules = map[llm.Code]string{
	llm.ProviderNotAllowed: "the provider is outside of only_allow_configured_providers or of the key's scope",
	llm.ModelNotAllowed:    "the model is outside of only_allow_configured_models or of the key's scope",
	llm.UnsupportedSurface: "the provider does not serve this path",
	llm.NoProviderKey:      "the provider has no key",
	llm.ModelNotFound:      "no provider has a model of this name",
}

// Explain plans a request as Plan does, and returns how the plan was made. headers are
// those that arrived: see Arriving.
func (p *Policy) Explain(req *Request, headers []ExplainedHeader) Explanation {
	out := Explanation{Method: req.Method, Path: req.Path, Operation: req.Endpoint.Operation, Stored: req.Endpoint.Stored, Asked: entries([]string{}, req.Body), Candidates: []Candidate{}}
	if req.Key != nil {
		out.Key = req.Key.Name
	}
	t := &Trace{}
	plan, err := p.plan(req, t)
	for i := range t.offers {
		o := &t.offers[i]
		c := o.candidate(p, t)
		if c.Kept && err == nil && !slices.ContainsFunc(plan.Attempts, o.isTried) {
			c.Kept, c.By = false, t.untried(o)
		}
		out.Candidates = append(out.Candidates, c)
	}
	out.Strategies, out.Keys = t.strategies, t.keySteps
	if err != nil {
		coded := llm.AsError(err)
		out.Error = &ExplainedError{Status: coded.Code.Status(), Code: coded.Code, Message: coded.Message}
		if coded.Cause != nil {
			out.Error.Cause = coded.Cause.Error()
		}
		return out
	}
	out.Note = t.note(p, plan)
	for _, h := range headers {
		p.Header(plan, &req.Presented, h.Name, h.Value)
	}
	out.Rejected, out.Stream = plan.Rejected, plan.Stream
	out.AttemptTimeout, out.TotalTimeout = plan.AttemptTimeout.String(), p.TotalTimeout.String()
	sent := req.Body.Bytes
	for i := range plan.Attempts {
		a := &plan.Attempts[i]
		body := body.Apply(nil, sent, a.Edits)
		if i == 0 {
			sent = body
		}
		explained := ExplainedAttempt{
			Provider: a.Cluster.Provider, Key: a.Cluster.Key, Model: a.Model,
			URL: config.RedactQuery(a.Cluster.Base.Scheme + "://" + a.Authority + a.Path), Headers: a.headers(p, req, plan, i, headers), Body: string(body),
		}
		if proxy := a.Cluster.Proxy; proxy != nil {
			explained.Proxy = proxy.Address()
		}
		explained.Timeout = p.timeoutOf(a).String()
		if plan.Stream {
			explained.StreamIdle = a.Cluster.Idle.String()
		}
		if e := req.ejection(a); e != nil {
			explained.Ejected = &ExplainedEjection{e.Key != "", e.Model, e.Cause, e.Since, e.Until}
		}
		out.Attempts = append(out.Attempts, explained)
	}
	return out
}

// Trace records how a plan is made. A nil Trace records nothing.
type Trace struct {
	offers     []offer
	strategies []StrategyStep
	keySteps   []KeyStep
	stored     bool // only one provider has what the request continues
}

// offer is a model that was looked at for an entry of the client's list.
type offer struct {
	entry, provider, model string
	sent                   string // what the provider calls it
	known                  bool
	code                   llm.Code // why it is no candidate
	by                     int      // index of the last strategy that ran for its entry, -1 for none
	kept                   bool     // by that one
}

func (o *offer) isTried(a Attempt) bool { return a.Cluster.Provider == o.provider && a.Model == o.sent }

// untried returns why a model that nothing left out is not in the plan.
func (t *Trace) untried(o *offer) string {
	if t.stored {
		return "the request continues what another provider, or another key, keeps"
	}
	asked := false
	for _, step := range t.keySteps {
		if step.Provider == o.provider && step.Model == o.model {
			if len(step.Chosen) > 0 {
				return fullPlan
			}
			asked = true
		}
	}
	if asked {
		return "the key strategies chose no key of its provider"
	}
	return fullPlan
}

const fullPlan = "the plan is full before it"

// StrategyStep is a strategy's result.
type StrategyStep struct {
	Strategy string   `json:"strategy"`
	Chosen   []string `json:"chosen"` // provider:model, in the strategy's order
	Error    string   `json:"error,omitempty"`
	Used     bool     `json:"used"` // this one decided
}

// KeyStep is a key strategy's result for a model that is to be tried.
type KeyStep struct {
	Provider string   `json:"provider"`
	Model    string   `json:"model"`
	Strategy string   `json:"strategy"`
	Chosen   []string `json:"chosen"`
	Error    string   `json:"error,omitempty"`
}

func (o *offer) candidate(p *Policy, t *Trace) Candidate {
	c := Candidate{Entry: o.entry, Provider: o.provider, Model: o.model, Known: o.known}
	switch {
	case o.code != "":
		c.By = string(o.code) + ": " + rules[o.code]
	case len(p.strategies.models) == 0:
		c.Kept, c.By = true, "no strategy is configured"
	case o.kept:
		c.Kept, c.By = true, t.strategies[o.by].Strategy
	case o.by >= 0 && slices.ContainsFunc(t.strategies, func(s StrategyStep) bool { return s.Used }):
		c.By = "left out by " + t.strategies[o.by].Strategy
	default:
		c.By = "no strategy chose it"
	}
	return c
}

func (t *Trace) offer(entry string, c *choice, code llm.Code) {
	if t == nil {
		return
	}
	t.offers = append(t.offers, offer{
		entry: entry, provider: c.provider.id, model: c.id, sent: c.sent, known: c.provider.byModel[strings.ToLower(c.id)] != nil, code: code, by: -1,
	})
}

// continues notes that the request continues what one provider keeps.
func (t *Trace) continues() {
	if t != nil {
		t.stored = true
	}
}

// unknown notes an entry that no provider offers.
func (t *Trace) unknown(entry string) {
	if t != nil {
		t.offers = append(t.offers, offer{entry: entry, model: entry, code: llm.ModelNotFound, by: -1})
	}
}

// strategy begins to note what a strategy chooses.
func (t *Trace) strategy(source string) {
	if t != nil {
		t.strategies = append(t.strategies, StrategyStep{Strategy: source, Chosen: []string{}})
	}
}

// ran notes what a strategy chose for one name of the client's.
func (t *Trace) ran(a *askedFor, chosen []*expression.Model, err error) {
	if t == nil {
		return
	}
	last := len(t.strategies) - 1
	step := &t.strategies[last]
	for _, m := range chosen {
		if name := m.ProviderID + ":" + m.ID; !slices.Contains(step.Chosen, name) {
			step.Chosen = append(step.Chosen, name)
		}
	}
	if err != nil && step.Error == "" {
		step.Error = err.Error()
	}
	step.Used = step.Used || len(a.kept) > 0
	for i := range t.offers {
		o := &t.offers[i]
		if err != nil || o.code != "" || o.entry != a.name {
			continue
		}
		o.by = last
		o.kept = len(a.kept) > 0 && slices.ContainsFunc(chosen, func(m *expression.Model) bool { return o.provider == m.ProviderID && o.model == m.ID })
	}
}

func (t *Trace) keys(c *choice, source string, chosen []*expression.Key, err error) {
	if t == nil {
		return
	}
	step := KeyStep{Provider: c.provider.id, Model: c.id, Strategy: source, Chosen: []string{}}
	for _, k := range chosen {
		step.Chosen = append(step.Chosen, k.ID)
	}
	if err != nil {
		step.Error = err.Error()
	}
	t.keySteps = append(t.keySteps, step)
}

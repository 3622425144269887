package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// MaxAttempts is the longest plan.
const MaxAttempts = 10

// Request is what Weir knows of a request when it plans it.
type Request struct {
	Endpoint *Endpoint
	Query    string
	Key      *AccessKey
	Body     *Body
	Now      time.Time
}

// Attempt is one try: where the request goes and what it says there.
type Attempt struct {
	Cluster   *Cluster
	Model     string
	Path      string
	Authority string
	// Edits turn the client's body into the first attempt's, and the first
	// attempt's body into that of a later one: Envoy buffers the first.
	Edits []Edit
	// Length is the body's length after the edits.
	Length int
}

// Plan is what will happen to a request.
type Plan struct {
	Attempts []Attempt
	Stream   bool
	// Deadline bounds when a later attempt may start.
	Deadline time.Time
	// Rejected are the entries of the client's list that cannot serve it.
	Rejected []string

	attempts [MaxAttempts]Attempt
	edits    [4]Edit
}

// auto model names ask for no model in particular.
func isAuto(name string) bool { return name == "weir/auto" || name == "ngrok/auto" }

// Plan decides who serves the request and in which order. It is a pure
// function of the policy and the request.
func (p *Policy) Plan(req *Request) (*Plan, error) {
	var buffer [MaxAttempts]choice
	choices := buffer[:0]
	out := &Plan{Stream: req.Body.Stream, Deadline: req.Now.Add(p.TotalTimeout)}

	var first rejection
	asked := 0
	ask := func(entry string) {
		if isAuto(entry) {
			return
		}
		asked++
		var why rejection
		if choices, why = p.resolve(choices, entry, req.Endpoint, req.Key); why.code != "" {
			if first.code == "" {
				first = why
			}
			out.Rejected = append(out.Rejected, entry)
		}
	}
	if req.Body.HasModel {
		ask(req.Body.Model)
	}
	for i, entry := range req.Body.Models {
		if !repeated(req.Body, i) {
			ask(entry)
		}
	}
	if asked == 0 {
		choices = p.auto(choices, req.Endpoint, req.Key)
		if len(choices) == 0 {
			return nil, Errorf(NoModelsSelected, "no model is configured that could serve %s with this key", req.Endpoint.Path)
		}
	}
	if len(choices) == 0 {
		return nil, first.err(p, req.Endpoint, req.Key)
	}
	p.attempt(out, choices, req)
	return out, nil
}

// repeated says whether entry i of models was asked for before.
func repeated(b *Body, i int) bool {
	if b.HasModel && b.Models[i] == b.Model {
		return true
	}
	for _, earlier := range b.Models[:i] {
		if earlier == b.Models[i] {
			return true
		}
	}
	return false
}

// attempt turns the choices into attempts: each model with each key of its
// provider.
func (p *Policy) attempt(out *Plan, choices []choice, req *Request) {
	out.Attempts = out.attempts[:0]
	var original []Edit // of the first attempt, against the client's body
	for i := range choices {
		c := &choices[i]
		var scratch []Edit
		if i == 0 {
			scratch = out.edits[:0]
		}
		edits, _ := req.Body.Edit(scratch, p.change(c, req))
		length := EditedLen(len(req.Body.Bytes), edits)
		if i == 0 {
			original = edits
		} else {
			edits = rebase(req.Body.Bytes, original, edits)
		}
		path := c.surface.paths[req.Endpoint.index]
		if query := MergeQuery(c.surface.base.RawQuery, p.query, req.Query); query != "" {
			path += "?" + query
		}
		for k, cluster := range c.surface.clusters {
			if len(out.Attempts) == MaxAttempts {
				return
			}
			a := Attempt{Cluster: cluster, Model: c.sent, Path: path, Authority: c.surface.authority, Edits: edits, Length: length}
			if i == 0 && k > 0 {
				a.Edits = nil // the same model again, with the next key
			}
			out.Attempts = append(out.Attempts, a)
		}
	}
}

// change is what a choice's body differs in from the client's.
func (p *Policy) change(c *choice, req *Request) Change {
	change := Change{Model: c.sent, Set: p.set}
	if supported := c.surface.supported; supported != nil || c.drop != nil {
		change.Drop = func(name []byte) bool {
			return supported != nil && !supported[string(name)] || c.drop[string(name)]
		}
	}
	if p.maxOutputTokens > 0 {
		change.Set = p.clampOutput(c, req)
	}
	return change
}

// Encoded plans: what a later attempt needs to know, as JSON, so that it can
// be read in a dump. It holds no credential.
type encodedPlan struct {
	Deadline int64            `json:"deadline"` // Unix milliseconds
	Length   int              `json:"length"`   // of the first attempt's body
	Attempts []encodedAttempt `json:"attempts"` // from the second on
}

type encodedAttempt struct {
	Cluster   string        `json:"cluster"`
	Model     string        `json:"model"`
	Path      string        `json:"path"`
	Authority string        `json:"authority"`
	Edits     []encodedEdit `json:"edits,omitempty"`
}

type encodedEdit struct {
	At   int    `json:"at"`
	Len  int    `json:"len"`
	With string `json:"with"`
}

// Encode gives the later attempts of a plan for the request's metadata, or
// nothing where there is only one attempt.
func (p *Plan) Encode() string {
	if len(p.Attempts) < 2 {
		return ""
	}
	e := encodedPlan{Deadline: p.Deadline.UnixMilli(), Length: p.Attempts[0].Length}
	for _, a := range p.Attempts[1:] {
		edits := make([]encodedEdit, 0, len(a.Edits))
		for _, ed := range a.Edits {
			edits = append(edits, encodedEdit{ed.At, ed.Len, string(ed.With)})
		}
		e.Attempts = append(e.Attempts, encodedAttempt{a.Cluster.Name, a.Model, a.Path, a.Authority, edits})
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil { // strings and numbers always encode
		panic(err)
	}
	return b.String()
}

// Retry is a later attempt as an encoded plan tells it.
type Retry struct {
	Model     string
	Path      string
	Authority string
	Edits     []Edit
	Length    int // of the body after the edits
	// Expired says that the time for all attempts is over.
	Expired bool
}

// DecodeRetry reads attempt n (counted from 1, as Envoy counts) of an encoded
// plan. It refuses when the plan does not fit what Envoy is about to do:
// another cluster than planned, or a body of another length.
func DecodeRetry(encoded string, n int, cluster string, length int, now time.Time) (Retry, error) {
	var e encodedPlan
	if err := json.Unmarshal([]byte(encoded), &e); err != nil {
		return Retry{}, fmt.Errorf("plan: %w", err)
	}
	if n < 2 || n-2 >= len(e.Attempts) {
		return Retry{}, fmt.Errorf("plan has no attempt %d", n)
	}
	a := e.Attempts[n-2]
	if a.Cluster != cluster {
		return Retry{}, fmt.Errorf("attempt %d is planned for cluster %q, Envoy chose %q", n, a.Cluster, cluster)
	}
	if e.Length != length {
		return Retry{}, fmt.Errorf("attempt %d has a body of %d bytes, the plan was made for %d", n, length, e.Length)
	}
	r := Retry{Model: a.Model, Path: a.Path, Authority: a.Authority, Expired: now.UnixMilli() > e.Deadline}
	at := 0
	for _, ed := range a.Edits {
		if ed.At < at || ed.Len < 0 || ed.At+ed.Len > length {
			return Retry{}, fmt.Errorf("attempt %d has an edit outside of its body", n)
		}
		at = ed.At + ed.Len
		r.Edits = append(r.Edits, Edit{At: ed.At, Len: ed.Len, With: []byte(ed.With)})
	}
	r.Length = EditedLen(length, r.Edits)
	return r, nil
}

// HeaderList writes names that clients sent as the value of one header: a
// list, with everything escaped that could end a name or the header.
func HeaderList(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		for j := 0; j < len(name); j++ {
			if c := name[j]; c <= ' ' || c >= 0x7f || c == ',' || c == '%' || c == '"' {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

package policy

import (
	"encoding/json"
	"fmt"
	"strconv"
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
	// AttemptTimeout bounds each attempt.
	AttemptTimeout time.Duration
	// Deadline bounds when a later attempt may start.
	Deadline time.Time
	// Rejected are the entries of the client's list that cannot serve it.
	Rejected []string

	attempts [MaxAttempts]Attempt
	// Memory of the attempts' edits, as far as it goes, and of those of one
	// attempt against the client's body.
	edits   [MaxAttempts]Edit
	scratch [4]Edit
}

// auto model names ask for no model in particular.
func isAuto(name string) bool {
	return strings.EqualFold(name, "weir/auto") || strings.EqualFold(name, "ngrok/auto")
}

// Plan decides who serves the request and in which order. It is a pure
// function of the policy and the request.
func (p *Policy) Plan(req *Request) (*Plan, error) {
	var buffer [MaxAttempts]choice
	choices := buffer[:0]
	out := &Plan{Stream: p.streams(req), AttemptTimeout: p.PerRequestTimeout, Deadline: req.Now.Add(p.TotalTimeout)}

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

// streams says whether the answer will be a stream.
func (p *Policy) streams(req *Request) bool {
	if p.stream != nil && !req.Endpoint.Multipart {
		return *p.stream
	}
	return req.Body.Stream
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

// maxPlanText bounds what the later attempts of a plan may hold of bodies. A
// parameter that only the first attempt leaves out has to travel with the plan,
// once for each attempt that puts it back; attempts beyond the bound are left
// out, because a plan that is too large for gRPC would end the request.
const maxPlanText = 1 << 20

// attempt turns the choices into attempts: each model with each key of its
// provider.
func (p *Policy) attempt(out *Plan, choices []choice, req *Request) {
	out.Attempts = out.attempts[:0]
	var original []Edit // of the first attempt, against the client's body
	unused := out.edits[:0]
	text := 0
	for i := range choices {
		c := &choices[i]
		edits, _ := req.Body.Edit(out.scratch[:0], p.change(c, req))
		a := Attempt{Model: c.sent, Path: p.target(c, req), Authority: c.surface.authority, Length: EditedLen(len(req.Body.Bytes), edits)}
		if i == 0 {
			edits = append(unused, edits...)
			original = edits
		} else {
			edits = rebase(unused, req.Body.Bytes, original, edits)
		}
		unused = edits[len(edits):]
		for k, cluster := range c.surface.clusters {
			if a.Cluster, a.Edits = cluster, edits; i == 0 && k > 0 {
				a.Edits = nil // the same model again, with the next key
			}
			if len(out.Attempts) > 0 {
				text += textOf(a.Edits)
			}
			if len(out.Attempts) == MaxAttempts || text > maxPlanText {
				return
			}
			out.Attempts = append(out.Attempts, a)
		}
	}
}

// target is the path with its query.
func (p *Policy) target(c *choice, req *Request) string {
	if req.Query == "" {
		return c.surface.targets[req.Endpoint.index]
	}
	return withQuery(c.surface.paths[req.Endpoint.index], MergeQuery(c.surface.base.RawQuery, p.query, req.Query))
}

func textOf(edits []Edit) int {
	n := 0
	for _, e := range edits {
		n += len(e.With)
	}
	return n
}

// Encode gives the later attempts of a plan for the request's metadata, or
// nothing where there is only one attempt. It is JSON, so that it can be read
// in a dump: encodedPlan. It holds no credential.
func (p *Plan) Encode() string {
	if len(p.Attempts) < 2 {
		return ""
	}
	size := 64
	for i := range p.Attempts[1:] {
		a := &p.Attempts[i+1]
		size += len(a.Cluster.Name) + len(a.Model) + len(a.Path) + len(a.Authority) + textOf(a.Edits) + 64 + 64*len(a.Edits)
	}
	b := make([]byte, 0, size)
	b = strconv.AppendInt(append(b, `{"deadline":`...), p.Deadline.UnixMilli(), 10)
	b = strconv.AppendInt(append(b, `,"length":`...), int64(p.Attempts[0].Length), 10)
	b = append(b, `,"attempts":[`...)
	for i := range p.Attempts[1:] {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.Attempts[i+1].encode(b)
	}
	return string(append(b, "]}"...))
}

func (a *Attempt) encode(b []byte) []byte {
	b = appendJSONString(append(b, `{"cluster":`...), a.Cluster.Name)
	b = appendJSONString(append(b, `,"model":`...), a.Model)
	b = appendJSONString(append(b, `,"path":`...), a.Path)
	b = appendJSONString(append(b, `,"authority":`...), a.Authority)
	for i, e := range a.Edits {
		if i == 0 {
			b = append(b, `,"edits":[`...)
		} else {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"at":`...), int64(e.At), 10)
		b = strconv.AppendInt(append(b, `,"len":`...), int64(e.Len), 10)
		b = append(appendJSONString(append(b, `,"with":`...), string(e.With)), '}')
		if i == len(a.Edits)-1 {
			b = append(b, ']')
		}
	}
	return append(b, '}')
}

// encodedPlan is what Encode writes.
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
	Edits     []encodedEdit `json:"edits"`
}

type encodedEdit struct {
	At   int    `json:"at"`
	Len  int    `json:"len"`
	With string `json:"with"`
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
		if ed.At < at || ed.At > length || ed.Len < 0 || ed.Len > length-ed.At {
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

package faults

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
)

// fault is what the providers of a plan do, and what must come of it. It is a
// row for each API that it is asked in.
type fault struct {
	what       string
	in         []*mode
	behaviours []behaviour
	want       want
	// spare is how many of the providers, from the end, no plan names.
	spare int
	// http2 is a client that speaks HTTP/2.
	http2 bool
	// but says what is not right about what is wanted.
	but string
}

// want is what must come of a fault.
type want struct {
	// from is the letter of the provider whose bytes are the client's, exactly.
	// Without one the gateway answers by itself.
	from   string
	own    *refusal
	status int    // 200 if there is none
	cut    bool   // the client sees that the response broke off
	part   bool   // how much of it the client has by then depends on the clock
	tail   string // what the gateway puts after the provider's bytes
	left   bool   // the client leaves
	// header has values that the answer must have; "" is for none.
	header map[string]string
	// log is what the access log has about each attempt.
	log string
	// least and most bound the time from the request to the end of the response.
	least, most time.Duration
}

// soon is when a response must be complete for which nobody had to wait.
const soon = 5 * time.Second

// early is how much before its time a timer may end: Envoy's count in
// milliseconds from when it last looked at the clock.
const early = 50 * time.Millisecond

func (w want) within(least, most time.Duration) want {
	w.least, w.most = least, most
	return w
}

// second: the next attempt answers.
func second(cause string) want { return want{from: "B", log: "A " + cause + ", B 200"} }

// asItCame: the first provider's bytes reach the client, and no other provider
// is asked.
func asItCame() want { return want{from: "A", log: "A 200"} }

// cutShort: what came of the first provider's bytes reaches the client, who
// sees that it is not all.
func cutShort(cause string) want { return want{from: "A", cut: true, log: "A 200 " + cause} }

// some: the client gets as much of it as came in time.
func (w want) some() want {
	w.part = true
	return w
}

// own is a response of the gateway.
func own(r refusal, log string) want { return want{own: &r, status: r.status, log: log} }

// refusal is an error of the gateway's own.
type refusal struct {
	status              int
	code, kind, message string
}

var (
	noneReached = refusal{502, "provider_unreachable", "api_error", "no provider of this model could be reached"}
	redirected  = refusal{502, "provider_unreachable", "api_error", "the provider redirects this request to another address: correct its base_url"}
	noAnswer    = refusal{502, "provider_unreachable", "api_error", "the provider sent a status that is not a valid final HTTP status"}
	noneInTime  = refusal{504, "timeout", "timeout_error", "no provider responded in time"}
	noneBegan   = refusal{504, "timeout", "timeout_error", "no provider responded in the time available"}
)

// body is the error in the shape of an API.
func (r *refusal) body(m *mode) string {
	if m.anthropic {
		return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q}}`, r.kind, r.message)
	}
	return fmt.Sprintf(`{"error":{"message":%q,"type":%q,"code":%q,"param":null}}`, r.message, r.kind, r.code)
}

// row is a fault in one API.
type row struct {
	fault
	mode      *mode
	group     *group
	on        *setup
	id        string
	client    *client
	providers []*provider
	seen      seen
}

// seen is what was observed of a row.
type seen struct {
	received
	requests, log string
	size          string   // of the body
	wrong         []string // where it is not what was wanted
}

// request is the body that asks for the row's plan.
func (r *row) request() string {
	var models []string
	for _, p := range r.providers[:len(r.providers)-r.spare] {
		models = append(models, `"`+p.id+`:m"`)
	}
	return fmt.Sprintf(`{"models":[%s],"stream":%t,%s}`, strings.Join(models, ","), r.mode.stream, r.mode.asks)
}

func (r *row) run(t *testing.T, g *gatewaytest.Gateway) {
	defer r.client.cancel()
	s := &r.seen
	s.received = r.client.post(g.URL+r.mode.path, r.request(), r.http2)
	defer r.client.close()
	s.log = r.logged(t, g)
	var requests []string
	for _, p := range r.providers {
		requests = append(requests, fmt.Sprint(p.letter, " ", p.received()))
	}
	s.requests = strings.Join(requests, ", ")
	switch {
	case r.want.part:
		s.size = "some"
	case r.want.left:
		s.size = strconv.Itoa(r.client.hadAtLeave())
	default:
		s.size = strconv.Itoa(len(s.body))
	}
	s.wrong = r.check(s)
	for _, w := range s.wrong {
		t.Error(w)
	}
	if t.Failed() {
		t.Logf("response %d %v\n%s\n%d bytes, %v, after %v; %s; %s", s.status, s.header, clip(s.body), len(s.body), s.err, s.took, s.requests, s.log)
	}
}

// check returns what differs from what is wanted.
func (r *row) check(s *seen) []string {
	var wrong []string
	is := func(what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: %v, want %v", what, got, want))
		}
	}
	w := r.want
	if ok, err := path.Match(w.log, s.log); !ok || err != nil {
		wrong = append(wrong, fmt.Sprintf("access log: %s, want %s", s.log, w.log))
	}
	is("requests", s.requests, r.wantRequests())
	if w.left {
		return append(wrong, r.checkLeft()...)
	}
	is("status", s.status, w.wantStatus())
	is("broken off", s.err != nil, w.cut)
	if body := r.wantBody(); string(s.body) != body && !(w.part && strings.HasPrefix(body, string(s.body))) {
		wrong = append(wrong, fmt.Sprintf("body: %d bytes %q\nwant %d bytes %q", len(s.body), clip(s.body), len(body), clip([]byte(body))))
	}
	is("x-weir-attempts", s.header.Get("X-Weir-Attempts"), strconv.Itoa(len(entries(w.log))))
	if w.from != "" {
		is("x-weir-provider", s.header.Get("X-Weir-Provider"), r.id+strings.ToLower(w.from))
	}
	for name := range s.header {
		if strings.HasPrefix(name, "X-Envoy-") || name == "X-Weir-Cause" {
			wrong = append(wrong, name+" reached the client")
		}
	}
	is("trailers", len(s.trailer), 0)
	for name, value := range w.header {
		is(name, s.header.Get(name), value)
	}
	if s.took < w.least-early || s.took > w.latest() {
		wrong = append(wrong, fmt.Sprintf("took %v, want %s", s.took, w.time()))
	}
	return wrong
}

// checkLeft: whoever was being asked when the client left knows it soon.
func (r *row) checkLeft() []string {
	select {
	case took := <-r.client.left:
		if took > soon {
			return []string{fmt.Sprint("the provider's connection ended ", took, " after the client's")}
		}
		return nil
	case <-time.After(longest):
		return []string{"the provider's connection does not end"}
	}
}

func (w want) wantStatus() int {
	if w.status == 0 {
		return 200
	}
	return w.status
}

func (w want) latest() time.Duration {
	if w.most == 0 {
		return soon
	}
	return w.most
}

func (r *row) wantBody() string {
	if r.want.own != nil {
		return r.want.own.body(r.mode)
	}
	i := slices.IndexFunc(r.providers, func(p *provider) bool { return p.letter == r.want.from })
	return string(r.providers[i].said()) + r.want.tail
}

// wantRequests is a request for each attempt that reached its provider.
func (r *row) wantRequests() string {
	var out []string
	for _, p := range r.providers {
		n := 0
		for _, e := range entries(r.want.log) {
			if strings.HasPrefix(e, p.letter+" ") && !strings.HasSuffix(e, " connect_failure") {
				n++
			}
		}
		out = append(out, fmt.Sprint(p.letter, " ", n))
	}
	return strings.Join(out, ", ")
}

func entries(log string) []string { return strings.Split(log, ", ") }

func clip(b []byte) []byte {
	if len(b) > 600 {
		return append(slices.Clone(b[:600]), "…"...)
	}
	return b
}

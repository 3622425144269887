package policy

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/identity"
	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
)

var testNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// planned plans a request that can be served.
func planned(t testing.TB, p *Policy, e *llm.Endpoint, query string, key *identity.Key, bodyText string) *Plan {
	t.Helper()
	plan, err := p.Plan(&Request{Endpoint: e, Query: query, Key: key, Body: readBody(t, bodyText), Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestPlan: a configuration, requests, and the attempts that follow, each as
//
//	provider origin path authority model body | headers with a secret
//
// or the error as status, code and message. A request is
//
//	> [key=NAME] [ip=ADDRESS] [h:NAME=VALUE] [PATH] BODY
func TestPlan(t *testing.T) { goldenPlans(t, "testdata/plan/*.txtar") }

func goldenPlans(t *testing.T, pattern string) {
	var p *Policy
	var keys *AccessKeys
	golden(t, pattern, func(t *testing.T, w world, name, input string) string {
		if strings.HasSuffix(name, ".yaml") {
			p, keys = w.loadAll(t, input)
			return input
		}
		var blocks []string
		for line := range strings.Lines(input) {
			if request, ok := strings.CutPrefix(line, "> "); ok {
				blocks = append(blocks, line+answer(t, p, keys, strings.TrimSpace(request)))
			}
		}
		return strings.Join(blocks, "\n")
	})
}

// answer plans a request as TestPlan writes it.
func answer(t *testing.T, p *Policy, keys *AccessKeys, request string) string {
	t.Helper()
	path, bodyText, found := strings.Cut(request, "{")
	if !found {
		t.Fatalf("request %q has no body", request)
	}
	req := &Request{Body: readBody(t, "{"+bodyText), Now: testNow}
	target := "/v1/chat/completions"
	headers := map[string]string{}
	req.ID, req.Headers, req.Random = "request-1", maps.All(headers), rand.New(rand.NewPCG(1, 2))
	for _, word := range strings.Fields(path) {
		if header, ok := strings.CutPrefix(word, "h:"); ok {
			name, value, _ := strings.Cut(header, "=")
			headers[name] = value
			continue
		}
		if ip, ok := strings.CutPrefix(word, "ip="); ok {
			req.ClientIP = ip
			continue
		}
		name, ok := strings.CutPrefix(word, "key=")
		if !ok {
			target = word
			continue
		}
		if req.Key = keys.Named(name); req.Key == nil {
			t.Fatalf("there is no key %q", name)
		}
	}
	route, err := llm.FindRoute("POST", target)
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Body.DefaultModel(route.Deployment); err != nil {
		t.Fatal(err)
	}
	req.Endpoint, req.Query, req.Method, req.Path = route.Endpoint, route.Query, "POST", route.Endpoint.Path
	plan, err := p.Plan(req)
	if err != nil {
		var coded *llm.Error
		if !errors.As(err, &coded) {
			t.Fatal(err)
		}
		cause := ""
		if coded.Cause != nil {
			cause = " (" + strings.ReplaceAll(coded.Cause.Error(), "\n", "; ") + ")"
		}
		return fmt.Sprintln(coded.Code.Status(), coded.Code, coded.Message+cause)
	}
	checkRetries(t, plan)
	checkRebased(t, p, plan, req)
	return describe(p, plan, req.Body)
}

func describe(p *Policy, plan *Plan, parsed *body.Body) string {
	var out strings.Builder
	sent := parsed.Bytes
	for i, a := range plan.Attempts {
		text := body.Apply(nil, sent, a.Edits)
		if i == 0 {
			sent = text
		}
		fmt.Fprint(&out, a.Cluster.Provider, " ", a.Cluster.Base.Origin(), " ", a.Path, " ", a.Authority, " ", a.Model, " ", string(text))
		for _, h := range a.Cluster.Set {
			if h.Secret != "" {
				fmt.Fprint(&out, " | ", h.Name, ": ", h.Prefix, p.Secrets[h.Secret].Reveal())
			}
			for _, f := range plan.Fields {
				if f.Name == h.Field {
					fmt.Fprint(&out, " | ", h.Name, ": ", f.Value)
				}
			}
		}
		fmt.Fprintln(&out)
	}
	if plan.Stream != parsed.Stream {
		fmt.Fprintln(&out, "stream:", plan.Stream)
	}
	if len(plan.Rejected) > 0 {
		fmt.Fprintln(&out, "rejected:", metadata.HeaderList(plan.Rejected))
	}
	return out.String()
}

// checkRebased holds that every attempt sends what it would send if it were
// the first: nothing of another's.
func checkRebased(t testing.TB, p *Policy, plan *Plan, req *Request) {
	t.Helper()
	first := body.Apply(nil, req.Body.Bytes, plan.Attempts[0].Edits)
	for i, a := range plan.Attempts {
		bodyBytes := first
		if i == 0 {
			bodyBytes = req.Body.Bytes
		}
		got := body.Apply(nil, bodyBytes, a.Edits)
		if len(got) != a.Length {
			t.Errorf("attempt %d has %d bytes, said are %d", i+1, len(got), a.Length)
		}
		c, ok := choiceOf(p, a, req)
		if !ok {
			t.Fatalf("attempt %d has the cluster of no provider", i+1)
		}
		edits, _ := req.Body.Edit(nil, p.change(&c, req, shapedFor(t, p, req)))
		if want := body.Apply(nil, req.Body.Bytes, edits); !bytes.Equal(got, want) {
			t.Errorf("attempt %d sends\n     %s\nwant %s", i+1, got, want)
		}
	}
}

func shapedFor(t testing.TB, p *Policy, req *Request) *shaped {
	t.Helper()
	s, err := p.shape(req)
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

// choiceOf finds the choice that an attempt was made from.
func choiceOf(p *Policy, a Attempt, req *Request) (choice, bool) {
	for _, owner := range p.providers {
		s := owner.serves(req.Endpoint)
		if s == nil || !slices.Contains(s.clusters, a.Cluster) {
			continue
		}
		for _, m := range owner.models {
			if m.sent == a.Model {
				c := m.choice()
				c.surface = s
				return c, true
			}
		}
		return choice{provider: owner, surface: s, id: a.Model, sent: a.Model}, true
	}
	return choice{}, false
}

// A form has a model and nothing else that policy changes.
func TestPlanForm(t *testing.T) {
	p := newWorld().load(t, `
on_http_request:
  - type: ai-gateway
    config:
      max_output_tokens: 100
      body: {store: false, stream: true}
      providers:
        - {id: a, base_url: http://a.internal, models: [{id: m, provider_model_id: a long/name}]}
        - {id: b, base_url: http://b.internal, models: [{id: m}]}
`)
	const (
		model = "Content-Disposition: form-data; name=\"model\"\r\n\r\n"
		file  = "Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\x00\xff\n--\r\n--c"
	)
	for _, parts := range [][]string{{file, model + "m"}, {model + "b:m", file}, {file}} {
		form := "--b\r\n" + strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\n"
		var parsed body.Body
		if err := body.ReadMultipart([]byte(form), "b", &parsed); err != nil {
			t.Fatal(err)
		}
		req := &Request{Endpoint: llm.EndpointAt("/v1/audio/transcriptions"), Body: &parsed, Now: testNow}
		plan, err := p.Plan(req)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Stream {
			t.Error("a key of JSON bodies makes a form's answer a stream")
		}
		checkRetries(t, plan)
		checkRebased(t, p, plan, req)
	}
}

// Whatever two attempts make of a body, the later one's edits of what the
// first sent give what it would have sent by itself.
func TestRebase(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	keys := []string{"a", "b", "c", "d", "model", "models", "ü", "e\\u0066"}
	values := []string{`1`, `"x"`, `""`, `[1, {"a":2}]`, `{ }`, `null`, `"ü\"\\"`, `1e400`}
	spaces := []string{"", " ", "\n\t"}
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	text := func() string {
		var b strings.Builder
		b.WriteString(pick(spaces) + "{" + pick(spaces))
		used := map[string]bool{}
		for range r.IntN(7) {
			key, value := pick(keys), pick(values)
			switch {
			case strings.HasPrefix(key, "model") && used[key]:
				continue
			case key == "model":
				value = `"` + pick([]string{"m", "one", "a longer name"}) + `"`
			case key == "models":
				value = `["m"]`
			}
			if len(used) > 0 {
				b.WriteString("," + pick(spaces))
			}
			used[key] = true
			fmt.Fprintf(&b, `"%s"%s:%s%s%s`, key, pick(spaces), pick(spaces), value, pick(spaces))
		}
		return b.String() + "}" + pick(spaces)
	}
	change := func() body.Change {
		c := body.Change{Model: pick([]string{"m", "one", "another"})}
		dropped := map[string]bool{}
		for _, key := range []string{"a", "b", "c", "ef", "ü", "new", "newer"} {
			switch r.IntN(4) {
			case 0:
				c.Set = append(c.Set, body.KeyValue{Key: key, Value: []byte(pick(values))})
			case 1:
				dropped[key] = true
			}
		}
		c.Drop = func(name []byte) bool { return dropped[string(name)] }
		return c
	}
	for range 20_000 {
		body := readBody(t, text())
		first, _ := body.Edit(nil, change())
		later, _ := body.Edit(nil, change())
		checkRebase(t, body.Bytes, first, later)
	}
}

func checkRebase(t testing.TB, bodyBytes []byte, first, later []body.Edit) {
	t.Helper()
	sent, want := body.Apply(nil, bodyBytes, first), body.Apply(nil, bodyBytes, later)
	edits := body.Rebase(nil, bodyBytes, first, later)
	end := 0
	for _, e := range edits {
		if e.At < end || e.Len < 0 || e.At+e.Len > len(sent) {
			t.Fatalf("edits are not sorted, overlap or leave the body: %v", edits)
		}
		end = e.At + e.Len
	}
	if got := body.Apply(nil, sent, edits); !bytes.Equal(got, want) {
		t.Fatalf("client %s\nfirst  %s\ngot    %s\nwant   %s\nedits  %v", bodyBytes, sent, got, want, edits)
	}
	if bytes.Equal(sent, want) && len(edits) > 0 {
		t.Fatalf("%d edits where nothing differs: %s", len(edits), sent)
	}
}

// A plan carries what later attempts put back, up to a bound.
func TestPlanIsBounded(t *testing.T) {
	p := newWorld().load(t, `
providers:
  - {id: a, base_url: http://a.internal, models: [{id: m, unsupported_params: [{name: tools}]}]}
  - {id: b, base_url: http://b.internal, api_keys: [{value: k1}, {value: k2}, {value: k3}]}
`)
	f := func(bytes, want int) {
		t.Helper()
		plan := planned(t, p, llm.EndpointAt(llm.ChatCompletionsPath), "", nil, `{"models":["a:m","b:m"],"tools":"`+strings.Repeat("x", bytes)+`"}`)
		if len(plan.Attempts) != want {
			t.Errorf("%d bytes to put back: %d attempts, want %d", bytes, len(plan.Attempts), want)
		}
		checkRetries(t, plan)
	}
	f(1000, 4)
	f(maxPlanText/3-100, 4)
	f(maxPlanText/3+100, 3)
	f(maxPlanText/2+100, 2)
	f(maxPlanText, 1)
	// What all attempts send need not travel, however large it is.
	plan := planned(t, p, llm.EndpointAt(llm.ChatCompletionsPath), "", nil, `{"models":["b:m","a:m"],"tools":"`+strings.Repeat("x", 4<<20)+`"}`)
	if encoded := encode(plan); len(plan.Attempts) != 4 || len(encoded) > 2000 {
		t.Errorf("%d attempts in %d bytes", len(plan.Attempts), len(encoded))
	}
}

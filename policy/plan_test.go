package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// planned plans a request that can be served.
func planned(t testing.TB, p *Policy, e *Endpoint, query string, key *AccessKey, body string) *Plan {
	t.Helper()
	plan, err := p.Plan(&Request{Endpoint: e, Query: query, Key: key, Body: readBody(t, body), Now: testNow})
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
//	> [key=NAME] [PATH] BODY
func TestPlan(t *testing.T) {
	var p *Policy
	golden(t, "testdata/plan/*.txtar", func(t *testing.T, w world, name, input string) string {
		if strings.HasSuffix(name, ".yaml") {
			p = w.load(t, input)
			return input
		}
		var blocks []string
		for line := range strings.Lines(input) {
			if request, ok := strings.CutPrefix(line, "> "); ok {
				blocks = append(blocks, line+answer(t, p, strings.TrimSpace(request)))
			}
		}
		return strings.Join(blocks, "\n")
	})
}

// answer plans a request as TestPlan writes it.
func answer(t *testing.T, p *Policy, request string) string {
	t.Helper()
	path, body, found := strings.Cut(request, "{")
	if !found {
		t.Fatalf("request %q has no body", request)
	}
	req := &Request{Body: readBody(t, "{"+body), Now: testNow}
	target := "/v1/chat/completions"
	for _, word := range strings.Fields(path) {
		name, ok := strings.CutPrefix(word, "key=")
		if !ok {
			target = word
			continue
		}
		for _, key := range p.keys {
			if key.Name == name {
				req.Key = key
			}
		}
		if req.Key == nil {
			t.Fatalf("there is no key %q", name)
		}
	}
	route, err := FindRoute("POST", target)
	if err != nil {
		t.Fatal(err)
	}
	req.Endpoint, req.Query = route.Endpoint, route.Query
	plan, err := p.Plan(req)
	if err != nil {
		var coded *Error
		if !errors.As(err, &coded) {
			t.Fatal(err)
		}
		return fmt.Sprintln(coded.Code.Status(), coded.Code, coded.Message)
	}
	checkRetries(t, plan)
	checkRebased(t, p, plan, req)
	return describe(p, plan, req.Body)
}

func describe(p *Policy, plan *Plan, body *Body) string {
	var out strings.Builder
	sent := body.Bytes
	for i, a := range plan.Attempts {
		text := Apply(nil, sent, a.Edits)
		if i == 0 {
			sent = text
		}
		fmt.Fprint(&out, a.Cluster.Provider, " ", a.Cluster.Base.Origin(), " ", a.Path, " ", a.Authority, " ", a.Model, " ", string(text))
		for _, h := range a.Cluster.Set {
			if h.Secret != "" {
				fmt.Fprint(&out, " | ", h.Name, ": ", h.Prefix, p.Secrets[h.Secret].Reveal())
			}
		}
		fmt.Fprintln(&out)
	}
	if plan.Stream != body.Stream {
		fmt.Fprintln(&out, "stream:", plan.Stream)
	}
	if len(plan.Rejected) > 0 {
		fmt.Fprintln(&out, "rejected:", HeaderList(plan.Rejected))
	}
	return out.String()
}

// checkRetries holds that Encode and DecodeRetry tell the later attempts as
// they were planned.
func checkRetries(t testing.TB, plan *Plan) {
	t.Helper()
	encoded := plan.Encode()
	if (encoded == "") != (len(plan.Attempts) == 1) {
		t.Errorf("%d attempts are encoded as %q", len(plan.Attempts), encoded)
	}
	for i, a := range plan.Attempts {
		if i == 0 {
			continue
		}
		r, err := DecodeRetry(encoded, i+1, a.Cluster.Name, plan.Attempts[0].Length, testNow)
		if err != nil {
			t.Errorf("attempt %d: %v\n%s", i+1, err, encoded)
			continue
		}
		got := []any{r.Model, r.Path, r.Authority, r.Length, r.Expired, len(r.Edits)}
		want := []any{a.Model, a.Path, a.Authority, a.Length, false, len(a.Edits)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempt %d: (-want +got)\n%s", i+1, diff)
		}
		for j, e := range r.Edits {
			if w := a.Edits[j]; e.At != w.At || e.Len != w.Len || !bytes.Equal(e.With, w.With) {
				t.Errorf("attempt %d: edit %v, want %v", i+1, e, w)
			}
		}
	}
}

// checkRebased holds that every attempt sends what it would send if it were
// the first: nothing of another's.
func checkRebased(t testing.TB, p *Policy, plan *Plan, req *Request) {
	t.Helper()
	first := Apply(nil, req.Body.Bytes, plan.Attempts[0].Edits)
	for i, a := range plan.Attempts {
		body := first
		if i == 0 {
			body = req.Body.Bytes
		}
		got := Apply(nil, body, a.Edits)
		if len(got) != a.Length {
			t.Errorf("attempt %d has %d bytes, said are %d", i+1, len(got), a.Length)
		}
		c, ok := choiceOf(p, a, req)
		if !ok {
			t.Fatalf("attempt %d has the cluster of no provider", i+1)
		}
		edits, _ := req.Body.Edit(nil, p.change(&c, req))
		if want := Apply(nil, req.Body.Bytes, edits); !bytes.Equal(got, want) {
			t.Errorf("attempt %d sends\n     %s\nwant %s", i+1, got, want)
		}
	}
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

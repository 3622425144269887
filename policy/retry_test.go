package policy

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy/config"
)

const two = `
providers:
  - {id: a, base_url: http://a.internal}
  - {id: b, base_url: http://b.internal}
`

// encode returns what the request path writes into the metadata of a request with
// this plan.
func encode(plan *Plan) string {
	if len(plan.Attempts) == 1 {
		return ""
	}
	var retries [metadata.MaxAttempts]metadata.Attempt
	later := metadata.Plan{Deadline: plan.Deadline, Length: plan.Attempts[0].Length, Attempts: plan.Retries(retries[:0])}
	return later.Encode()
}

func TestRetries(t *testing.T) {
	p := newWorld().load(t, two)
	plan := planned(t, p, llm.EndpointAt(llm.ChatCompletionsPath), "", nil, `{"model":"a:m","models":["b:say \"ü\\"],"n":1}`)
	want := []metadata.Attempt{{
		Cluster: plan.Attempts[1].Cluster.Name, Model: `say "ü\`, Path: "/v1/chat/completions", Authority: "b.internal",
		Edits: []body.Edit{{At: 9, Len: 3, With: []byte(`"say \"ü\\"`)}},
	}}
	if diff := cmp.Diff(want, plan.Retries(nil)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	checkRetries(t, plan)
}

func TestDeadline(t *testing.T) {
	plan := planned(t, newWorld().load(t, two), llm.EndpointAt(llm.ChatCompletionsPath), "", nil, `{"models":["a:m","b:m"]}`)
	if !plan.Deadline.Equal(testNow.Add(config.DefaultTotalTimeout)) {
		t.Errorf("deadline %v", plan.Deadline)
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {config.DefaultTotalTimeout, false}, {config.DefaultTotalTimeout + time.Millisecond, true}} {
		r, err := metadata.DecodeRetry(encode(plan), 2, plan.Attempts[1].Cluster.Name, plan.Attempts[0].Length, testNow.Add(c.after))
		if err != nil || r.Expired != c.want {
			t.Errorf("after %v: %v, %v", c.after, r.Expired, err)
		}
	}
}

// checkRetries checks that the later attempts, encoded and decoded, are those of the
// plan.
func checkRetries(t testing.TB, plan *Plan) {
	t.Helper()
	encoded := encode(plan)
	if (encoded == "") != (len(plan.Attempts) == 1) {
		t.Errorf("%d attempts are encoded as %q", len(plan.Attempts), encoded)
	}
	for i, a := range plan.Attempts {
		if i == 0 {
			continue
		}
		r, err := metadata.DecodeRetry(encoded, i+1, a.Cluster.Name, plan.Attempts[0].Length, testNow)
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

// After which attempts a longer prompt may be taken: the bits of the first, the second and so
// on, from the right.
func TestWider(t *testing.T) {
	p := newWorld().load(t, `
providers:
  - id: a
    base_url: http://a.internal
    api_keys: [{value: k}, {value: l}]
    models: [{id: small, max_context_window: 8000}, {id: same, max_context_window: 8000}, {id: large, max_context_window: 128000}, {id: unknown}]
  - {id: b, base_url: http://b.internal, models: [{id: tiny, max_context_window: 1000}]}
`)
	for _, c := range []struct {
		models string
		want   int
	}{
		{`"a:small"`, 0b00}, // another key does not help
		{`"a:small","a:same"`, 0b0000},
		{`"a:large","a:small"`, 0b0000},
		{`"a:small","a:large"`, 0b0011},
		{`"a:small","a:unknown"`, 0b0011},
		{`"a:unknown","a:small"`, 0b0011},
		{`"a:large","b:tiny"`, 0b011},
		{`"a:large","a:small","b:tiny"`, 0b01111},
	} {
		plan := planned(t, p, llm.EndpointAt(llm.ChatCompletionsPath), "", nil, `{"models":[`+c.models+`]}`)
		if plan.Gate.Wider != c.want {
			t.Errorf("%s: %b, want %b", c.models, plan.Gate.Wider, c.want)
		}
	}
}

package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weir/llm"
	"weir/metadata"
)

// TestResolve: names, and who serves them, in the form of TestPlan.
func TestResolve(t *testing.T) { goldenPlans(t, "testdata/resolve/*.txtar") }

// Nobody is told a name that he may not use: whatever a key's scope and
// whatever it asks for, what an error suggests is served to that very key.
func TestSuggestionsAreUsable(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	providers := []string{"alpha", "alphb", "beta", "openai"}
	models := []string{"secret-one", "secret-two", "secret-ten", "model", "modem", "gpt-4o"}
	some := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(string) bool { return r.IntN(2) == 0 })
	}
	suggested := 0
	for range 100 {
		var config strings.Builder
		var all []string
		for _, p := range providers {
			for _, m := range models {
				all = append(all, p+":"+m)
			}
		}
		fmt.Fprintf(&config, "access_keys: [{name: k, value: 0123456789abcdef, configuration: {access: {providers: {allow: [%s]}, models: {allow: ['%s']}}}}]\nproviders:\n",
			strings.Join(some(providers), ", "), strings.Join(append(some(all), "x:y"), "', '"))
		for _, p := range providers {
			fmt.Fprintf(&config, "  - {id: %s, base_url: http://p.internal, disabled: %v, models: [", p, r.IntN(4) == 0)
			for _, m := range some(models) {
				fmt.Fprintf(&config, "{id: %s, disabled: %v}, ", m, r.IntN(4) == 0)
			}
			config.WriteString("]}\n")
		}
		p, keys := newWorld().loadAll(t, config.String())
		key := keys.Named("k")
		for range 50 {
			asked := pick(r, models)
			if r.IntN(2) == 0 {
				asked = pick(r, providers) + pick(r, []string{":", "/"}) + asked
			}
			i := r.IntN(len(asked))
			asked = asked[:i] + "x" + asked[i+r.IntN(2):]
			_, why := p.resolve(nil, metadata.MaxAttempts, asked, llm.EndpointAt(llm.ChatCompletionsPath), key, nil)
			if why.code != llm.ModelNotFound {
				continue
			}
			_, names, found := strings.Cut(why.err(p, llm.EndpointAt(llm.ChatCompletionsPath), key).Message, "did you mean ")
			if !found {
				continue
			}
			for _, name := range strings.Split(strings.TrimSuffix(names, "?"), ", ") {
				suggested++
				if choices, _ := p.resolve(nil, metadata.MaxAttempts, name, llm.EndpointAt(llm.ChatCompletionsPath), key, nil); len(choices) == 0 {
					t.Errorf("%s suggests %s, which is not served", asked, name)
				}
			}
		}
	}
	if suggested < 100 {
		t.Errorf("only %d suggestions: the test proves little", suggested)
	}
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// Of several providers that cannot serve, the one that came nearest says why.
func TestReasons(t *testing.T) {
	config := func(order ...string) string {
		providers := map[string]string{
			"forbidden": "{id: forbidden, base_url: http://f.internal, models: [{id: m}]}",
			"model":     "{id: model, base_url: http://m.internal, models: [{id: m}]}",
			"surface":   "{id: surface, base_url: http://s.internal, models: [{id: m}], supported_api_surfaces: [{format: anthropic}]}",
			"keyless":   "{id: groq, models: [{id: m}]}",
		}
		out := "access_keys: [{name: k, value: 0123456789abcdef, configuration: {access: {providers: {allow: [model, surface, groq]}, models: {allow: ['surface:m', 'groq:m']}}}}]\nproviders:\n"
		for _, id := range order {
			out += "  - " + providers[id] + "\n"
		}
		return out
	}
	f := func(want llm.Code, order ...string) {
		t.Helper()
		for range 2 {
			p, keys := newWorld().loadAll(t, config(order...))
			if _, why := p.resolve(nil, metadata.MaxAttempts, "m", llm.EndpointAt(llm.ChatCompletionsPath), keys.Named("k"), nil); why.code != want {
				t.Errorf("%v: %s, want %s", order, why.code, want)
			}
			slices.Reverse(order)
		}
	}
	f(llm.ProviderNotAllowed, "forbidden")
	f(llm.ModelNotAllowed, "forbidden", "model")
	f(llm.UnsupportedSurface, "forbidden", "surface", "model")
	f(llm.NoProviderKey, "surface", "keyless", "forbidden", "model")
}

// However many providers offer the names of a list, no more are looked at than
// a plan has room for.
func TestResolveIsBounded(t *testing.T) {
	var config strings.Builder
	config.WriteString("providers:\n")
	for i := range 100 {
		fmt.Fprintf(&config, "  - {id: p%d, base_url: http://p.internal, models: [{id: m0}, {id: m1}, {id: m2}]}\n", i)
	}
	p := newWorld().load(t, config.String())
	var choices []choice
	for _, name := range []string{"p0:x", "m0", "p7:y", "m1", "p8:z", "m2"} {
		var why rejection
		if choices, why = p.resolve(choices, metadata.MaxAttempts, name, llm.EndpointAt(llm.ChatCompletionsPath), nil, nil); why.code != "" {
			t.Errorf("%s is rejected: %s", name, why.code)
		}
	}
	if len(choices) != metadata.MaxAttempts {
		t.Errorf("%d choices", len(choices))
	}
}

// Aliases that name one model are one candidate, and none of them is rejected.
func TestRepeatedModelIsNotRejected(t *testing.T) {
	p := newWorld().load(t, "providers: [{id: a, base_url: http://a.internal, models: [{id: m, id_aliases: [n, o]}]}]")
	plan := planned(t, p, llm.EndpointAt(llm.ChatCompletionsPath), "", nil, `{"model":"n","models":["m","o","a:m","A/O"]}`)
	if len(plan.Attempts) != 1 || len(plan.Rejected) != 0 {
		t.Errorf("%d attempts, rejected %q", len(plan.Attempts), plan.Rejected)
	}
}

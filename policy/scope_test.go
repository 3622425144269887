package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weir/identity"
	"weir/llm"
	"weir/policy/expression"
)

// What a strategy may choose from is what each look-up allows, for whatever key the
// request's memory was used before.
func TestOffersWithinScope(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	text.WriteString("on_http_request: [{type: ai-gateway, config: {only_allow_configured_providers: true, model_selection: {strategy: ['ai.models.random()']}, providers: [")
	var providers []string
	var models []identity.Model
	for i := range 9 {
		id := fmt.Sprint("p", i)
		providers = append(providers, id)
		fmt.Fprintf(&text, "{id: %s, disabled: %v, base_url: http://p.internal, models: [", id, i == 3)
		for k := range 20 {
			models = append(models, identity.Model{Provider: id, ID: fmt.Sprint("m", k)})
			fmt.Fprintf(&text, "{id: m%d, disabled: %v}, ", k, k == 5)
		}
		text.WriteString("]}, ")
	}
	text.WriteString("]}}]")
	p := newWorld().load(t, text.String())
	some := func(n int) []int { return r.Perm(n)[:r.IntN(n+1)] }
	request := &Request{Endpoint: llm.EndpointAt(llm.ChatCompletionsPath)}
	left := 0
	for range 500 {
		var allowed []string
		var listed []identity.Model
		if r.IntN(3) > 0 {
			allowed = []string{"elsewhere"}
			for _, i := range some(len(providers)) {
				allowed = append(allowed, providers[i])
			}
		}
		if r.IntN(3) > 0 {
			listed = []identity.Model{{Provider: "p1", ID: "unlisted"}, {Provider: "p10", ID: "m1"}}
			for _, i := range some(len(models)) {
				listed = append(listed, models[i])
			}
		}
		request.Key = &identity.Key{Scope: identity.NewScope(allowed, listed)}
		all := p.offers(request.Endpoint)
		want := slices.DeleteFunc(slices.Clone(all), func(view *expression.Model) bool {
			return allowed != nil && !slices.Contains(allowed, view.ProviderID) ||
				listed != nil && !slices.Contains(listed, identity.Model{Provider: view.ProviderID, ID: view.ID})
		})
		request.candidates = request.candidates[:0]
		if got := request.offers(p); !slices.Equal(got, want) {
			t.Fatalf("%v %v: %d models, want %d", allowed, listed, len(got), len(want))
		}
		for _, view := range all {
			model := identity.Model{Provider: view.ProviderID, ID: view.ID}
			if got := request.Key.AllowsProvider(model.Provider) && request.Key.AllowsModel(model); got != slices.Contains(want, view) {
				t.Fatalf("%v: allowed %v", model, got)
			}
		}
		left += len(want)
	}
	if left < 1000 {
		t.Errorf("only %d models within all scopes: the test proves little", left)
	}
}

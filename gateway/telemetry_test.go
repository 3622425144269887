package gateway

import (
	"strings"
	"testing"
)

// TestObserverAfterReload: numbers of what a configuration no longer has are dropped,
// and the others are kept.
func TestObserverAfterReload(t *testing.T) {
	config := func(providers ...string) string {
		return "on_http_request: [{type: ai-gateway, config: {model_selection: {strategy: [ai.models.random()]}, providers: [" + strings.Join(providers, ", ") + "]}}]\n"
	}
	b := newRig(t, config(
		`{id: a, base_url: "http://127.0.0.1:1", api_keys: [{value: k1}, {value: k2}], models: [{id: kept}, {id: gone}]}`,
		`{id: b, base_url: "http://127.0.0.1:1", models: [{id: kept}]}`))
	b.serve()
	type named struct{ provider, model string }
	models := map[named]bool{{"a", "kept"}: true, {"a", "gone"}: false, {"b", "kept"}: false, {"nobody", "kept"}: false}
	keys := map[string]bool{"a#1": true, "a#2": false}
	before := map[any]any{}
	for m := range models {
		before[m] = b.numbers.store.Model(m.provider, m.model)
	}
	for k := range keys {
		before[k] = b.numbers.store.Key(k)
	}
	b.config = config(`{id: a, base_url: "http://127.0.0.1:1", api_keys: [{value: k1}], models: [{id: kept}]}`)
	b.reload(t.Context(), false)
	for m, kept := range models {
		if is := b.numbers.store.Model(m.provider, m.model) == before[m]; is != kept {
			t.Errorf("the numbers of %v are kept: %v, want %v", m, is, kept)
		}
	}
	for k, kept := range keys {
		if is := b.numbers.store.Key(k) == before[k]; is != kept {
			t.Errorf("the numbers of key %s are kept: %v, want %v", k, is, kept)
		}
	}
}

package gateway

import (
	"strings"
	"testing"
)

// TestObserverAfterReload: numbers of what a configuration no longer has are dropped,
// and the others are kept. Changes that need a restart are logged.
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
	b.config = "telemetry: {window: 5m, access_log: off}\n" + config(`{id: a, base_url: "http://127.0.0.1:1", api_keys: [{value: k1}], models: [{id: kept}]}`)
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
	for _, want := range []string{
		`level=WARN msg="telemetry.access_log has changed: restart weir to apply it" in_force=stdout configured=off`,
		`level=WARN msg="telemetry.window has changed: restart weir to apply it" in_force=1m0s configured=5m0s`,
	} {
		if strings.Count(b.log.String(), want) != 1 {
			t.Errorf("not logged once: %s\n%s", want, b.log.String())
		}
	}
}

package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"weir/policy"
)

// TestExplainOnAdmin: the endpoint explains with the current policy, and reports what
// is wrong with a question.
func TestExplainOnAdmin(t *testing.T) {
	const config = `
access_keys: [{name: team-a, value: team-a-team-a-team-a}]
on_http_request:
  - type: ai-gateway
    config:
      providers: [{id: openai, api_keys: [{value: sk-first-secret}, {value: sk-second-secret}], models: [{id: gpt-4o}]}]
      api_key_selection: {strategy: ["ai.keys.filter(k, k.id != 'openai#1')"]}
`
	p, keys, problems := policy.Load(policy.Source{File: "weir.yaml", Data: []byte(config), Getenv: func(string) string { return "" }, ReadFile: os.ReadFile})
	if problems != nil {
		t.Fatal(problems)
	}
	ask := func(query, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		explain(Basis{Policy: p, Keys: keys.Index}, w, httptest.NewRequest(http.MethodPost, "/explain?"+query, strings.NewReader(body)))
		return w
	}
	w := ask("key=team-a&header=x-a:%20b", `{"model":"openai:gpt-4o"}`)
	var e policy.Explanation
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 200 {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if len(e.Attempts) != 1 || e.Attempts[0].Key != "openai#2" || strings.Contains(w.Body.String(), "second-secret") {
		t.Errorf("%s", w.Body)
	}
	for query, body := range map[string]string{
		"":                                `{"model":"openai:gpt-4o"}`,
		"key=team-a":                      `[]`,
		"key=team-a&path=/v1/nothing":     `{}`,
		"key=team-a&path=/v1/models":      `{}`,
		"key=team-a&header=without-colon": `{}`,

		"key=team-a&header=content-type:%20text/plain": `{}`,
		"key=team-a&header=content-encoding:%20gzip":   `{}`,
	} {
		if w := ask(query, body); w.Code != http.StatusBadRequest || w.Body.Len() == 0 {
			t.Errorf("%s %s: %d %s", query, body, w.Code, w.Body)
		}
	}
}

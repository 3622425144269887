package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// What a configuration adds to requests reaches each provider of a failover as
// it is meant for that provider, and nothing of another's does.
func TestShaping(t *testing.T) {
	alpha := recorder.Start(t, recorder.WithName("alpha"))
	bravo := recorder.Start(t, recorder.WithName("bravo"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
telemetry: {access_log: "off"}
allow_anonymous: true
access_keys: [{name: team-a, value: team-a-team-a-team-a, metadata: {cost_center: 42}}]
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      max_input_tokens: 100
      model_selection: {strategy: ["ai.models.filter(m, m.provider_id != 'charlie')"]}
      headers:
        x-team: "team=${key.name}; ip=${conn.client_ip}"
        x-note: "${'note' in req.body ? req.body.note : 'none'}"
      query_params: {team: "${key.name}", path: "${req.path}", fixed: a b&c}
      body:
        user: "${key.name}/${conn.client_ip}"
        metadata: {center: "${key.metadata.cost_center}", agent: "<${req.headers['x-agent'][0]}>", keep: [1, "${req.method}", {a: null}]}
      providers:
        - id: alpha
          base_url: %s/base?own=alpha
          api_keys: [{value: key-of-alpha}]
          headers: {x-of-alpha: "alpha for ${key.name}"}
          forward: {headers: all, query: all}
          models: [{id: m}]
        - id: bravo
          base_url: %s
          api_keys: [{value: key-of-bravo}]
          headers: {x-of-bravo: "bravo for ${key.name}"}
          forward: {headers: [x-own], query: [q]}
          models: [{id: n}]
        - {id: charlie, base_url: http://%s, models: [{id: o}]}
`, alpha.URL(), bravo.URL(), recorder.ClosedAddr(t)), gatewaytest.Secrets("key-of-alpha", "key-of-bravo"))
	client := []string{"Authorization", "Bearer team-a-team-a-team-a", "X-Agent", `an "agent"`}

	t.Run("each provider of a failover", func(t *testing.T) {
		alpha.Reset()
		bravo.Reset()
		alpha.Script(recorder.Error(500))
		a := g.Post("/v1/chat/completions?fixed=theirs&q=1", `{"models":["charlie:o","alpha:m","bravo:n"],"user":"theirs", "n":1e400}`, append(client,
			"X-Team", "theirs", "X-Note", "theirs", "X-Of-Alpha", "theirs", "X-Of-Bravo", "theirs", "X-Own", "kept")...)
		if a.Status != http.StatusOK || a.Header.Get("X-Weir-Attempts") != "2" || a.Header.Get("X-Weir-Provider") != "bravo" {
			t.Fatalf("response %d %s %v", a.Status, a.Body, a.Header)
		}
		if got, want := a.Header.Get("X-Weir-Rejected-Models"), "charlie:o"; got != want {
			t.Errorf("rejected models %q, want %q", got, want)
		}
		const (
			query    = "fixed=a%20b%26c&path=%2Fv1%2Fchat%2Fcompletions&team=team-a&q=1"
			metadata = `"metadata":{"center":42,"agent":"<an \"agent\">","keep":[1,"POST",{"a":null}]}`
			user     = `"user":"team-a/127.0.0.1"`
		)
		for _, want := range []struct {
			provider   *recorder.Provider
			path, body string
			header     map[string]string // "": must not be there
		}{
			{alpha, "/base/v1/chat/completions?own=alpha&" + query, `{"model":"m",` + metadata + `,` + user + `, "n":1e400}`, map[string]string{
				"Authorization": "Bearer key-of-alpha", "X-Of-Alpha": "alpha for team-a", "X-Of-Bravo": "",
			}},
			{bravo, "/v1/chat/completions?" + query, `{"model":"n",` + metadata + `,` + user + `, "n":1e400}`, map[string]string{
				"Authorization": "Bearer key-of-bravo", "X-Of-Bravo": "bravo for team-a", "X-Of-Alpha": "",
			}},
		} {
			requests := want.provider.WaitRequests(t, 1)
			if len(requests) != 1 {
				t.Errorf("%s received %d requests", want.provider.Name, len(requests))
			}
			r := requests[0]
			if r.Path != want.path {
				t.Errorf("%s received path %s\nwant %s", want.provider.Name, r.Path, want.path)
			}
			if string(r.Body) != want.body {
				t.Errorf("%s received %s\nwant %s", want.provider.Name, r.Body, want.body)
			}
			want.header["X-Team"], want.header["X-Note"], want.header["X-Own"] = "team=team-a; ip=127.0.0.1", "none", "kept"
			for name, value := range want.header {
				if got := strings.Join(r.Header.Values(name), " | "); got != value {
					t.Errorf("%s received %s: %q, want %q", want.provider.Name, name, got, value)
				}
			}
		}
	})
	nothingSent := func(t *testing.T) {
		t.Helper()
		for _, p := range []*recorder.Provider{alpha, bravo} {
			for _, r := range p.Requests() {
				t.Errorf("%s received %s %.200q", p.Name, r.Path, r.Body)
			}
			p.Reset()
		}
	}
	for _, text := range []string{`a\r\nx-evil: 1`, `a\nb`, `a\rb`, `a\u0000b`} {
		t.Run("no header of "+text, func(t *testing.T) {
			alpha.Reset()
			bravo.Reset()
			a := g.Post("/v1/chat/completions", `{"model":"alpha:m","note":"`+text+`"}`, client...)
			wantRefusal(t, a, "", "invalid_body", "the header x-note that the gateway derives from the request has a control character at byte 1: it cannot be sent in a header")
			nothingSent(t)
		})
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		t.Run("too many tokens on "+path, func(t *testing.T) {
			alpha.Reset()
			bravo.Reset()
			a := g.Post(path, `{"model":"alpha:m","max_tokens":1,"messages":[{"role":"user","content":"`+strings.Repeat("word ", 1000)+`"}]}`, client...)
			var n int
			_, rest, _ := strings.Cut(a.Body, "the input is estimated at ")
			if _, err := fmt.Sscan(rest, &n); err != nil || n <= 100 || n > 1100 {
				t.Errorf("%d tokens by the message (%v)", n, err)
			}
			wantRefusal(t, a, path, "input_too_large", fmt.Sprintf("the input is estimated at %d tokens or more, the limit is 100", n))
			nothingSent(t)
		})
	}
}

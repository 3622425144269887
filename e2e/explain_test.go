package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
	"weir/policy"
)

// What an explanation says that providers would get is what they get.
func TestExplained(t *testing.T) {
	alpha := recorder.Start(t, recorder.WithName("alpha"))
	bravo := recorder.Start(t, recorder.WithName("bravo"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
telemetry: {access_log: "off"}
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      outlier_detection: {disabled: true}
      max_output_tokens: 50
      headers: {x-agent: "${req.headers['user-agent']}", x-team: "${req.headers['x-of-team'][0]}", x-gone: "", x-seen: "${['te', 'x_odd', 'x-weir-odd', 'x-envoy-odd', 'x-hop', 'content-length', 'x-forwarded-for'].map(h, req.headers[h])}"}
      query_params: {n: "${req.body.n}", of: a&b}
      body: {user: "${conn.client_ip}"}
      providers:
        - {id: alpha, base_url: "%s/v1?own=1", api_keys: [{value: key-of-alpha}], models: [{id: m}], forward: {headers: [x-stays], query: [q]}}
        - {id: bravo, base_url: "%s", models: [{id: m, unsupported_params: [{name: n}]}], forward: {headers: [x-hop, x-late]}}
`, alpha.URL(), bravo.URL()), gatewaytest.Secrets("key-of-alpha"))
	for name, client := range map[string][]string{
		"nothing":           nil,
		"an empty one":      {"X-Of-Team", ""},
		"what is asked for": {"X-Of-Team", "red", "Accept", "*/*", "Accept-Encoding", "gzip, br"},
		"of one hop":        {"Connection", "keep-alive, X-Hop", "X-Hop", "1", "Te", "trailers", "Keep-Alive", "5", "X-Stays", "1", "X-Late", "1"},
		"who the client is": {"Authorization", "Bearer x", "Cookie", "a=b", "X-Forwarded-For", "192.0.2.1", "X-Gone", "1", "X-Agent", "theirs"},
		"nobody's":          {"X_Odd", "1", "X-Weir-Odd", "1", "X-Envoy-Odd", "1", "Te", "gzip"},
		"of the body":       {"Content-Type", "application/json; charset=utf-8", "Content-Encoding", "identity"},
	} {
		t.Run(name, func(t *testing.T) {
			alpha.Reset()
			bravo.Reset()
			alpha.Script(recorder.Error(500))
			const path, body = "/v1/chat/completions?of=c&q=1", `{"model":"m", "n":2,"max_tokens":70}`
			headers := append([]string{"User-Agent", "test"}, client...)
			if !slices.Contains(headers, "Content-Type") {
				headers = append(headers, "Content-Type", "application/json")
			}
			query := url.Values{"path": {path}, "ip": {"127.0.0.1"}}
			for i := 0; i < len(headers); i += 2 {
				query.Add("header", headers[i]+": "+headers[i+1])
			}
			resp, err := http.Post(g.AdminURL+"/explain?"+query.Encode(), "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var e policy.Explanation
			if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || len(e.Attempts) != 2 {
				t.Fatalf("%+v %v", e, err)
			}
			if a := g.Post(path, body, headers...); a.Status != http.StatusOK {
				t.Fatalf("response %d %s", a.Status, a.Body)
			}
			for i, p := range []*recorder.Provider{alpha, bravo} {
				r := p.WaitRequests(t, 1)[0]
				var got []string
				for name, values := range r.Header {
					switch name {
					case "Content-Length", "X-Request-Id": // not of the request alone
					default:
						for _, v := range values {
							got = append(got, strings.ToLower(name)+": "+strings.ReplaceAll(v, "key-of-alpha", "[redacted]"))
						}
					}
				}
				slices.Sort(got)
				want := e.Attempts[i]
				slices.Sort(want.Headers)
				if diff := cmp.Diff(want.Headers, got); diff != "" {
					t.Errorf("%s (-explained +received)\n%s", p.Name, diff)
				}
				if want.URL != p.URL()+r.Path || want.Body != string(r.Body) {
					t.Errorf("%s received %s %s\nexplained %s %s", p.Name, p.URL()+r.Path, r.Body, want.URL, want.Body)
				}
			}
		})
	}
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprint("X-", i), "1")
	}
	for name, client := range map[string][]string{
		"another type":     {"Content-Type", "text/plain"},
		"encoded":          {"Content-Encoding", "gzip"},
		"a page":           {"Origin", "https://elsewhere.example"},
		"through too many": {"Cdn-Loop", strings.Repeat("weir-0123456789abcdef, ", policy.MaxHops)},
		"too many headers": many,
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			query := url.Values{}
			for i := 0; i < len(client); i += 2 {
				query.Add("header", client[i]+": "+client[i+1])
			}
			resp, err := http.Post(g.AdminURL+"/explain?"+query.Encode(), "application/json", strings.NewReader(`{"model":"m"}`))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			said, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			a := g.Post("/v1/chat/completions", `{"model":"m"}`, client...)
			var refusal struct{ Error struct{ Message string } }
			if err := json.Unmarshal([]byte(a.Body), &refusal); err != nil || a.Status < 400 {
				t.Fatalf("%d %s %v", a.Status, a.Body, err)
			}
			if got := strings.TrimSpace(string(said)); resp.StatusCode != http.StatusBadRequest || got != refusal.Error.Message {
				t.Errorf("explained %d %s, refused: %s", resp.StatusCode, got, refusal.Error.Message)
			}
		})
	}
	t.Run("explanations are not counted as requests", func(t *testing.T) {
		requests := func() string { return metric(t, g, "weir_ext_proc_duration_seconds_count") }
		// Weir counts a request after its reply.
		gatewaytest.Eventually(t, "12 requests to be counted", func() bool { return requests() == "12" })
	})
}

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// TestStored: operations on what a provider stores go to the provider that the client, or
// the configuration, names, and to no other; and requests that ask nothing of a provider.
func TestStored(t *testing.T) {
	alpha := recorder.Start(t, recorder.WithName("alpha"))
	bravo := recorder.Start(t, recorder.WithName("bravo"))
	reset := func() {
		for _, p := range []*recorder.Provider{alpha, bravo} {
			p.Reset()
			p.Respond(func(w http.ResponseWriter, _ *http.Request, _ []byte) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"id":"x","object":"response","usage":{"input_tokens":7,"output_tokens":8,"total_tokens":15}}`)
			})
		}
	}
	g := gatewaytest.Start(t, fmt.Sprintf(`
access_keys:
  - {name: all, value: all-all-all-all-all-all}
  - {name: only-bravo, value: bravo-bravo-bravo-bravo, configuration: {access: {providers: {allow: [bravo]}}}}
  - {name: one-model, value: model-model-model-model, configuration: {access: {models: {allow: ["bravo:m"]}}}}
on_http_request:
  - type: ai-gateway
    config:
      default_provider: alpha
      query_params: {team: a}
      headers: {x-team: "${key.name}"}
      providers:
        - {id: alpha, base_url: %s/base/v1, api_keys: [{value: key-of-alpha}, {value: second-of-alpha}], models: [{id: m}]}
        - {id: bravo, id_aliases: [b2], base_url: %s, api_keys: [{value: key-of-bravo}], models: [{id: m}], supported_api_surfaces: [{format: openai}, {format: anthropic}]}
        - {id: down, base_url: http://%s}
`, alpha.URL(), bravo.URL(), recorder.ClosedAddr(t)), gatewaytest.Secrets("key-of-alpha", "second-of-alpha", "key-of-bravo"))
	key := func(value string) []string { return []string{"Authorization", "Bearer " + value} }
	all, toBravo := key("all-all-all-all-all-all"), []string{"X-Weir-Provider", "b2"}

	form := func(part, text string) (string, []string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		_ = w.WriteField("purpose", part)
		f, _ := w.CreateFormFile("file", "batch.jsonl")
		_, _ = io.WriteString(f, text)
		_ = w.Close()
		return b.String(), []string{"Content-Type", w.FormDataContentType()}
	}
	lines := strings.Repeat("{\"custom_id\":\"1\",\"method\":\"POST\",\"body\":{\"model\":\"m\"}}\n", 20000)
	upload, uploaded := form("batch", lines)

	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		provider           *recorder.Provider // nil: the gateway itself replies
		want               string             // the path that the provider received, or a part of the response
	}{
		{"GET", "/v1/responses/resp_1", "", all, 200, alpha, "/base/v1/responses/resp_1?team=a"},
		{"GET", "/v1/responses/resp_1?include[]=a&stream=false&model=x", "", slices.Concat(all, toBravo), 200, bravo, "/v1/responses/resp_1?team=a&include[]=a&stream=false"},
		{"DELETE", "/v1/responses/resp_1", "", all, 200, alpha, "/base/v1/responses/resp_1?team=a"},
		{"POST", "/v1/responses/resp_1/cancel", "", all, 200, alpha, "/base/v1/responses/resp_1/cancel?team=a"},
		{"POST", "/v1/responses/resp_1/cancel", "{}", all, 200, alpha, "/base/v1/responses/resp_1/cancel?team=a"},
		{"GET", "/v1/responses/resp_1/input_items?limit=2&after=x", "", all, 200, alpha, "/base/v1/responses/resp_1/input_items?team=a&limit=2&after=x"},
		{"POST", "/v1/files", upload, slices.Concat(all, uploaded), 200, alpha, "/base/v1/files?team=a"},
		{"GET", "/v1/files?purpose=batch", "", all, 200, alpha, "/base/v1/files?team=a&purpose=batch"},
		{"GET", "/v1/files/f/content", "", all, 200, alpha, "/base/v1/files/f/content?team=a"},
		{"POST", "/v1/batches", `{"input_file_id":"f","endpoint":"/v1/responses","completion_window":"24h"}`, slices.Concat(key("bravo-bravo-bravo-bravo"), toBravo), 200, bravo, "/v1/batches?team=a"},
		{"GET", "/v1/messages/batches/m/results", "", slices.Concat(all, toBravo), 200, bravo, "/v1/messages/batches/m/results?team=a"},
		{"GET", "/v1/files", "", slices.Concat(all, toBravo, []string{"anthropic-version", "2023-06-01"}), 200, bravo, "/v1/files?team=a"},
		{"POST", "/v1/vector_stores/v/search", `{"query":"all-all-all-all-all-all"}`, all, 200, alpha, "/base/v1/vector_stores/v/search?team=a"},

		// The gateway itself refuses.
		{"GET", "/v1/responses/resp_1", "", nil, 401, nil, `"invalid_api_key"`},
		{"GET", "/v1/responses/resp_1", "", key("bravo-bravo-bravo-bravo"), 403, nil, `"provider_not_allowed"`},
		{"GET", "/v1/files", "", key("model-model-model-model"), 403, nil, `"provider_not_allowed"`},
		{"POST", "/v1/batches", `{}`, slices.Concat(key("model-model-model-model"), toBravo), 403, nil, `"model_not_allowed"`},
		{"GET", "/v1/files", "", slices.Concat(all, []string{"X-Weir-Provider", "other"}), 404, nil, `"provider_not_found"`},
		{"GET", "/v1/files", "", slices.Concat(all, []string{"X-Weir-Provider", "openai"}), 424, nil, `"no_provider_key"`},
		{"GET", "/v1/messages/batches", "", all, 400, nil, `"type":"error","error":{"type":"invalid_request_error"`},
		{"GET", "/v1/responses/all-all-all-all-all-all", "", all, 400, nil, `contains the access key`},
		{"POST", "/v1/files", "", slices.Concat(all, uploaded), 400, nil, `"invalid_body"`},
		{"POST", "/v1/files", "{}", all, 400, nil, `"invalid_body"`},
		{"GET", "/v1/files", "{}", all, 400, nil, `takes no body`},
		{"POST", "/v1/batches", `{"model":"m"}`, all, 400, nil, `takes no model`},
		{"POST", "/v1/containers", `{"provider":"x"}`, slices.Concat(key("bravo-bravo-bravo-bravo"), toBravo), 403, nil, `"model_not_allowed"`},
		{"GET", "/v1/files/..", "", all, 404, nil, `"unknown_path"`},
		{"GET", "/v1/files/%2e%2e/content", "", all, 404, nil, `"unknown_path"`},
		{"PATCH", "/v1/files/f", "", all, 405, nil, `"method_not_allowed"`},
		{"GET", "/v1/chat/completions", "", all, 405, nil, `"method_not_allowed"`},
		{"GET", "/v1/messages", "", all, 405, nil, `"type":"error"`},
		{"GET", "/v1/files/f", "", slices.Concat(all, []string{"X-Weir-Provider", "down"}), 502, nil, `"provider_unreachable"`},

		{"GET", "/", "", nil, 200, nil, ""},
		{"HEAD", "/", "", nil, 200, nil, ""},
		{"OPTIONS", "/", "", nil, 204, nil, ""},
		{"OPTIONS", "/v1/files/f", "", nil, 204, nil, ""},
	} {
		name := c.method + " " + c.path
		reset()
		var body io.Reader
		if c.body != "" {
			body = strings.NewReader(c.body)
		}
		header := c.header
		if !slices.Contains(header, "Content-Type") {
			header = append(slices.Clone(header), "Content-Type", "application/json")
		}
		a := g.Send(c.method, c.path, body, header...)
		if a.Status != c.status {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
			continue
		}
		if c.status == 405 != (a.Header.Get("Allow") != "") && c.status != 204 {
			t.Errorf("%s: Allow %q", name, a.Header.Get("Allow"))
		}
		received := slices.Concat(alpha.Requests(), bravo.Requests())
		if c.provider == nil {
			if len(received) != 0 || !strings.Contains(string(a.Body), c.want) || c.want == "" && len(a.Body) > 0 {
				t.Errorf("%s: %d requests, response %s", name, len(received), a.Body)
			}
			continue
		}
		r := c.provider.Last(t)
		want := strings.ReplaceAll(c.body, "all-all-all-all-all-all", "[redacted]")
		if len(received) != 1 || r.Method != c.method || r.Path != c.want || string(r.Body) != want {
			t.Errorf("%s: %d requests, %s %s %.99s", name, len(received), r.Method, r.Path, r.Body)
		}
		if r.Header.Get("Authorization") != "Bearer key-of-"+c.provider.Name && r.Header.Get("X-Api-Key") != "key-of-bravo" || r.Header.Get("X-Team") == "" || r.Header.Get("X-Weir-Provider") != "" {
			t.Errorf("%s: %v", name, r.Header)
		}
		if a.Header.Get("X-Weir-Provider") != c.provider.Name || a.Header.Get("X-Weir-Attempts") != "1" || a.Header.Values("X-Weir-Model") != nil {
			t.Errorf("%s: %v", name, a.Header)
		}
	}

	t.Run("a failure is the client's to see", func(t *testing.T) {
		reset()
		alpha.Script(recorder.Error(500))
		if a := g.Send("GET", "/v1/files/f", nil, all...); a.Status != 500 || len(alpha.Requests()) != 1 {
			t.Errorf("%d %s, %d requests", a.Status, a.Body, len(alpha.Requests()))
		}
	})
	t.Run("a response that continues another", func(t *testing.T) {
		for _, c := range []struct {
			body   string
			header []string
			alpha  int
			bravo  int
		}{
			{`{"model":"m","previous_response_id":"resp_1"}`, nil, 1, 0},
			{`{"model":"m","conversation":{"id":"conv_1"}}`, nil, 1, 0},
			{`{"model":"m","previous_response_id":"resp_1"}`, toBravo, 0, 1},
			{`{"model":"m","previous_response_id":null}`, nil, 2, 1},
		} {
			reset()
			alpha.Script(recorder.Error(500), recorder.Error(500))
			bravo.Script(recorder.Error(500))
			a := g.Post("/v1/responses", c.body, slices.Concat(all, c.header)...)
			if a.Status != 500 || len(alpha.Requests()) != c.alpha || len(bravo.Requests()) != c.bravo {
				t.Errorf("%s: %d, alpha received %d, bravo %d", c.body, a.Status, len(alpha.Requests()), len(bravo.Requests()))
			}
		}
	})
	t.Run("log and metrics", func(t *testing.T) {
		gatewaytest.Eventually(t, "the last request is counted", func() bool {
			return strings.Contains(g.Admin("/metrics"), `weir_requests_total{code="",operation="chat",status="5xx"} 4`)
		})
		metrics := g.Admin("/metrics")
		for _, want := range []string{`weir_requests_total{code="",operation="files",status="2xx"}`, `weir_requests_total{code="method_not_allowed",operation="unknown",status="4xx"}`, `weir_requests_total{code="",operation="presence",status="2xx"}`} {
			if !strings.Contains(metrics, want) {
				t.Errorf("no %s", want)
			}
		}
		if strings.Contains(metrics, `gen_ai_client_token_usage_count{gen_ai_operation_name="responses"`) {
			t.Error("the tokens of a stored response count again")
		}
	})
}

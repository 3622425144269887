package e2e

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// forwarded are headers that pass to every provider.
var forwarded = map[string]string{
	"Accept": "application/json", "Accept-Language": "de", "User-Agent": "OpenAI/Python 2.0", "Openai-Beta": "assistants=v2",
	"Anthropic-Version": "2023-06-01", "Anthropic-Beta": "a,b", "Anthropic-Dangerous-Direct-Browser-Access": "true",
	"X-Stainless-Lang": "python", "X-Stainless-Retry-Count": "0", "Idempotency-Key": "abc", "Http-Referer": "https://app.example", "X-Title": "App",
	"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate": "a=b",
}

// steeringHeaders choose another model, deployment, account, method or address at
// some provider.
var steeringHeaders = []string{
	"X-Amzn-Sagemaker-Target-Model", "X-Amzn-Sagemaker-Target-Variant", "X-Amzn-Sagemaker-Inference-Component", "X-Amzn-Sagemaker-Target-Container-Hostname",
	"X-Amzn-Sagemaker-Inference-Id", "X-Amzn-Sagemaker-Session-Id", "X-Amzn-Sagemaker-Custom-Attributes", "X-Amzn-Bedrock-Guardrailidentifier",
	"Azureml-Model-Deployment", "X-Ms-Enable-Preview", "X-Hf-Bill-To", "X-Wait-For-Model", "X-Use-Cache", "X-Goog-User-Project", "X-Goog-Request-Params",
	"Openai-Organization", "Openai-Project", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url",
	"Helicone-Auth", "Helicone-Target-Url", "Helicone-Fallbacks", "X-Portkey-Provider", "X-Portkey-Config", "X-Portkey-Virtual-Key", "Cf-Aig-Authorization", "Cf-Aig-Cache-Key",
	"X-Litellm-Tags", "X-Litellm-Api-Key", "X-Model", "Model", "X-Model-Id", "Deployment", "X-Deployment", "X-Provider", "X-Target-Url", "X-Upstream", "X-Tenant", "X-User",
	"Chatgpt-Account-Id", "Cache-Control", "Referer", "X-Anything",
}

// steeringQueries do it in the URL.
var steeringQueries = []string{
	"$httpMethod=DELETE", "%24httpMethod=DELETE", "$HTTPMETHOD=GET", "$httpHeaders=x", "_method=DELETE", "_METHOD=DELETE", "%5Fmethod=DELETE", "_method[]=DELETE", "httpMethod=GET",
	"X-HTTP-Method-Override=DELETE", "deployment_id=other", "deployment-id=other", "deploymentId=other", "deployment=other", "model=other", "models=other", "engine=other",
	"provider=other", "route=fallback", "fallbacks=other", "target=other", "userProject=other", "quotaUser=other", "alt=sse", "callback=x", "organization=other", "$xgafv=1",
	"a=1;b=2", "unknown", "=x",
}

// TestForward: what of a request reaches a provider, by default and where the
// configuration says more.
func TestForward(t *testing.T) {
	alpha := recorder.Start(t, recorder.WithName("alpha"))
	bravo := recorder.Start(t, recorder.WithName("bravo"))
	charlie := recorder.Start(t, recorder.WithName("charlie"))
	g := gatewaytest.Start(t, fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      outlier_detection: {disabled: true}
      providers:
        - {id: alpha, base_url: %s}
        - {id: bravo, base_url: "%s?api-version=1", forward: {headers: [X-Tenant, x-amzn-sagemaker-*], query: [deployment_id]}}
        - {id: charlie, base_url: %s, forward: {headers: all, query: all}}
`, alpha.URL(), bravo.URL(), charlie.URL()))
	post := func(t *testing.T, path, body string, header ...string) {
		t.Helper()
		for _, p := range []*recorder.Provider{alpha, bravo, charlie} {
			p.Reset()
		}
		if a := g.Post(path, body, header...); a.Status != 200 {
			t.Fatalf("response %d %s", a.Status, a.Body)
		}
	}
	var all []string
	for name, value := range forwarded {
		all = append(all, name, value)
	}
	for _, name := range steeringHeaders {
		all = append(all, name, "other")
	}
	t.Run("headers", func(t *testing.T) {
		post(t, "/v1/chat/completions", `{"model":"alpha:m"}`, all...)
		wantHeaders(t, alpha.Last(t), forwarded)
		for _, name := range steeringHeaders {
			if got := alpha.Last(t).Header.Values(name); got != nil {
				t.Errorf("alpha received %s: %q", name, got)
			}
		}
	})
	t.Run("headers of a failover", func(t *testing.T) {
		for _, c := range []struct {
			order []string
		}{{[]string{"alpha", "bravo", "charlie"}}, {[]string{"charlie", "bravo", "alpha"}}, {[]string{"bravo", "alpha", "bravo"}}, {[]string{"charlie", "alpha", "charlie"}}} {
			providers := map[string]*recorder.Provider{"alpha": alpha, "bravo": bravo, "charlie": charlie}
			for _, p := range providers {
				p.Reset()
			}
			var models []string
			for i, id := range c.order {
				models = append(models, fmt.Sprintf("%q", fmt.Sprint(id, ":m", i)))
				if i < len(c.order)-1 {
					providers[id].Script(recorder.Status(503, nil, "no"))
				}
			}
			a := g.Post("/v1/chat/completions", `{"models":[`+strings.Join(models, ",")+`]}`, all...)
			if a.Status != 200 || a.Header.Get("X-Weir-Attempts") != "3" {
				t.Fatalf("response %d %s after %s attempts", a.Status, a.Body, a.Header.Get("X-Weir-Attempts"))
			}
			for id, p := range providers {
				for _, r := range p.Requests() {
					wantHeaders(t, r, forwarded)
					for _, name := range steeringHeaders {
						low := strings.ToLower(name)
						never := slices.Contains([]string{"x-goog-user-project", "openai-organization", "openai-project", "x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"}, low)
						want := !never && (id == "charlie" || id == "bravo" && (low == "x-tenant" || strings.HasPrefix(low, "x-amzn-sagemaker-")))
						if got := r.Header.Values(name); (got != nil) != want || want && !slices.Equal(got, []string{"other"}) {
							t.Errorf("%v: %s received %s: %q", c.order, id, name, got)
						}
					}
				}
			}
		}
	})
	t.Run("queries", func(t *testing.T) {
		for _, query := range steeringQueries {
			post(t, "/v1/chat/completions?beta=true&"+query+"&limit=2", `{"model":"alpha:m"}`)
			if got, want := alpha.Last(t).Path, "/v1/chat/completions?beta=true&limit=2"; got != want {
				t.Errorf("%s: alpha received %s", query, got)
			}
		}
	})
	t.Run("queries of a failover", func(t *testing.T) {
		for _, p := range []*recorder.Provider{alpha, bravo, charlie} {
			p.Reset()
		}
		alpha.Script(recorder.Status(503, nil, "no"))
		bravo.Script(recorder.Status(503, nil, "no"))
		g.Post("/v1/chat/completions?api-version=2&deployment_id=d&x=%20y&_method=PUT&%24httpMethod=PUT&key=k", `{"models":["alpha:m","bravo:m","charlie:m"]}`)
		for p, want := range map[*recorder.Provider]string{alpha: "?api-version=2", bravo: "?api-version=1&deployment_id=d", charlie: "?api-version=2&deployment_id=d&x=%20y"} {
			if got := p.Last(t).Path; got != "/v1/chat/completions"+want {
				t.Errorf("%s received %s, want %s", p.Name, got, want)
			}
		}
	})
}

func wantHeaders(t *testing.T, r recorder.Request, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got := r.Header.Get(name); got != want[name] {
			t.Errorf("the provider received %s: %q, want %q", name, got, want[name])
		}
	}
}

// TestSelectorsInBodies: a key with a scope cannot choose in the body what is
// behind a provider; other keys can.
func TestSelectorsInBodies(t *testing.T) {
	p := recorder.Start(t)
	const free, narrow, byProvider = "key-without-a-scope", "key-with-a-model-scope", "key-with-a-provider-scope"
	g := gatewaytest.Start(t, fmt.Sprintf(`
access_keys:
  - {name: free, value: %[2]s}
  - {name: narrow, value: %[3]s, configuration: {access: {models: {allow: ["p:m", "q:m"]}}}}
  - {name: by-provider, value: %[4]s, configuration: {access: {providers: {allow: [p, q]}}}}
providers:
  - {id: p, base_url: %[1]s}
  - {id: q, base_url: %[1]s, forward: {body: [provider, route]}}
`, p.URL(), free, narrow, byProvider))
	for _, key := range []string{
		"fallbacks", "route", "provider", "deployment_id", "Fallbacks", "PROVIDER", "deploymentId", "deployment-id", `pro\u0076ider`, "fallback\u017f",
		"fallback_models", "engine", "deployment", "target_model", "provider_options", "providerOptions", "custom_llm_provider", "api_base", "base_url", "api_key",
		"extra_headers", "extra_body", "user_config", "model_list", "preset", "adapter_id", "lora_path", "azure_ad_token", "aws_region_name", "vertex_project", "draft_model", "organization",
	} {
		body := `{"model":"p:m","` + key + `":["other"],"messages":[]}`
		for _, access := range []string{narrow, byProvider} {
			p.Reset()
			a := g.Post("/v1/chat/completions", body, "Authorization", "Bearer "+access)
			if a.Status != 403 || !strings.Contains(a.Body, `"model_not_allowed"`) || !strings.Contains(a.Body, "forward.body") || len(p.Requests()) != 0 {
				t.Errorf("%s: response %d %s", key, a.Status, a.Body)
			}
		}
		p.Reset()
		if a := g.Post("/v1/chat/completions", body, "Authorization", "Bearer "+free); a.Status != 200 || string(p.Last(t).Body) != strings.Replace(body, "p:m", "m", 1) {
			t.Errorf("%s: response %d %s", key, a.Status, a.Body)
		}
	}
	for body, status := range map[string]int{
		`{"model":"q:m","provider":{"order":["a"]},"route":"fallback"}`: 200,
		`{"model":"q:m","provider":{},"fallbacks":[]}`:                  403,
		`{"models":["q:m","p:m"],"provider":{}}`:                        403,
		`{"model":"p:m","provider":null,"user":"provider"}`:             200,
		`{"model":"p:m","metadata":{"provider":"x"},"routes":1}`:        200,
	} {
		if a := g.Post("/v1/chat/completions", body, "x-api-key", narrow); a.Status != status {
			t.Errorf("%s: response %d %s", body, a.Status, a.Body)
		}
	}
	form := func(name string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\np:m\r\n--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\nother\r\n--b--\r\n"
	}
	for name, status := range map[string]int{"prompt": 200, "provider": 403, "deployment_id": 403, "provider[order][]": 403, "Fallbacks": 403} {
		a := g.Send("POST", "/v1/audio/transcriptions", strings.NewReader(form(name)), "Content-Type", "multipart/form-data; boundary=b", "Authorization", "Bearer "+narrow)
		if a.Status != status {
			t.Errorf("form with %s: response %d %s", name, a.Status, a.Body)
		}
	}
}

// TestAccessKeyIsNotForwarded: nothing that equals the presented key reaches a provider,
// wherever the client writes it.
func TestAccessKeyIsNotForwarded(t *testing.T) {
	t.Parallel()
	alpha := recorder.Start(t, recorder.WithName("alpha"))
	bravo := recorder.Start(t, recorder.WithName("bravo"))
	const key, other = "weir-Key/0123+456789=abc", "another-credential-of-the-client"
	g := gatewaytest.Start(t, fmt.Sprintf(`
access_keys: [{name: team, value: %q}]
on_http_request:
  - type: ai-gateway
    config:
      outlier_detection: {disabled: true}
      headers: {x-copy: "${'x-note' in req.headers ? req.headers['x-note'][0] : 'none'}", x-user: "${'user' in req.body ? req.body.user : 'none'}"}
      query_params: {user: "${'user' in req.body ? req.body.user : 'none'}"}
      providers:
        - {id: alpha, base_url: %s, forward: {headers: all, query: all}}
        - {id: bravo, base_url: %s, forward: {headers: all, query: all}}
`, key, alpha.URL(), bravo.URL()), gatewaytest.Secrets(key, other))
	escaped := strings.ReplaceAll(key, "/", `\/`)
	net := strings.ReplaceAll(key, "+", `\u002B`)
	spelled := ""
	for _, c := range key {
		spelled += fmt.Sprintf(`\u%04x`, c)
	}
	header := []string{
		"Authorization", "Bearer " + key, "X-Api-Key", other, "X-Goog-Api-Key", key,
		"X-Note", key, "X-Basic", "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+key)), "X-Bearer", "bearer " + key, "X-Escaped", url.QueryEscape(key),
		"X-In", "a=" + key + ";", "User-Agent", "agent " + key, "Traceparent", other, "Anthropic-Beta", key, "X-Fine", "fine", "X-Twice", url.QueryEscape(url.QueryEscape(key)),
	}
	for name, c := range map[string]struct{ body, want string }{
		"nothing":             {`{"models":["alpha:m","bravo:m"],"messages":[]}`, `{"messages":[]}`},
		"a value":             {`{"models":["alpha:m","bravo:m"],"user":"` + key + `"}`, `{"user":"[redacted]"}`},
		"in a prompt":         {`{"models":["alpha:m","bravo:m"],"messages":[{"content":"my key ` + key + ` and ` + key + `"}]}`, `{"messages":[{"content":"my key [redacted] and [redacted]"}]}`},
		"slashes escaped":     {`{"models":["alpha:m","bravo:m"],"user":"` + escaped + `"}`, `{"user":"[redacted]"}`},
		"as .NET writes it":   {`{"models":["alpha:m","bravo:m"],"messages":[{"content":"` + net + `"}]}`, `{"messages":[{"content":"[redacted]"}]}`},
		"every letter":        {`{"models":["alpha:m","bravo:m"],"user":"` + spelled + `"}`, `{"user":"[redacted]"}`},
		"a key of the object": {`{"models":["alpha:m","bravo:m"],"` + key + `":1}`, `{"[redacted]":1}`},
		"another credential":  {`{"models":["alpha:m","bravo:m"],"user":"` + other + `"}`, `{"user":"[redacted]"}`},
	} {
		t.Run(name, func(t *testing.T) {
			alpha.Reset()
			bravo.Reset()
			alpha.Script(recorder.Status(503, nil, "no"))
			query := "?key=" + url.QueryEscape(key) + "&a=" + url.QueryEscape(key) + "&b=x" + url.PathEscape(key) + "&api_key=" + other + "&access_token=1&c=1&d=" + url.QueryEscape(url.QueryEscape(other)) + "&" + url.QueryEscape(key) + "=1"
			a := g.Post("/v1/chat/completions"+query, c.body, header...)
			if a.Status != 200 || a.Header.Get("X-Weir-Attempts") != "2" {
				t.Fatalf("response %d %s", a.Status, a.Body)
			}
			for _, p := range []*recorder.Provider{alpha, bravo} {
				r := p.Last(t)
				user := "none"
				if strings.Contains(c.body, `"user"`) {
					user = "%5Bredacted%5D"
				}
				if want := "/v1/chat/completions?user=" + user + "&c=1"; r.Path != want {
					t.Errorf("%s received %s, want %s", p.Name, r.Path, want)
				}
				if want := strings.Replace(c.want, "{", `{"model":"m",`, 1); string(r.Body) != want {
					t.Errorf("%s received %s, want %s", p.Name, r.Body, want)
				}
				text := fmt.Sprint(r.Header, r.RawHeader)
				for _, secret := range []string{key, other, url.QueryEscape(key)} {
					if strings.Contains(text, secret) {
						t.Errorf("%s received %s", p.Name, text)
					}
				}
				for _, gone := range []string{"X-Note", "X-Basic", "X-Bearer", "X-Escaped", "X-In", "User-Agent", "Traceparent", "Anthropic-Beta", "X-Twice"} {
					if r.Header.Get(gone) != "" {
						t.Errorf("%s received %s: %s", p.Name, gone, r.Header.Get(gone))
					}
				}
				if r.Header.Get("X-Fine") != "fine" || r.Header.Get("X-Copy") != "none" {
					t.Errorf("%s received %v", p.Name, r.Header)
				}
			}
		})
	}
	t.Run("as the model", func(t *testing.T) {
		for model, status := range map[string]int{"alpha:x-" + key: 400, key: 404, "nobody:" + other: 404} {
			alpha.Reset()
			a := g.Post("/v1/chat/completions", `{"model":"`+model+`"}`, header...)
			if a.Status != status || len(alpha.Requests()) > 0 {
				t.Errorf("%s: response %d %s", model, a.Status, a.Body)
			}
			waitLogged(t, g.Stdout, "the request", 1, func(l *logLine) bool { return l.Status != nil && *l.Status == status })
		}
	})
}

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// The log names the client, and has the responses that the gateway made itself.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := gatewaytest.Start(t, fmt.Sprintf(`
max_body_bytes: 100000
access_keys:
  - {name: team-a, value: key-of-team-a-0123456789}
providers:
  - {id: p, base_url: %s, models: [{id: m}]}
`, p.URL()))
	const chat, body = "/v1/chat/completions", `{"model":"m"}`
	key := []string{"Authorization", "Bearer key-of-team-a-0123456789"}
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		want                     string // key operation asked_model: status cause code
	}{
		{"served", "POST", chat, body, key, "team-a chat m: 200"},
		{"no key", "POST", chat, body, nil, " chat : 401 refused invalid_api_key"},
		{"unknown key", "POST", chat, body, []string{"x-api-key", "no-such-key"}, " chat : 401 refused invalid_api_key"},
		{"unknown model", "POST", chat, `{"model":"nowhere"}`, key, "team-a chat nowhere: 404 refused model_not_found"},
		{"no JSON", "POST", "/v1/embeddings", `{"model":`, key, "team-a embeddings : 400 refused invalid_body"},
		{"two models", "POST", chat, `{"model":"m","model":"m"}`, key, "team-a chat : 400 refused duplicate_key"},
		{"encoded", "POST", "/v1/messages", body, append([]string{"Content-Encoding", "gzip"}, key...), "team-a chat : 415 refused unsupported_encoding"},
		{"too large", "POST", chat, `{"model":"m","x":"` + strings.Repeat("x", 120_000) + `"}`, key, "team-a chat : 413 refused request_too_large"},
		{"unknown path", "POST", "/v1/nothing", body, key, " unknown : 404 refused unknown_path"},
		{"GET", "GET", chat, "", key, " unknown : 405 refused method_not_allowed"},
		{"models", "GET", "/v1/models", "", key, "team-a models : 200"},
		{"no such model", "GET", "/v1/models/nothing", "", key, "team-a models : 404 refused model_not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := g.Send(c.method, c.path, strings.NewReader(c.body), c.header...)
			l := loggedAs(t, g, a.Header)
			r := &l.request
			if got := fmt.Sprintf("%s %s %s: %s", r.Key, r.Operation, r.Asked, r); got != c.want {
				t.Errorf("line  %s\nwant  %s", got, c.want)
			}
			if r.ClientIP != "127.0.0.1" || (r.KeyID == "") != (r.Key == "") || a.Status != *r.Status || r.BytesOut != len(a.Body) || r.Tokens != nil && r.Code != "" {
				t.Errorf("%+v", r)
			}
			if got := a.Header.Get("X-Request-Id"); got != r.RequestID {
				t.Errorf("x-request-id %q of request %s", got, r.RequestID)
			}
			if r.Code != "" && len(l.attempts) > 0 {
				t.Errorf("attempts %s", l.attemptList())
			}
			if r.KeyID == "key-of-team-a-0123456789" {
				t.Error("the key's id is the key")
			}
		})
	}
	// What is no HTTP, Envoy turns away by itself.
	t.Run("not HTTP", func(t *testing.T) {
		conn := g.Dial()
		_, _ = io.WriteString(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n")
		if b, _ := io.ReadAll(conn); !strings.Contains(string(b), " 400 ") {
			t.Errorf("response %q", b)
		}
		l := waitLogged(t, g.Stdout, "a rejected request", 1, func(l *logLine) bool { return l.Cause == "rejected" })[0]
		if got := l.request.String(); got != "400 rejected http1.codec_error" {
			t.Errorf("line %s", got)
		}
	})
	m := scrape(t, g)
	for _, labels := range []string{
		`weir_requests_total{code="",operation="chat",status="2xx"} 1`,
		`weir_requests_total{code="invalid_api_key",operation="chat",status="4xx"} 2`,
		`weir_requests_total{code="unknown_path",operation="unknown",status="4xx"} 1`,
		`weir_requests_total{code="method_not_allowed",operation="unknown",status="4xx"} 1`,
		`weir_requests_total{code="",operation="models",status="2xx"} 1`,
	} {
		if series, want, _ := strings.Cut(labels, "} "); fmt.Sprint(m[series+"}"]) != want {
			t.Errorf("%s: %v", labels, m[series+"}"])
		}
	}
}

// An id names one request, whatever clients and providers call theirs.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := gatewaytest.Start(t, "providers:\n  - {id: p, base_url: "+p.URL()+"}\n")
	const theirs = "6f1c1a52-1111-4222-8333-444455556666"
	t.Run("the client's", func(t *testing.T) {
		gate := make(chan struct{})
		var answers [2]gatewaytest.Response
		var all sync.WaitGroup
		for i := range answers {
			p.Script(func(x *recorder.Exchange) {
				<-gate
				recorder.Default(x)
			})
			all.Go(func() {
				answers[i] = g.Post("/v1/chat/completions", fmt.Sprintf(`{"model":"p:same-id-%d"}`, i), "X-Request-Id", theirs, "X-Weir-Request-Id", theirs)
			})
		}
		requests := p.WaitRequests(t, 2)
		close(gate)
		all.Wait()
		ids := map[string]bool{}
		for i := range answers {
			ids[requests[i].Header.Get("X-Request-Id")] = true
		}
		for i, a := range answers {
			l := loggedAs(t, g, a.Header)
			if asked := fmt.Sprintf("p:same-id-%d", i); l.request.Asked != asked || len(l.attempts) != 1 || l.attempts[0].Asked != asked {
				t.Errorf("%+v", l)
			}
			if id := l.request.RequestID; id == theirs || !ids[id] || a.Header.Get("X-Request-Id") != id {
				t.Errorf("id %s, the provider received %v, the client %v", id, ids, a.Header)
			}
		}
		if len(ids) != 2 {
			t.Errorf("the provider received %v", ids)
		}
	})
	t.Run("the provider's", func(t *testing.T) {
		p.Reset()
		p.Script(recorder.Status(200, http.Header{"X-Request-Id": {"req_of_provider"}, "X-Weir-Request-Id": {theirs}}, "{}"))
		a := g.Post("/v1/chat/completions", `{"model":"p:m"}`)
		l := loggedAs(t, g, a.Header)
		if a.Header.Get("X-Request-Id") != "req_of_provider" || l.request.RequestID == theirs || len(a.Header["X-Weir-Request-Id"]) != 1 {
			t.Errorf("%v", a.Header)
		}
	})
	t.Run("responses by Envoy itself", func(t *testing.T) {
		p.Reset()
		p.Script(recorder.ResetBeforeHeaders)
		a := g.Post("/v1/chat/completions", `{"model":"p:m"}`)
		l := loggedAs(t, g, a.Header)
		if a.Status != 502 || len(a.Header["X-Weir-Request-Id"]) != 1 || a.Header.Get("X-Request-Id") != l.request.RequestID {
			t.Errorf("%d %v", a.Status, a.Header)
		}
	})
}

// Nothing that clients or providers write is shown, except the name of a model, the path and
// the method of the request, and the id that the client gave it.
func TestContentIsNotLogged(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := gatewaytest.Start(t, fmt.Sprintf(`
access_keys:
  - {name: team-a, value: SENTINEL-access-key}
providers:
  - {id: p, base_url: %s, api_keys: [{value: SENTINEL-provider-key}]}
  - {id: q, base_url: http://%s}
`, p.URL(), recorder.ClosedAddr(t)), gatewaytest.Secrets("SENTINEL", "U0VOVElORUw"))
	said := http.Header{
		"Content-Type": {"application/json; note=SENTINEL"}, "X-Note": {"SENTINEL-answer"}, "Server": {"SENTINEL"}, "Set-Cookie": {"a=SENTINEL"},
		"X-Ratelimit-Remaining-Requests": {"SENTINEL"}, "X-Ratelimit-Reset-Requests": {"9SENTINEL"}, "Retry-After": {"SENTINEL"}, "Location": {"/SENTINEL"},
		"X-Request-Id": {"SENTINEL"}, "Openai-Organization": {"SENTINEL"},
	}
	hostile := []string{
		"Authorization", "Bearer SENTINEL-access-key", "User-Agent", "SENTINEL", "Referer", "SENTINEL", "Cookie", "a=SENTINEL", "X-Request-Id", "id-of-the-client",
		"X-Forwarded-For", "SENTINEL", "X-Note", "\"},{\"SENTINEL\":\"", "Traceparent", "SENTINEL", "X-Weir-Model", "SENTINEL", "X-Envoy-Original-Path", "/SENTINEL",
		"Openai-Organization", "SENTINEL", "Accept", "SENTINEL", "Anthropic-Beta", "SENTINEL",
	}
	const prompt = `"messages":[{"role":"user","content":"SENTINEL-prompt"}],"user":"SENTINEL","metadata":{"k":"SENTINEL"},"tools":[{"type":"function","function":{"name":"SENTINEL"}}]`
	n := 0
	for _, answer := range []recorder.Response{
		recorder.Status(200, said, `{"object":"chat.completion","model":"SENTINEL","choices":[{"message":{"content":"SENTINEL-answer"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"note":"SENTINEL"}}`),
		recorder.Status(200, said, `{"object":"SENTINEL`),
		recorder.Status(400, said, `{"error":{"message":"SENTINEL-error"}}`),
		recorder.Status(429, said, `{"error":{"message":"SENTINEL-error"}}`),
		recorder.Status(302, said, "SENTINEL"),
		recorder.Events("data: {\"SENTINEL\":1}\n\n", "event: SENTINEL\n", "data: SENTINEL"),
		recorder.CutMidBody(10),
	} {
		p.Script(answer)
		g.Post("/v1/chat/completions?key=SENTINEL", `{"model":"p:m","models":["q:m"],`+prompt+`}`, hostile...)
		n++
	}
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/nothing?SENTINEL=SENTINEL", "SENTINEL"},
		{"SENTINEL", "/v1/chat/completions", "SENTINEL"},
		{"POST", "/v1/chat/completions", "SENTINEL"},
		{"POST", "/v1/chat/completions", `{"model":{"SENTINEL":1},` + prompt + `}`},
		{"POST", "/v1/embeddings", `{"model":"q:m",` + prompt + `}`},
		{"GET", "/v1/models/nothing?SENTINEL", ""},
		{"OPTIONS", "*", ""},
	} {
		if c.path != "*" {
			g.Send(c.method, c.path, strings.NewReader(c.body), hostile...)
			n++
		}
	}
	for _, raw := range []string{
		"POST /v1/SENTINEL HTTP/1.1\r\nHost: SENTINEL\r\nContent-Length: SENTINEL\r\n\r\n",
		"SENTINEL /\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: SENTINEL\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: SENTINEL\r\nConnection: upgrade, close\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nbad SENTINEL: x\r\n\r\n",
		"CONNECT SENTINEL:443 HTTP/1.1\r\nHost: SENTINEL:443\r\n\r\n",
	} {
		conn := g.Dial()
		_, _ = io.WriteString(conn, raw)
		_, _ = io.Copy(io.Discard, conn)
		n++
	}
	waitLogged(t, g.Stdout, "all lines", n, func(*logLine) bool { return true })
	g.CheckSecrets()
}

// Whatever models clients ask for, there are no more series than the
// configuration has names.
func TestCardinality(t *testing.T) {
	p := recorder.Start(t)
	g := gatewaytest.Start(t, "providers:\n  - {id: p, base_url: "+p.URL()+", models: [{id: m}]}\n")
	ask := func(from, to int) {
		client := http1(t)
		var all sync.WaitGroup
		for w := range 8 {
			all.Go(func() {
				for i := from + w; i < to; i += 8 {
					path, model := "/v1/chat/completions", fmt.Sprintf("model-%d", i)
					switch i % 4 {
					case 1:
						model = "p:" + model // any model of a provider may be asked for
					case 2:
						path = fmt.Sprintf("/v1/operation-%d", i)
					case 3:
						model, path = "p:"+model, "/v1/embeddings"
					}
					post(t, client, g.URL+path, fmt.Appendf(nil, `{"model":%q,"input":"x","messages":[]}`, model), true)
				}
			})
		}
		all.Wait()
		// Not in the log: lines of requests without a key are sampled.
		gatewaytest.Eventually(t, "all requests", func() bool { return int(scrape(t, g).sum("weir_requests_total")) == to })
	}
	ask(0, 20)
	before := scrape(t, g)
	ask(20, 520)
	for series := range scrape(t, g) {
		if _, ok := before[series]; !ok && (strings.HasPrefix(series, "weir_") || strings.HasPrefix(series, "gen_ai_")) {
			t.Errorf("500 more requests made %s", series)
		}
	}
}

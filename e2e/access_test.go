package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// The clients' keys of TestAccess, by the name of their entry.
const (
	keyByValue  = "weir-key-written-in-the-file"
	keyByHash   = "weir-key-known-by-its-hash"
	keyByStore  = "weir-key-from-the-environment"
	keyAlpha    = "weir-key-for-provider-alpha"
	keyOneModel = "weir-key-for-one-model"
	keyNobody   = "weir-key-for-no-provider"
	keyNothing  = "weir-key-for-no-model"
	keyDeleted  = "weir-key-that-is-deleted"
)

// TestAccess tests access keys and what they may use (docs/configuration.md, "Access
// keys") on a running gateway.
func TestAccess(t *testing.T) {
	t.Parallel()
	alpha := recorder.Start(t, recorder.WithName("alpha"))
	bravo := recorder.Start(t, recorder.WithName("bravo"))
	providers := fmt.Sprintf(`
on_http_request:
  - type: ai-gateway
    config:
      providers:
        - id: alpha
          base_url: %s
          api_keys: [{value: key-of-alpha}]
          models: [{id: small}, {id: shared}]
          supported_api_surfaces: [{format: openai}, {format: anthropic}]
        - id: bravo
          id_aliases: [b]
          base_url: %s
          api_keys: [{value: key-of-bravo}]
          models: [{id: shared}, {id: large, id_aliases: [grand], provider_model_id: large-2}]
`, alpha.URL(), bravo.URL())
	keys := fmt.Sprintf(`
access_keys:
  - {name: by-value, value: %s}
  - {name: by-hash, sha256: %x}
  - {name: by-store, value: "${secrets.get('clients', 'carol')}"}
  - {name: alpha, value: %s, configuration: {access: {providers: {allow: [alpha]}}}}
  - {name: one-model, value: %s, configuration: {access: {models: {allow: ["bravo:shared"]}}}}
  - {name: nobody, value: %s, configuration: {access: {providers: {allow: []}}}}
  - {name: nothing, value: %s, configuration: {access: {models: {allow: []}}}}
`, keyByValue, sha256.Sum256([]byte(keyByHash)), keyAlpha, keyOneModel, keyNobody, keyNothing)
	deleted := "  - {name: deleted, value: " + keyDeleted + "}\n"

	g := gatewaytest.Start(t, providers, gatewaytest.Env("WEIR_SECRET_CLIENTS_CAROL", keyByStore),
		gatewaytest.Secrets("key-of-alpha", "key-of-bravo", keyByValue, keyByHash, keyByStore, keyAlpha, keyOneModel, keyNobody, keyNothing, keyDeleted))
	a := access{g, alpha, bravo}

	t.Run("anonymous", a.anonymous)
	t.Run("pages", a.pages)
	g.Reload(keys + deleted + providers)
	t.Run("credentials", a.credentials)
	t.Run("refusals", a.refusals)
	t.Run("scope", a.scope)
	t.Run("lists", a.lists)
	t.Run("deleted", func(t *testing.T) { a.deleted(t, func() { g.Reload(keys + providers) }) })
	t.Run("open to others", func(t *testing.T) { a.opened(t, providers) })
}

type access struct {
	*gatewaytest.Gateway
	alpha, bravo *recorder.Provider
}

// wantProvider checks that a request was served by one provider, which saw no
// credential but its own.
func (a access) wantProvider(t *testing.T, answer gatewaytest.Response, p *recorder.Provider, model string) {
	t.Helper()
	if answer.Status != 200 || !strings.Contains(answer.Body, p.ResponseText(model)) {
		t.Errorf("response %d %s, want that of %s", answer.Status, answer.Body, p.Name)
	}
	for _, r := range p.Requests() {
		bearer, key := "Bearer key-of-"+p.Name, ""
		if strings.HasPrefix(r.Path, "/v1/messages") {
			bearer, key = "", "key-of-"+p.Name
		}
		if r.Header.Get("Authorization") != bearer || r.Header.Get("X-Api-Key") != key {
			t.Errorf("%s received %v", p.Name, r.Header)
		}
		if all := fmt.Sprint(r.RawHeader, r.Path, string(r.Body)); strings.Contains(all, "weir-key") || strings.Contains(all, "unused") {
			t.Errorf("%s received %s", p.Name, all)
		}
	}
	if n := len(p.Requests()); n != 1 {
		t.Errorf("%s received %d requests", p.Name, n)
	}
	p.Reset()
	a.nothingSent(t)
}

func (a access) nothingSent(t *testing.T) {
	t.Helper()
	for _, p := range []*recorder.Provider{a.alpha, a.bravo} {
		if n := len(p.Requests()); n != 0 {
			t.Errorf("%s received %d requests", p.Name, n)
		}
		p.Reset()
	}
}

// credentials are ways to write a key, and why it is none.
var credentials = []struct {
	name   string
	header []string
	// refusal is empty where the key is found.
	refusal string
}{
	{"bearer", []string{"Authorization", "Bearer KEY"}, ""},
	{"bearer in small letters", []string{"authorization", "bearer KEY"}, ""},
	{"bearer in capitals", []string{"AUTHORIZATION", "BEARER KEY"}, ""},
	{"two spaces", []string{"Authorization", "Bearer  KEY "}, ""},
	{"x-api-key", []string{"x-api-key", "KEY"}, ""},
	{"X-API-KEY", []string{"X-API-KEY", "KEY"}, ""},
	{"x-goog-api-key", []string{"x-goog-api-key", "KEY"}, ""},
	{"api-key, of Azure's clients", []string{"api-key", "KEY"}, ""},
	{"x-api-key, and another for Azure", []string{"x-api-key", "KEY", "api-key", "unused"}, ""},
	{"bearer, and another x-api-key", []string{"Authorization", "Bearer KEY", "x-api-key", "unused"}, ""},
	{"x-api-key, and another for Google", []string{"x-api-key", "KEY", "x-goog-api-key", "unused"}, ""},
	{"basic is no credential of ours", []string{"Authorization", "Basic dW51c2VkOg==", "x-api-key", "KEY"}, ""},
	{"empty bearer", []string{"Authorization", "Bearer ", "x-api-key", "KEY"}, ""},

	{"another bearer, and x-api-key", []string{"Authorization", "Bearer unused", "x-api-key", "KEY"}, unknownKey},
	{"another x-api-key, and for Azure", []string{"x-api-key", "unused", "api-key", "KEY"}, unknownKey},
	{"another x-api-key, and for Google", []string{"x-api-key", "unused", "x-goog-api-key", "KEY"}, unknownKey},
	{"no scheme", []string{"Authorization", "KEY"}, noKey},
	{"basic", []string{"Authorization", "Basic KEY"}, noKey},
	{"another scheme", []string{"Authorization", "Token KEY"}, noKey},
	{"a tab", []string{"Authorization", "Bearer\tKEY"}, noKey},
	{"no space", []string{"Authorization", "BearerKEY"}, noKey},
	{"twice in one", []string{"Authorization", "Bearer KEY, Bearer KEY"}, unknownKey},
	{"quoted", []string{"Authorization", `Bearer "KEY"`}, unknownKey},
	{"cut short", []string{"Authorization", "Bearer CUT"}, unknownKey},
	{"longer", []string{"Authorization", "Bearer KEYx"}, unknownKey},
	{"in capitals", []string{"Authorization", "Bearer UPPER"}, unknownKey},
	{"its hash", []string{"Authorization", "Bearer HASH"}, unknownKey},
	{"bearer in x-api-key", []string{"x-api-key", "Bearer KEY"}, unknownKey},
	{"cookie", []string{"Cookie", "authorization=Bearer KEY; x-api-key=KEY"}, noKey},
	{"proxy", []string{"Proxy-Authorization", "Bearer KEY"}, noKey},
	{"underscores", []string{"x_api_key", "KEY"}, noKey},
	{"nothing", nil, noKey},
}

func (a access) credentials(t *testing.T) {
	for _, key := range []string{keyByValue, keyByHash, keyByStore} {
		write := strings.NewReplacer("KEY", key, "CUT", key[1:], "UPPER", strings.ToUpper(key), "HASH", fmt.Sprintf("%x", sha256.Sum256([]byte(key))))
		for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
			for _, c := range credentials {
				t.Run(key+path+" "+c.name, func(t *testing.T) {
					var header []string
					for i := 0; i < len(c.header); i += 2 {
						header = append(header, c.header[i], write.Replace(c.header[i+1]))
					}
					answer := a.Post(path, `{"model":"alpha:small"}`, header...)
					if c.refusal == "" {
						a.wantProvider(t, answer, a.alpha, "small")
						return
					}
					wantRefusal(t, answer, path, "invalid_api_key", c.refusal)
					a.nothingSent(t)
				})
			}
		}
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		for _, query := range []string{"?key=KEY", "?api_key=KEY", "?access_token=KEY", "?x-api-key=KEY", "?Authorization=Bearer%20KEY"} {
			t.Run(path+query, func(t *testing.T) {
				answer := a.Post(path+strings.ReplaceAll(query, "KEY", keyByValue), `{"model":"alpha:small"}`)
				wantRefusal(t, answer, path, "invalid_api_key", noKey)
				a.nothingSent(t)
			})
		}
	}
	// What Go's client does not write.
	for _, c := range []struct{ name, header, refusal string }{
		{"authorization twice", "Authorization: Bearer KEY\r\nAuthorization: Bearer KEY\r\n", unknownKey},
		{"x-api-key twice", "X-Api-Key: unused\r\nX-Api-Key: KEY\r\n", unknownKey},
		{"hop by hop", "Connection: authorization\r\nAuthorization: Bearer KEY\r\n", noKey},
		{"folded", "Authorization:\r\n Bearer unused\r\nX-Api-Key: KEY\r\n", unknownKey},
		{"in a trailer", "Transfer-Encoding: chunked\r\n\r\n17\r\nBODY\r\n0\r\nAuthorization: Bearer KEY\r\n\r\n", noKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := a.Dial()
			request := "POST /v1/messages HTTP/1.1\r\nHost: h\r\n" + c.header
			if !strings.Contains(request, "chunked") {
				request += "Content-Length: 23\r\n\r\nBODY"
			}
			_, _ = io.WriteString(conn, strings.NewReplacer("KEY", keyByValue, "BODY", `{"model":"alpha:small"}`).Replace(request))
			wantRefusal(t, answers(t, conn, 1)[0], "/v1/messages", "invalid_api_key", c.refusal)
			a.nothingSent(t)
		})
	}
}

const (
	noKey      = "no access key found: send it as Authorization: Bearer KEY (no other scheme), or as x-api-key, api-key or x-goog-api-key"
	unknownKey = "unknown access key: check that it was copied completely and has not been revoked"
)

// anonymous: on loopback and without keys, a credential is ignored, and stays
// here like any other.
func (a access) anonymous(t *testing.T) {
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		for _, c := range credentials {
			t.Run(path+" "+c.name, func(t *testing.T) {
				var header []string
				for i := 0; i < len(c.header); i += 2 {
					header = append(header, c.header[i], strings.NewReplacer("KEY", keyByValue, "CUT", "unused", "UPPER", "unused", "HASH", "unused").Replace(c.header[i+1]))
				}
				a.wantProvider(t, a.Post(path+"?key=unused", `{"model":"alpha:small"}`, header...), a.alpha, "small")
			})
		}
	}
}

// pages: what a page of someone else can make a browser of this machine send
// goes nowhere, as long as no key is asked for.
func (a access) pages(t *testing.T) {
	byName := "without access_keys, the gateway serves this machine only, and \"evil.example:8080\" may be the name of someone else: use http://127.0.0.1, add access_keys, or set allow_anonymous: true"
	byPage := "without access_keys, the gateway serves this machine only, and not the web page \"https://evil.example\": add access_keys, or set allow_anonymous: true"
	const form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nalpha:small\r\n--b--\r\n"
	for _, test := range []struct {
		name, method, path, body string
		header                   []string
		message                  string
	}{
		{"name", "POST", "/v1/chat/completions", `{"model":"alpha:small"}`, []string{"Host", "evil.example:8080", "Origin", "http://evil.example:8080"}, byName},
		{"name of messages", "POST", "/v1/messages", `{"model":"alpha:small"}`, []string{"Host", "evil.example:8080"}, byName},
		{"name of models", "GET", "/v1/models", "", []string{"Host", "evil.example:8080"}, byName},
		{"body without a type", "POST", "/v1/chat/completions", `{"model":"alpha:small"}`, []string{"Content-Type", "", "Origin", "https://evil.example"}, byPage},
		{"form", "POST", "/v1/audio/transcriptions", form, []string{"Content-Type", "multipart/form-data; boundary=b", "Origin", "https://evil.example"}, byPage},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := a.Send(test.method, test.path, strings.NewReader(test.body), test.header...)
			wantRefusal(t, answer, test.path, "invalid_api_key", test.message)
			a.nothingSent(t)
		})
	}
	t.Run("page of this machine", func(t *testing.T) {
		answer := a.Post("/v1/chat/completions", `{"model":"alpha:small"}`, "Host", "localhost:8080", "Origin", "http://localhost:3000")
		a.wantProvider(t, answer, a.alpha, "small")
	})
}

// refusals come before anything else is looked at, and in the right shape.
func (a access) refusals(t *testing.T) {
	tests := []struct {
		method, path, body string
		header             []string
		shape, message     string
	}{
		{"POST", "/v1/chat/completions", `{"model":"nowhere"}`, nil, "", noKey},
		{"POST", "/v1/chat/completions", `not JSON`, []string{"Authorization", "Bearer unused"}, "", unknownKey},
		{"POST", "/v1/chat/completions", ``, []string{"Content-Encoding", "gzip"}, "", noKey},
		{"POST", "/v1/chat/completions?beta=true", `{}`, nil, "", noKey},
		{"POST", "/v1/embeddings", `{}`, []string{"anthropic-version", "2023-06-01"}, "", noKey},
		{"POST", "/v1/audio/transcriptions", `{}`, []string{"x-api-key", "unused"}, "", unknownKey},
		{"POST", "/v1/messages", `{"model":"nowhere"}`, nil, "/v1/messages", noKey},
		{"POST", "/v1/messages?beta=true", `{`, []string{"x-api-key", "unused"}, "/v1/messages", unknownKey},
		{"POST", "/v1/messages/count_tokens", `{}`, nil, "/v1/messages", noKey},
		{"GET", "/v1/models", "", nil, "", noKey},
		{"GET", "/v1/models", "", []string{"x-api-key", "unused"}, "", unknownKey},
		{"GET", "/v1/models", "", []string{"anthropic-version", "2023-06-01"}, "/v1/messages", noKey},
		{"GET", "/v1/models/large", "", []string{"anthropic-version", "2023-06-01", "x-api-key", "unused"}, "/v1/messages", unknownKey},
	}
	for _, test := range tests {
		t.Run(strings.Join(append([]string{test.method, test.path}, test.header...), " "), func(t *testing.T) {
			header := append([]string{"Content-Type", "application/json"}, test.header...)
			answer := a.Send(test.method, test.path, strings.NewReader(test.body), header...)
			wantRefusal(t, answer, test.shape, "invalid_api_key", test.message)
			a.nothingSent(t)
		})
	}
}

const (
	providerDenied = " is not allowed here: your access key may not use its provider; GET /v1/models lists the models that you may use"
	modelDenied    = " is not allowed here: your access key may not use this model; GET /v1/models lists the models that you may use"
	notKnown       = ": write provider:model, or a name from GET /v1/models"
)

// scope is what keys may use. A refusal has the client's own words, and never
// the name of a provider or a model outside of its key's scope.
func (a access) scope(t *testing.T) {
	none := "no configured model can serve /v1/chat/completions with this access key"
	tests := []struct {
		key, body string
		served    string // alpha or bravo, with the model
		code      string
		message   string
		rejected  string // x-weir-rejected-models
	}{
		{key: keyByValue, body: `{"model":"bravo:large"}`, served: "bravo:large-2"},
		{key: keyByValue, body: `{"model":"grand"}`, served: "bravo:large-2"},
		{key: keyByValue, body: `{"model":"shared"}`, served: "alpha:shared"},
		{key: keyByValue, body: `{"model":"bravo:unlisted"}`, served: "bravo:unlisted"},
		{key: keyByValue, body: `{}`, served: "alpha:small"},

		{key: keyAlpha, body: `{"model":"alpha:small"}`, served: "alpha:small"},
		{key: keyAlpha, body: `{"model":"ALPHA:SMALL"}`, served: "alpha:small"},
		{key: keyAlpha, body: `{"model":"alpha:unlisted"}`, served: "alpha:unlisted"},
		{key: keyAlpha, body: `{"model":"shared"}`, served: "alpha:shared"},
		{key: keyAlpha, body: `{}`, served: "alpha:small"},
		{key: keyAlpha, body: `{"model":"bravo:large"}`, code: "provider_not_allowed", message: `"bravo:large"` + providerDenied},
		{key: keyAlpha, body: `{"model":"B/large"}`, code: "provider_not_allowed", message: `"B/large"` + providerDenied},
		{key: keyAlpha, body: `{"model":"bravo:lage"}`, code: "provider_not_allowed", message: `"bravo:lage"` + providerDenied},
		{key: keyAlpha, body: `{"model":"large"}`, code: "provider_not_allowed", message: `"large"` + providerDenied},
		{key: keyAlpha, body: `{"model":"grand"}`, code: "provider_not_allowed", message: `"grand"` + providerDenied},
		{key: keyAlpha, body: `{"model":"larg"}`, code: "model_not_found", message: `unknown model "larg"` + notKnown},
		{key: keyAlpha, body: `{"model":"smal"}`, code: "model_not_found", message: `unknown model "smal"` + notKnown + "; did you mean small?"},
		{key: keyAlpha, body: `{"model":"bravo"}`, code: "model_not_found", message: `unknown model "bravo"` + notKnown},
		{key: keyAlpha, body: `{"models":["bravo:large","large"]}`, code: "provider_not_allowed", message: `"bravo:large"` + providerDenied},
		{key: keyAlpha, body: `{"model":"bravo:large","models":["nowhere, else","alpha:small"]}`, served: "alpha:small", rejected: "bravo:large, nowhere%2C%20else"},

		{key: keyOneModel, body: `{"model":"bravo:shared"}`, served: "bravo:shared"},
		{key: keyOneModel, body: `{"model":"b/Shared"}`, served: "bravo:shared"},
		{key: keyOneModel, body: `{"model":"shared"}`, served: "bravo:shared"},
		{key: keyOneModel, body: `{}`, served: "bravo:shared"},
		{key: keyOneModel, body: `{"model":"weir/auto"}`, served: "bravo:shared"},
		{key: keyOneModel, body: `{"model":"alpha:shared"}`, code: "model_not_allowed", message: `"alpha:shared"` + modelDenied},
		{key: keyOneModel, body: `{"model":"bravo:large"}`, code: "model_not_allowed", message: `"bravo:large"` + modelDenied},
		{key: keyOneModel, body: `{"model":"bravo:unlisted"}`, code: "model_not_allowed", message: `"bravo:unlisted"` + modelDenied},
		{key: keyOneModel, body: `{"model":"large-2"}`, code: "model_not_found", message: `unknown model "large-2"` + notKnown},
		{key: keyOneModel, body: `{"model":"small"}`, code: "model_not_allowed", message: `"small"` + modelDenied},
		{key: keyOneModel, body: `{"model":"smal"}`, code: "model_not_found", message: `unknown model "smal"` + notKnown},
		{key: keyOneModel, body: `{"model":"share"}`, code: "model_not_found", message: `unknown model "share"` + notKnown + "; did you mean shared?"},

		{key: keyNobody, body: `{"model":"alpha:small"}`, code: "provider_not_allowed", message: `"alpha:small"` + providerDenied},
		{key: keyNobody, body: `{"model":"shared"}`, code: "provider_not_allowed", message: `"shared"` + providerDenied},
		{key: keyNobody, body: `{"model":"smal"}`, code: "model_not_found", message: `unknown model "smal"` + notKnown},
		{key: keyNobody, body: `{}`, code: "no_models_selected", message: none},
		{key: keyNothing, body: `{"model":"alpha:small"}`, code: "model_not_allowed", message: `"alpha:small"` + modelDenied},
		{key: keyNothing, body: `{"model":"alpha:unlisted"}`, code: "model_not_allowed", message: `"alpha:unlisted"` + modelDenied},
		{key: keyNothing, body: `{"model":"smal"}`, code: "model_not_found", message: `unknown model "smal"` + notKnown},
		{key: keyNothing, body: `{}`, code: "no_models_selected", message: none},
	}
	for _, test := range tests {
		t.Run(test.key+" "+test.body, func(t *testing.T) {
			answer := a.Post("/v1/chat/completions", test.body, "Authorization", "Bearer "+test.key)
			if got := answer.Header.Get("X-Weir-Rejected-Models"); got != test.rejected {
				t.Errorf("rejected models %q, want %q", got, test.rejected)
			}
			if test.code != "" {
				wantRefusal(t, answer, "", test.code, test.message)
				a.nothingSent(t)
				return
			}
			provider, model, _ := strings.Cut(test.served, ":")
			p := map[string]*recorder.Provider{"alpha": a.alpha, "bravo": a.bravo}[provider]
			a.wantProvider(t, answer, p, model)
		})
	}
	t.Run("in Anthropic's shape", func(t *testing.T) {
		answer := a.Post("/v1/messages", `{"model":"bravo:large"}`, "x-api-key", keyAlpha)
		wantRefusal(t, answer, "/v1/messages", "provider_not_allowed", `"bravo:large"`+providerDenied)
		a.nothingSent(t)
	})
}

// lists are GET /v1/models as each key sees it.
func (a access) lists(t *testing.T) {
	openai := func(ids ...string) string {
		var data []string
		for _, id := range ids {
			owner, _, _ := strings.Cut(id, ":")
			data = append(data, fmt.Sprintf(`{"id":%q,"object":"model","created":0,"owned_by":%q}`, id, owner))
		}
		return `{"object":"list","data":[` + strings.Join(data, ",") + `]}`
	}
	anthropic := func(ids ...string) string {
		var data []string
		for _, id := range ids {
			data = append(data, fmt.Sprintf(`{"type":"model","id":%q,"display_name":%[1]q,"created_at":"1970-01-01T00:00:00Z"}`, id))
		}
		ends := `"first_id":null,"last_id":null`
		if len(ids) > 0 {
			ends = fmt.Sprintf(`"first_id":%q,"last_id":%q`, ids[0], ids[len(ids)-1])
		}
		return `{"data":[` + strings.Join(data, ",") + `],"has_more":false,` + ends + `}`
	}
	for key, ids := range map[string][]string{
		keyByValue:  {"alpha:small", "alpha:shared", "bravo:shared", "bravo:large"},
		keyByHash:   {"alpha:small", "alpha:shared", "bravo:shared", "bravo:large"},
		keyAlpha:    {"alpha:small", "alpha:shared"},
		keyOneModel: {"bravo:shared"},
		keyNobody:   {},
		keyNothing:  {},
	} {
		t.Run(key, func(t *testing.T) {
			for _, want := range []struct {
				body   string
				header []string
			}{
				{openai(ids...), []string{"Authorization", "Bearer " + key}},
				{anthropic(ids...), []string{"x-api-key", key, "anthropic-version", "2023-06-01"}},
			} {
				answer := a.Get("/v1/models", want.header...)
				if answer.Status != 200 || answer.Body != want.body || answer.Header.Get("Content-Type") != "application/json" {
					t.Errorf("response %d %s\nwant     200 %s", answer.Status, answer.Body, want.body)
				}
			}
			seen := map[string]bool{}
			for _, id := range ids {
				seen[id] = true
			}
			for _, id := range []string{"alpha:small", "bravo:large"} {
				answer := a.Get("/v1/models/"+id, "Authorization", "Bearer "+key)
				if !seen[id] {
					wantRefusal(t, answer, "", "model_not_found", fmt.Sprintf("unknown model %q", id)+notKnown)
					continue
				}
				if want := strings.TrimSuffix(strings.TrimPrefix(openai(id), `{"object":"list","data":[`), `]}`); answer.Status != 200 || answer.Body != want {
					t.Errorf("response %d %s\nwant     200 %s", answer.Status, answer.Body, want)
				}
			}
			a.nothingSent(t)
		})
	}
}

// deleted: a key that is taken out is refused at once; what it began goes on.
func (a access) deleted(t *testing.T, remove func()) {
	ask := func(key string) gatewaytest.Response {
		return a.Post("/v1/chat/completions", `{"model":"alpha:small"}`, "Authorization", "Bearer "+key)
	}
	a.wantProvider(t, ask(keyDeleted), a.alpha, "small")

	gate := make(chan struct{})
	a.alpha.Script(recorder.Gated(gate))
	req, err := http.NewRequestWithContext(t.Context(), "POST", a.URL+"/v1/chat/completions", strings.NewReader(`{"model":"alpha:small","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+keyDeleted)
	resp, err := http1(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	remove()
	wantRefusal(t, ask(keyDeleted), "", "invalid_api_key", unknownKey)
	close(gate)
	if b, err := io.ReadAll(resp.Body); err != nil || !bytes.HasSuffix(b, []byte("data: [DONE]\n\n")) {
		t.Errorf("the stream ended with %v after %q", err, b)
	}
	a.alpha.Reset()
	wantRefusal(t, ask(keyDeleted), "", "invalid_api_key", unknownKey)
	a.nothingSent(t)
	a.wantProvider(t, ask(keyByValue), a.alpha, "small")
}

// opened: a gateway that others can reach needs keys.
func (a access) opened(t *testing.T, providers string) {
	refused := func(address string) string {
		return fmt.Sprintf("%s can be reached from other machines, and there are no access_keys: add one, listen on 127.0.0.1, or set allow_anonymous: true", address)
	}
	dir := t.TempDir()
	for address, open := range map[string]bool{
		"0.0.0.0:8080": true, "[::]:8080": true, ":8080": true, "192.0.2.1:8080": true, "[::ffff:192.0.2.1]:8080": true,
		"127.0.0.1:8080": false, "127.1.2.3:8080": false, "[::1]:8080": false, "localhost:8080": false, "[::ffff:127.0.0.1]:8080": false,
	} {
		for _, more := range []string{"", "allow_anonymous: true\n", "access_keys: [{name: a, value: " + keyByValue + "}]\n"} {
			t.Run(address+" "+more, func(t *testing.T) {
				file := filepath.Join(dir, "weir.yaml")
				if err := os.WriteFile(file, []byte(fmt.Sprintf("listen: %q\n", address)+more+providers), 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.CommandContext(t.Context(), gatewaytest.Binary(t), "check", "-c", file).Output()
				want := file + ": ok\n"
				if open && more == "" {
					want = file + ":1: listen: " + refused(address) + "\n"
				}
				if string(out) != want || (err == nil) != strings.HasSuffix(want, ": ok\n") {
					t.Errorf("%q %v\nwant %q", out, err, want)
				}
			})
		}
	}
	t.Run("at start", func(t *testing.T) {
		g := gatewaytest.New(t, "listen: 0.0.0.0:0\n"+providers)
		g.Launch("run", "-c", g.Config)
		wantFailure(t, g, "weir: "+g.Config+":1: listen: "+refused("0.0.0.0:0")+"\n")
	})
	t.Run("by a flag", func(t *testing.T) {
		g := gatewaytest.New(t, providers, gatewaytest.Listen("0.0.0.0:0"))
		g.Launch("run", "-c", g.Config)
		wantFailure(t, g, "weir: --listen: 0.0.0.0:0 can be reached from other machines, and there are no access_keys: add one, or set allow_anonymous: true\n")
	})
	t.Run("by a reload", func(t *testing.T) {
		a.Write("listen: 0.0.0.0:0\n" + providers)
		gatewaytest.Eventually(t, "a rejection", func() bool { return strings.Contains(a.Admin("/healthz"), "can be reached from other machines") })
		answer := a.Post("/v1/chat/completions", `{"model":"alpha:small"}`)
		wantRefusal(t, answer, "", "invalid_api_key", noKey)
		a.nothingSent(t)
	})
}

// wantFailure waits for weir to end by itself, with exit code 1 and a message.
func wantFailure(t *testing.T, g *gatewaytest.Gateway, message string) {
	t.Helper()
	_ = g.Wait()
	if code := g.Cmd.ProcessState.ExitCode(); code != 1 || g.Log() != message {
		t.Errorf("exit code %d, %q\nwant 1, %q", code, g.Log(), message)
	}
}

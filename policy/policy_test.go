package policy

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"weir/identity"
	"weir/llm"
)

func TestAuthenticate(t *testing.T) {
	const sum = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // of "foo"
	keys := "access_keys: [{name: hashed, sha256: " + sum + "}, {name: plain, value: 0123456789abcdef}]"
	for _, c := range []struct{ config, credential, want string }{
		{"", "", "anonymous"},
		{"", "unused", "anonymous"},
		{"{listen: 0.0.0.0:80, allow_anonymous: true}", "anything", "anonymous"},
		{keys, "foo", "hashed"},
		{keys, "0123456789abcdef", "plain"},
		{strings.Replace(keys, sum, strings.ToUpper(sum), 1), "foo", "hashed"},
		{keys, "FOO", "401"},
		{keys, "", "401"},
		{keys, sum, "401"},
		{keys, "0123456789abcde", "401"},
		{"{allow_anonymous: true, " + keys + "}", "unused", "401"},
	} {
		p, keys := newWorld().loadAll(t, c.config)
		key, err := p.Authenticate(keys.Index, c.credential)
		got := "anonymous"
		switch {
		case err != nil:
			got = fmt.Sprint(llm.AsError(err).Code.Status())
			if strings.Contains(err.Error(), c.credential) && c.credential != "" {
				t.Errorf("the error repeats the credential: %v", err)
			}
		case key != nil:
			got = key.Name
		}
		if got != c.want {
			t.Errorf("%s with %q: got %s, want %s", c.config, c.credential, got, c.want)
		}
	}
}

// A policy that asks for a key never takes an index without keys for leave to
// enter.
func TestAuthenticateWithoutKeys(t *testing.T) {
	p := newWorld().load(t, "access_keys: [{name: plain, value: 0123456789abcdef}]")
	if key, err := p.Authenticate(identity.NewIndex(nil), "0123456789abcdef"); err == nil {
		t.Errorf("let in as %+v", key)
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.8.9.1:80": true, "[::1]:80": true, "localhost:80": true, "[::ffff:127.0.0.1]:80": true,
		"0.0.0.0:80": false, ":80": false, "[::]:80": false, "10.0.0.1:80": false, "example.com:80": false, "nonsense": false, "": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// The effective configuration shows defaults, and no secret in any place that
// can hold one.
func TestEffective(t *testing.T) {
	const config = `
access_keys: [{name: k, value: SECRET-access-key}]
on_http_request:
  - type: ai-gateway
    config:
      headers: {X-Custom: SECRET-header}
      query_params: {tag: SECRET-param}
      providers:
        - id: a
          base_url: https://a.internal/v1?api-version=1&api_key=SECRET-query&x=2
          api_keys: [{value: SECRET-key}, {value: "SECRET-${secrets.get('s', 'k')}"}]
          headers: {X-Other: "SECRET ${secrets.get('s', 'k')}"}
          supported_api_surfaces: [{format: openai, base_url: "https://b.internal?token=SECRET-token"}]
`
	w := newWorld()
	w.env["WEIR_SECRET_S_K"] = "SECRET-value"
	p := w.load(t, config)
	out, err := yaml.Marshal(p.Effective())
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	if strings.Contains(text, "SECRET") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	for _, want := range []string{
		"listen: 127.0.0.1:8080", "max_body_bytes: 33554432", "per_request_timeout: 3m0s", "total_timeout: 6m0s", "stream_idle_timeout: 5m0s", "shutdown_timeout: 10s",
		"base_url: https://a.internal/v1?api-version=1&api_key=[redacted]&x=2", "base_url: https://b.internal?token=[redacted]",
		"value: ${secrets.get('s', 'k')}", "- value: '[redacted]'", "- connect_failure",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if !strings.Contains(p.gateway.Providers[0].BaseURL, "SECRET-query") || !strings.Contains(p.gateway.Providers[0].Surfaces[0].BaseURL, "SECRET-token") {
		t.Error("the policy's own configuration was changed")
	}
}

// Metadata and descriptions stay here: nothing that Envoy is given has them.
func TestMetadataIsNotSent(t *testing.T) {
	p := newWorld().load(t, `
providers:
  - id: a
    base_url: http://a.internal
    metadata: {m: STAYS}
    display_name: STAYS
    description: STAYS
    website: STAYS
    models: [{id: m, metadata: {m: STAYS}, description: STAYS}]
`)
	for _, c := range p.Clusters {
		if strings.Contains(fmt.Sprintf("%+v %+v", *c, c.Set), "STAYS") {
			t.Errorf("%+v", c)
		}
	}
	plan := planned(t, p, llm.EndpointAt(llm.ChatCompletionsPath), "", nil, `{"model":"a:m","models":["a:n"]}`)
	if text := fmt.Sprintf("%+v", plan.Attempts) + encode(plan); strings.Contains(text, "STAYS") {
		t.Error(text)
	}
}

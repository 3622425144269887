package policy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/identity"
	"weir/llm"
)

const modelsConfig = `
access_keys:
  - {name: all, value: 0123456789abcdef0}
  - {name: a-only, value: 0123456789abcdef1, configuration: {access: {providers: {allow: [a]}}}}
  - {name: one-model, value: 0123456789abcdef2, configuration: {access: {models: {allow: ["b:m"]}}}}
  - {name: nothing, value: 0123456789abcdef3, configuration: {access: {models: {allow: []}}}}
providers:
  - id: a
    base_url: http://a.internal
    models:
      - {id: m, provider_model_id: not/shown, id_aliases: [mm], author_id: meta, display_name: The Model}
      - {id: off, disabled: true}
  - {id: b, base_url: http://b.internal, id_aliases: [bb], supported_api_surfaces: [{format: anthropic}], models: [{id: m}, {id: x/y:z}]}
  - {id: gone, base_url: http://gone.internal, disabled: true, models: [{id: m}]}
  - {id: openrouter, api_keys: [{value: k}]}
`

// TestModels: what a key sees of the models, as their ids.
func TestModels(t *testing.T) {
	f := func(config, key, want string) {
		t.Helper()
		p, keys := newWorld().loadAll(t, config)
		for _, format := range []llm.Format{llm.OpenAI, llm.Anthropic} {
			body, err := p.Models(keys.Named(key), "", "", format)
			if err != nil {
				t.Fatal(err)
			}
			var list struct{ Data []struct{ ID string } }
			if err := json.Unmarshal(body, &list); err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, m := range list.Data {
				ids = append(ids, m.ID)
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("%s, %s:\n got %s\nwant %s", key, format, got, want)
			}
		}
	}
	f(modelsConfig, "all", "a:m b:m b:x/y:z")
	f(modelsConfig, "a-only", "a:m")
	f(modelsConfig, "one-model", "b:m")
	f(modelsConfig, "nothing", "")
	f("", "", "")
	only := func(fields string) string {
		return "on_http_request: [{type: ai-gateway, config: {" + fields + ", providers: [{id: inceptionlabs, api_keys: [{value: k}], models: [{id: mine}, {id: mercury-2}]}, {id: groq}]}}]"
	}
	f(only("on_error: halt"), "", "inceptionlabs:mine inceptionlabs:mercury-2 inceptionlabs:mercury-2.5")
	f("providers: [{id: inceptionlabs, api_keys: [{value: k}], models: [{id: mine, id_aliases: [Mercury-2]}]}]", "", "inceptionlabs:mine inceptionlabs:mercury-2.5")
	f(only("only_allow_configured_models: true"), "", "inceptionlabs:mine inceptionlabs:mercury-2")
}

// TestModel: one model by any name that a request could use, or the error.
func TestModel(t *testing.T) {
	p, keys := newWorld().loadAll(t, modelsConfig)
	f := func(key, id, want string) {
		t.Helper()
		body, err := p.Models(keys.Named(key), id, "", llm.OpenAI)
		got := string(body)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s, %s:\n got %s\nwant %s", key, id, got, want)
		}
	}
	f("all", "m", `{"id":"m","object":"model","created":0,"owned_by":"meta"}`)
	f("all", "A:MM", `{"id":"A:MM","object":"model","created":0,"owned_by":"meta"}`)
	f("all", "b/m", `{"id":"b/m","object":"model","created":0,"owned_by":"b"}`)
	f("all", "x/y:z", `{"id":"x/y:z","object":"model","created":0,"owned_by":"b"}`)
	f("all", "openrouter:any/thing", `{"id":"openrouter:any/thing","object":"model","created":0,"owned_by":"openrouter"}`)
	f("a-only", "m", `{"id":"m","object":"model","created":0,"owned_by":"meta"}`)
	const unknown = `: write provider:model, or a name from GET /v1/models`
	f("a-only", "b:m", `model_not_found: unknown model "b:m"`+unknown)
	f("a-only", "x/y:z", `model_not_found: unknown model "x/y:z"`+unknown)
	f("all", "off", `model_not_found: unknown model "off"`+unknown)
	f("all", "a:off", `model_not_found: unknown model "a:off"`+unknown)
	f("all", "gone:m", `model_not_found: unknown model "gone:m"`+unknown)
	f("all", "groq:x", `model_not_found: unknown model "groq:x"`+unknown)
	f("nothing", "mn", `model_not_found: unknown model "mn"`+unknown)
	f("all", "mn", `model_not_found: unknown model "mn"`+unknown+`; did you mean m, mm?`)
}

// The whole shapes, as the SDKs read them.
func TestModelShapes(t *testing.T) {
	p, keys := newWorld().loadAll(t, modelsConfig)
	f := func(key, id string, format llm.Format, want string) {
		t.Helper()
		body, err := p.Models(keys.Named(key), id, "", format)
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "", "  "); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimSpace(want), indented.String()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	f("a-only", "", llm.OpenAI, `
{
  "object": "list",
  "data": [
    {
      "id": "a:m",
      "object": "model",
      "created": 0,
      "owned_by": "meta"
    }
  ]
}`)
	f("a-only", "", llm.Anthropic, `
{
  "data": [
    {
      "type": "model",
      "id": "a:m",
      "display_name": "The Model",
      "created_at": "1970-01-01T00:00:00Z"
    }
  ],
  "has_more": false,
  "first_id": "a:m",
  "last_id": "a:m"
}`)
	f("nothing", "", llm.OpenAI, `
{
  "object": "list",
  "data": []
}`)
	f("nothing", "", llm.Anthropic, `
{
  "data": [],
  "has_more": false,
  "first_id": null,
  "last_id": null
}`)
	f("all", "b:m", llm.Anthropic, `
{
  "type": "model",
  "id": "b:m",
  "display_name": "b:m",
  "created_at": "1970-01-01T00:00:00Z"
}`)
}

// Every name in the list can be asked for.
func TestListedModelsResolve(t *testing.T) {
	p, keys := newWorld().loadAll(t, modelsConfig)
	for _, key := range append([]*identity.Key{nil}, keys.Named("a-only"), keys.Named("one-model")) {
		for _, m := range p.visible(key) {
			if _, err := p.Models(key, m.ID, "", llm.OpenAI); err != nil {
				t.Errorf("%s: %v", m.ID, err)
			}
		}
	}
}

package config_test

import (
	"encoding/json"
	"fmt"
	"io/fs"

	"weir/policy/config"
)

// A file is decoded to a Config. All problems are reported, and all other values decoded.
func ExampleDecode() {
	var c config.Config
	_, problems := config.Decode("weir.yaml", []byte(`
listen: 8080
shutdown_timeout: 30
providers:
  - id: my-ollama
    baseurl: http://localhost:11434
    models: [llama3.2]
`), &c)
	for _, p := range problems {
		fmt.Println(p)
	}
	fmt.Println(c.Listen, c.ShortProviders[0].ID)
	// Output:
	// weir.yaml:3: shutdown_timeout: must have a unit: write "30s"
	// weir.yaml:6: providers[0]: unknown field "baseurl": did you mean "base_url"?
	// weir.yaml:7: providers[0].models[0]: must be a mapping, but is a string: write `- id: llama3.2`
	// [127.0.0.1:8080] my-ollama
}

// The positions of a file give a problem its line. The line of a value that the file does
// not have is that of the nearest value above it.
func ExampleProblem() {
	var c config.Config
	pos, _ := config.Decode("weir.yaml", []byte("providers:\n  - id: a\n  - id: b\n"), &c)
	p := pos.Problem("providers[1].base_url", "is missing: %q is not in the catalogue", c.ShortProviders[1].ID)
	fmt.Println(p)
	fmt.Println(p.Line, p.Path)
	// Output:
	// weir.yaml:3: providers[1].base_url: is missing: "b" is not in the catalogue
	// 3 providers[1].base_url
}

// No form of printing shows a secret.
func ExampleSecret() {
	key := config.NewSecret("sk-0123456789")
	text, _ := json.Marshal(map[string]config.Secret{"key": key})
	fmt.Println(key, string(text))
	fmt.Printf("%v %#v %s\n", key, key, []config.Secret{key})
	fmt.Println(len(key.Reveal()))
	// Output:
	// [redacted] {"key":"[redacted]"}
	// [redacted] [redacted] [[redacted]]
	// 13
}

// A template is expanded with the secrets of a store. Printing it shows its references only.
func ExampleTemplate_Expand() {
	store := config.SecretStore{
		Getenv: func(name string) string {
			if name == "WEIR_SECRET_OPENAI_API_KEY" {
				return "sk-0123456789"
			}
			return ""
		},
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	}
	t := config.Template("Bearer ${secrets.get('openai', 'api-key')}")
	v, err := t.Expand(store)
	fmt.Println(t, v, len(v.Reveal()), err)
	_, err = config.Template("${secrets.get('openai', 'other')}").Expand(store)
	fmt.Println(err)
	// Output:
	// ${secrets.get('openai', 'api-key')} [redacted] 20 <nil>
	// secret "other" of store "openai" is missing: set the environment variable WEIR_SECRET_OPENAI_OTHER
}

// The schema has the default and the description of each field.
func ExampleSchema() {
	var schema struct {
		Properties map[string]struct {
			Default     any
			Description string
		}
	}
	if err := json.Unmarshal([]byte(config.Schema()), &schema); err != nil {
		fmt.Println(err)
	}
	field := schema.Properties["max_body_bytes"]
	fmt.Printf("%.0f: %s\n", field.Default, field.Description)
	// Output:
	// 33554432: Maximum size of a request body, in bytes. A larger body gets 413.
}

// Plain http is allowed only to internal hosts.
func ExampleParseBaseURL() {
	u, err := config.ParseBaseURL("https://api.groq.com/openai/v1", nil)
	fmt.Println(u.Authority(), config.Join(u, nil, "/v1/chat/completions"), err)
	_, err = config.ParseBaseURL("localhost:11434", nil)
	fmt.Println(err)
	// Output:
	// api.groq.com /openai/v1/chat/completions <nil>
	// has no scheme: write http://localhost:11434
}

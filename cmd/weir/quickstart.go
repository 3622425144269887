package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"weir/llm"
	"weir/policy"
	"weir/policy/config"
)

// quickstart is the configuration of `weir run` without a file: a demo provider, and
// the providers that are found on this machine.
type quickstart struct {
	sys    system
	config config.Config
	// found describes, for people, the providers and where they were found.
	found []string
}

// localServer is an inference server that a developer may run. base has no path.
type localServer struct{ id, name, base string }

// localServers are known inference servers, at their default addresses.
var localServers = []localServer{
	{"ollama", "Ollama", "http://localhost:11434"},
	{"lmstudio", "LM Studio", "http://localhost:1234"},
}

// cloudKeys are the environment variables that the providers' own SDKs read.
var cloudKeys = []struct{ id, env string }{
	{"openai", "OPENAI_API_KEY"},
	{"anthropic", "ANTHROPIC_API_KEY"},
}

// lookAround finds providers. It sends nothing to other machines.
func lookAround(ctx context.Context, sys system, demoAddress string) *quickstart {
	q := &quickstart{sys: sys}
	providers := []config.ProviderConfig{{
		ID: "demo", DisplayName: "Weir's built-in demo, not a real model",
		BaseURL:  "http://" + demoAddress + llm.PathPrefix,
		Surfaces: []config.SurfaceConfig{{Format: llm.OpenAI}, {Format: llm.Anthropic}},
		Models:   []config.ModelConfig{{ID: "demo"}, {ID: "demo-echo"}},
	}}
	q.found = append(q.found, "demo: a built-in demo provider (with fixed responses); models demo, demo-echo")
	for _, k := range cloudKeys {
		if sys.getenv(k.env) == "" {
			continue
		}
		providers = append(providers, config.ProviderConfig{
			ID: k.id, APIKeys: []config.APIKeyConfig{{Value: config.Template("${secrets.get('" + k.id + "', 'api-key')}")}},
		})
		q.found = append(q.found, k.id+": with the key in "+k.env)
	}
	for _, s := range sys.localServers {
		models, err := modelsOf(ctx, s.base)
		if err != nil {
			continue
		}
		p := config.ProviderConfig{ID: s.id, DisplayName: s.name, BaseURL: s.base}
		for _, id := range models {
			p.Models = append(p.Models, config.ModelConfig{ID: id})
		}
		providers = append(providers, p)
		q.found = append(q.found, fmt.Sprintf("%s: %s at %s, models: %s", s.id, s.name, s.base, strings.Join(models, ", ")))
	}
	q.config = config.Config{OnHTTPRequest: []config.RuleConfig{{Type: "ai-gateway", Config: &config.GatewayConfig{Providers: providers}}}}
	return q
}

// modelsOf asks an OpenAI-compatible server for its models.
func modelsOf(ctx context.Context, base string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+llm.ModelsPath, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	listed, err := llm.ReadModels(body)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, id := range listed {
		same := func(other string) bool { return strings.EqualFold(other, id) }
		if id != "" && !slices.ContainsFunc(ids, same) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// source returns the configuration in the form of a file.
func (q *quickstart) source() (policy.Source, error) {
	data, err := yaml.Marshal(q.config)
	if err != nil {
		return policy.Source{}, err
	}
	return policy.Source{File: "(built-in)", Data: data, ReadFile: os.ReadFile, Getenv: func(name string) string {
		if v := q.sys.getenv(name); v != "" {
			return v
		}
		for _, k := range cloudKeys {
			if name == "WEIR_SECRET_"+strings.ToUpper(k.id)+"_API_KEY" {
				return q.sys.getenv(k.env)
			}
		}
		return ""
	}}, nil
}

// welcome returns what `weir run` without a file prints when it is ready.
func (q *quickstart) welcome(address string) string {
	return fmt.Sprintf(`
Weir listens on http://%[1]s

Providers found:
  - %[2]s

Try it:
  curl http://%[1]s/v1/chat/completions \
    -H 'Content-Type: application/json' \
    -d '{"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}'

Or with the OpenAI SDK (pip install openai):
  from openai import OpenAI
  client = OpenAI(base_url="http://%[1]s/v1", api_key="unused")
  response = client.chat.completions.create(
      model="demo", messages=[{"role": "user", "content": "Hello!"}])
  print(response.choices[0].message.content)

Ctrl-C stops the gateway and its Envoy.
`, address, strings.Join(q.found, "\n  - "))
}

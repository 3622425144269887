package policy_test

import (
	"fmt"
	"io/fs"
	"time"

	"weir/llm"
	"weir/llm/body"
	"weir/policy"
)

// source returns a configuration as Load takes it: everything from outside of the
// file comes in through functions.
func source(file string) policy.Source {
	return policy.Source{
		File: "weir.yaml", Data: []byte(file),
		Getenv: func(name string) string {
			if name == "WEIR_SECRET_VLLM_API_KEY" {
				return "example"
			}
			return ""
		},
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	}
}

// A configuration is compiled as a whole: every problem is reported at once, each
// with its line and path.
func ExampleLoad() {
	_, _, problems := policy.Load(source(`
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 30 seconds
      providers:
        - id: my-ollama
          base_url: http://ollama.example.com
`))
	for _, p := range problems {
		fmt.Println(p.Line, p.Path)
	}
	// Output:
	// 5 on_http_request[0].config.per_request_timeout
	// 8 on_http_request[0].config.providers[0].base_url
}

// A plan is the ordered attempts of one request. The first changes the client's
// body; a later one changes what the first made of it.
func ExamplePolicy_Plan() {
	p, _, problems := policy.Load(source(`
providers:
  - id: my-ollama
    base_url: http://ollama.internal:11434
    models: [{id: llama3.2}]
  - id: vllm
    base_url: http://vllm.internal:8000/v1
    api_keys: [{value: "${secrets.get('vllm', 'api-key')}"}]
`))
	if len(problems) > 0 {
		fmt.Println(problems)
		return
	}
	var b body.Body
	if err := body.ReadJSON([]byte(`{"models":["llama3.2","vllm:qwen3"],"messages":[]}`), &b); err != nil {
		fmt.Println(err)
		return
	}
	plan, err := p.Plan(&policy.Request{Endpoint: llm.EndpointAt("/v1/chat/completions"), Body: &b, Now: time.Now()})
	if err != nil {
		fmt.Println(err)
		return
	}
	sent := b.Bytes
	for i := range plan.Attempts {
		a := &plan.Attempts[i]
		attempt := body.Apply(nil, sent, a.Edits)
		if i == 0 {
			sent = attempt
		}
		fmt.Printf("%s%s %s\n", a.Authority, a.Path, attempt)
	}
	// Output:
	// ollama.internal:11434/v1/chat/completions {"model":"llama3.2","messages":[]}
	// vllm.internal:8000/v1/chat/completions {"model":"qwen3","messages":[]}
}

// A change of access keys keeps the policy. Problems that are found later, such as a
// rejection by Envoy, name lines of the file that was read last.
func ExampleReload() {
	const keys = "access_keys:\n  - {name: ci, value: 0123456789abcdef}\n"
	const providers = "providers:\n  - {id: vllm, base_url: http://vllm.internal:8000/v1}\n"
	first, problems := policy.Reload(source(keys+providers), policy.Loaded{})
	if len(problems) > 0 {
		fmt.Println(problems)
		return
	}
	second, problems := policy.Reload(source(keys+"  - {name: dev, value: fedcba9876543210}\n"+providers), first)
	if len(problems) > 0 {
		fmt.Println(problems)
		return
	}
	fmt.Println("same policy:", second.Policy == first.Policy, "keys:", second.Keys.Len())
	cluster := second.Policy.Clusters[0].Name
	fmt.Println(first.ProblemOf(cluster, "rejected"))
	fmt.Println(second.ProblemOf(cluster, "rejected"))
	// Output:
	// same policy: true keys: 2
	// weir.yaml:4: providers[0]: rejected
	// weir.yaml:5: providers[0]: rejected
}

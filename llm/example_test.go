package llm_test

import (
	"fmt"

	"weir/llm"
)

func ExampleFindRoute() {
	route, err := llm.FindRoute("POST", "/v1/messages?beta=true")
	fmt.Println(route.Endpoint.Surface, route.Format, route.Query, err)

	_, err = llm.FindRoute("POST", "/chat/completions")
	fmt.Println(err)
	// Output:
	// messages anthropic beta=true <nil>
	// unknown_path: "/chat/completions" is not a path of this gateway: set the client's base URL to one that ends in /v1
}

func ExampleRenderModels() {
	models := []llm.Model{{ID: "meta:llama", Owner: "meta", DisplayName: "Llama"}}
	fmt.Println(string(llm.RenderModels(models, llm.OpenAI)))
	fmt.Println(string(models[0].Render(llm.Anthropic)))
	// Output:
	// {"object":"list","data":[{"id":"meta:llama","object":"model","created":0,"owned_by":"meta"}]}
	// {"type":"model","id":"meta:llama","display_name":"Llama","created_at":"1970-01-01T00:00:00Z"}
}

func ExampleReadModels() {
	ids, err := llm.ReadModels([]byte(`{"object":"list","data":[{"id":"llama3"},{"id":"qwen3"}]}`))
	fmt.Println(ids, err)
	_, err = llm.ReadModels([]byte(`{"data":[]}`))
	fmt.Println(err)
	// Output:
	// [llama3 qwen3] <nil>
	// not a list of models in OpenAI's shape
}

func ExampleCredentials() {
	var c llm.Credentials
	c.Set("x-api-key", "key-of-the-sdk")
	c.Set("authorization", "Bearer key-of-the-proxy")
	fmt.Println(c.First())
	// Output: key-of-the-proxy
}

func ExampleFormat_KeyHeader() {
	for _, host := range []string{"api.openai.com", "example.openai.azure.com"} {
		name := llm.OpenAI.KeyHeader(host)
		fmt.Printf("%s: %s\n", name, llm.KeyPrefix(name)+"KEY")
	}
	// Output:
	// authorization: Bearer KEY
	// api-key: KEY
}

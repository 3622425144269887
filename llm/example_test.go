package llm_test

import (
	"fmt"
	"time"

	"weir/llm"
)

func ExampleFindRoute() {
	route, err := llm.FindRoute("POST", "/v1/messages?beta=true")
	fmt.Println(route.Endpoint.Surface, route.Format, route.Query, err)

	// A client of Azure OpenAI names the model in the path.
	route, err = llm.FindRoute("POST", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
	fmt.Println(route.Endpoint.Surface, route.Format, route.Deployment, err)

	_, err = llm.FindRoute("POST", "/v1/chat/completions/")
	fmt.Println(err)
	// Output:
	// messages anthropic beta=true <nil>
	// chat-completions openai gpt-4o <nil>
	// unknown_path: "/v1/chat/completions/" is not a path of this gateway; did you mean /v1/chat/completions? Check the client's base URL. Case, slashes and escapes in a path must match exactly
}

func ExampleRenderModels() {
	models := []llm.Model{{ID: "meta:llama", Owner: "meta", DisplayName: "Llama"}}
	body, err := llm.RenderModels(models, llm.OpenAI, "")
	fmt.Println(string(body), err)
	fmt.Println(string(models[0].Render(llm.Anthropic)))
	// Output:
	// {"object":"list","data":[{"id":"meta:llama","object":"model","created":0,"owned_by":"meta"}]} <nil>
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

func ExampleError_Render() {
	err := llm.Errorf(llm.ModelNotFound, "unknown model %q: write provider:model", "gtp-4o")
	fmt.Println(err.Status())
	fmt.Printf("%s\n", err.Render(llm.OpenAI))
	fmt.Printf("%s\n", err.Render(llm.Anthropic))
	// Output:
	// 404
	// {"error":{"message":"unknown model \"gtp-4o\": write provider:model","type":"not_found_error","code":"model_not_found","param":null}}
	// {"type":"error","error":{"type":"not_found_error","message":"unknown model \"gtp-4o\": write provider:model"}}
}

// A response with status 200 may still be a failure: its first event tells.
func ExampleJudge() {
	for _, data := range []string{
		`{"choices":[{"delta":{"role":"assistant"}}]}`,
		`{"choices":[{"delta":{"content":"Hello"}}]}`,
		`{"error":{"message":"The server is overloaded","type":"server_error"}}`,
	} {
		verdict := llm.Judge{Kind: llm.KindChat}.Event(llm.Event{Data: []byte(data)})
		fmt.Printf("%t %q\n", verdict.Failed(), verdict.Cause())
	}
	// Output:
	// false ""
	// false ""
	// true "error_answer"
}

func ExampleEvent_Ends() {
	stop := llm.Event{Name: []byte("message_stop"), Data: []byte(`{"type":"message_stop"}`)}
	fmt.Println(stop.Ends(llm.KindMessages), stop.Ends(llm.KindChat))
	// Output: true false
}

func ExampleQuotaHeaders() {
	now := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	var h llm.QuotaHeaders
	h.Set("x-ratelimit-remaining-requests", "59")
	h.Set("x-ratelimit-reset-requests", "1s")
	quota, ok := h.Quota(200, now)
	fmt.Println(*quota.RemainingRequests, quota.ResetRequests.Sub(now), ok)
	// Output: 59 1s true
}

func ExampleUsage() {
	// A stream of messages from which the client disconnected: it has stated its input.
	u := llm.Usage{
		Begun:  `{"input_tokens":12,"cache_read_input_tokens":100,"output_tokens":1}`,
		Sample: "60 1000 20 200",
	}
	stated := u.Read("chat")
	t := u.Complete(stated, "chat", 90, 2000)
	fmt.Println(t.Input, t.InputEstimated, t.CachedInput)
	fmt.Println(t.Output, t.OutputEstimated) // 60 bytes of text in the first 1000, then 20 in every 200
	// Output:
	// 112 false 100
	// 40 true
}

func ExampleMediaOf() {
	fmt.Println(llm.MediaOf("Text/Event-Stream; charset=utf-8") == llm.MediaEvents)
	fmt.Println(llm.MediaOf("application/problem+json") == llm.MediaJSON)
	// Output:
	// true
	// true
}

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// usageCases are responses of providers in the shapes of their APIs.
var usageCases = []struct {
	name, path string
	stream     bool
	kind       string
	answer     string
	want       string
	operation  string
}{
	{"chat", "/v1/chat/completions", false, "application/json",
		`{"id":"c","object":"chat.completion","model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":3,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2}}}`,
		"11+7=18 cached 3 reasoning 2", "chat"},
	{"chat, streamed", "/v1/chat/completions", true, "text/event-stream",
		`data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}],"usage":null}

data: {"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}

data: [DONE]

`,
		"11+7=18 cached 0 reasoning 0", "chat"},
	{"responses", "/v1/responses", false, "application/json",
		`{"id":"r","object":"response","status":"completed","model":"x","output":[],"usage":{"input_tokens":11,"input_tokens_details":{"cached_tokens":3},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":18}}`,
		"11+7=18 cached 3 reasoning 2", "chat"},
	{"responses, streamed", "/v1/responses", true, "text/event-stream",
		`event: response.created
data: {"type":"response.created","response":{"id":"r","object":"response","status":"in_progress","model":"x","output":[],"usage":null}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","delta":"hi"}

event: response.completed
data: {"type":"response.completed","response":{"id":"r","object":"response","status":"completed","model":"x","output":[],"usage":{"input_tokens":11,"input_tokens_details":{"cached_tokens":3},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":18}}}

`,
		"11+7=18 cached 3 reasoning 2", "chat"},
	{"messages", "/v1/messages", false, "application/json",
		`{"id":"m","type":"message","role":"assistant","model":"x","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":8,"cache_creation_input_tokens":0,"cache_read_input_tokens":3,"output_tokens":7}}`,
		"11+7=18 cached 3 reasoning 0", "chat"},
	{"messages, streamed", "/v1/messages", true, "text/event-stream",
		`event: message_start
data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],"usage":{"input_tokens":8,"cache_creation_input_tokens":0,"cache_read_input_tokens":3,"output_tokens":1}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}

event: message_stop
data: {"type":"message_stop"}

`,
		"11+7=18 cached 3 reasoning 0", "chat"},
	{"completions", "/v1/completions", false, "application/json",
		`{"id":"c","object":"text_completion","model":"x","choices":[{"text":"hi","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}`,
		"11+7=18 cached 0 reasoning 0", "text_completion"},
	{"completions, streamed", "/v1/completions", true, "text/event-stream",
		`data: {"id":"c","object":"text_completion","model":"x","choices":[{"text":"hi","index":0}]}

data: {"id":"c","object":"text_completion","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}

data: [DONE]

`,
		"11+7=18 cached 0 reasoning 0", "text_completion"},
	{"embeddings", "/v1/embeddings", false, "application/json",
		`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"x","usage":{"prompt_tokens":11,"total_tokens":11}}`,
		"11+?=11 cached 0 reasoning 0", "embeddings"},
	{"embeddings, only a total", "/v1/embeddings", false, "application/json",
		`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"x","usage":{"total_tokens":11}}`,
		"11+?=11 cached 0 reasoning 0", "embeddings"},
	{"rerank, only a total", "/v1/rerank", false, "application/json",
		`{"model":"x","results":[{"index":0,"relevance_score":0.5}],"usage":{"total_tokens":11}}`,
		"11+?=11 cached 0 reasoning 0", "rerank"},
	{"chat, of a server that does not say what it is", "/v1/chat/completions", false, "application/json",
		`{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}`,
		"11+7=18 cached 0 reasoning 0", "chat"},
	{"chat, streamed, of a server that does not say what it is", "/v1/chat/completions", true, "text/event-stream",
		`data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}

data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}

data: [DONE]

`,
		"11+7=18 cached 0 reasoning 0", "chat"},
	{"chat, details are null", "/v1/chat/completions", false, "application/json",
		`{"id":"c","object":"chat.completion","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":null},"completion_tokens_details":null}}`,
		"11+7=18 cached 0 reasoning 0", "chat"},

	// Missing usage is estimated, and never 0.
	{"chat, no usage", "/v1/chat/completions", false, "application/json", `{"id":"c","object":"chat.completion","choices":[]}`, "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"chat, usage null", "/v1/chat/completions", false, "application/json", `{"id":"c","object":"chat.completion","choices":[],"usage":null}`, "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"chat, streamed, no usage", "/v1/chat/completions", true, "text/event-stream", "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n", "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"messages, streamed, no usage", "/v1/messages", true, "text/event-stream", "event: ping\ndata: {\"type\":\"ping\"}\n\n", "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"no JSON", "/v1/chat/completions", false, "text/plain", `{"object":"chat.completion","usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}`, "11+7=18 cached 0 reasoning 0", "chat"},
	{"broken JSON", "/v1/chat/completions", false, "application/json", `{"object":"chat.completion","usage":{"prompt_tokens":11,"completion_tokens":7`, "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"speech", "/v1/audio/speech", false, "audio/mpeg", "\xff\xfb", "1+?=1 cached 0 reasoning 0, estimated", "speech"},

	// What makes no sense is estimated, too.
	{"negative", "/v1/chat/completions", false, "application/json", `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":-11,"completion_tokens":7,"total_tokens":-4}}`, "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"negative output", "/v1/chat/completions", false, "application/json", `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":-7,"total_tokens":4}}`, "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"1e18", "/v1/chat/completions", false, "application/json", `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":1e18,"completion_tokens":7,"total_tokens":18}}`, "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"10^15", "/v1/chat/completions", false, "application/json", `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":1000000000000000,"total_tokens":18}}`, "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"a fraction", "/v1/chat/completions", false, "application/json", `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":11.5,"completion_tokens":7,"total_tokens":18}}`, "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"text", "/v1/chat/completions", false, "application/json", `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":"11","completion_tokens":"7"}}`, "1+1=2 cached 0 reasoning 0, estimated", "chat"},
	{"more cached than there is", "/v1/chat/completions", false, "application/json", `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":300},"completion_tokens_details":{"reasoning_tokens":200}}}`,
		"11+7=18 cached 11 reasoning 7", "chat"},
	{"a total of its own", "/v1/chat/completions", false, "application/json", `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":1000000}}`,
		"11+999989=1000000 cached 0 reasoning 0", "chat"},
}

// Token usage is read from responses in every shape, and what is not stated is
// estimated. Each response has a model of its own, so that the metrics tell
// them apart.
func TestUsage(t *testing.T) {
	p := recorder.Start(t)
	type sent struct {
		model  string
		packed bool
		answer gatewaytest.Response
	}
	var all []sent
	models := ""
	for i := range usageCases {
		for _, packed := range []bool{false, true} {
			model := fmt.Sprintf("m%d-%t", i, packed)
			models += "{id: " + model + "}, "
			all = append(all, sent{model: model, packed: packed})
		}
	}
	g := gatewaytest.Start(t, fmt.Sprintf(`
providers:
  - id: p
    base_url: %s
    models: [%s]
    supported_api_surfaces: [{format: openai}, {format: anthropic}]
`, p.URL(), models))
	for i := range all {
		c, s := &usageCases[i/2], &all[i]
		header, body := http.Header{"Content-Type": {c.kind}}, c.answer
		if s.packed {
			header.Set("Content-Encoding", "gzip")
			body = pack(body)
		}
		p.Script(recorder.Status(200, header, body))
		s.answer = g.Post(c.path, fmt.Sprintf(`{"model":"%s","stream":%t}`, s.model, c.stream), "Accept-Encoding", "gzip")
	}
	for i := range all {
		c, s := &usageCases[i/2], &all[i]
		t.Run(fmt.Sprintf("%s, gzip %t", c.name, s.packed), func(t *testing.T) {
			if s.answer.Status != 200 || s.answer.Body != c.answer || s.answer.Err != nil {
				t.Errorf("response %d %q %v", s.answer.Status, s.answer.Body, s.answer.Err)
			}
			l := loggedAs(t, g, s.answer.Header).request
			if got := l.usage(); got != c.want {
				t.Errorf("tokens %s, want %s", got, c.want)
			}
			if l.Stream != c.stream || l.Operation != c.operation || l.Model != s.model || l.Provider != "p" {
				t.Errorf("%+v", l)
			}
		})
	}
	// A record is in the metrics before it is in the log.
	metrics := scrape(t, g)
	unknown := map[string]float64{}
	for i, s := range all {
		c := &usageCases[i/2]
		want := ""
		switch {
		case strings.HasSuffix(c.want, "estimated"):
			unknown[c.operation]++
		case strings.Contains(c.want, "+?="):
			want = "1 of 11, 0 of 0"
		default:
			var input, output, total int
			if _, err := fmt.Sscanf(c.want, "%d+%d=%d", &input, &output, &total); err != nil {
				t.Fatal(err)
			}
			want = fmt.Sprintf("1 of %d, 1 of %d", input, output)
		}
		got := ""
		labels := []string{`gen_ai_operation_name="` + c.operation + `"`, `gen_ai_provider_name="p"`, `gen_ai_request_model="` + s.model + `"`, `gen_ai_response_model="` + s.model + `"`}
		if metrics.sum("gen_ai_client_token_usage_count", labels...) > 0 {
			of := func(name, kind string) float64 {
				return metrics.sum("gen_ai_client_token_usage_"+name, append(labels, `gen_ai_token_type="`+kind+`"`)...)
			}
			got = fmt.Sprintf("%g of %g, %g of %g", of("count", "input"), of("sum", "input"), of("count", "output"), of("sum", "output"))
		}
		if got != want {
			t.Errorf("%s, gzip %t: counted %q, want %q", c.name, s.packed, got, want)
		}
	}
	for operation, want := range unknown {
		if got := metrics.sum("weir_tokens_unknown_total", `operation="`+operation+`"`, `provider="p"`); got != want {
			t.Errorf("%g responses of %s have unknown usage, want %g", got, operation, want)
		}
	}
}

// pack compresses a text.
func pack(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

// The usage of a response of any size is read, where it is at the end or at the beginning.
func TestUsageOfLargeResponses(t *testing.T) {
	t.Parallel()
	const (
		known  = "11+?=11 cached 0 reasoning 0"
		vector = 1536
	)
	text := strings.Repeat("AAAA", vector) // as base64
	numbers := strings.Repeat("-0.012345678,", vector-1) + "0.5"
	p := recorder.Start(t)
	g := gatewaytest.Start(t, "providers:\n  - {id: p, base_url: "+p.URL()+"}\n")
	for _, c := range []struct {
		name   string
		value  string
		n      int
		packed bool
		want   string
	}{
		{"9.4 MiB of text", `"` + text + `"`, 1600, false, known},
		{"11 MiB of text", `"` + text + `"`, 1880, false, known},
		{"260,000 numbers", "[" + numbers + "]", 169, false, known},
		{"264,000 numbers", "[" + numbers + "]", 172, false, known},
		// Compressed a thousandfold.
		{"9.4 MiB of text, gzip", `"` + text + `"`, 1600, true, known},
		{"11 MiB of text, gzip", `"` + text + `"`, 1880, true, known},
	} {
		t.Run(c.name, func(t *testing.T) {
			one := `{"object":"embedding","index":0,"embedding":` + c.value + `}`
			body := `{"object":"list","data":[` + strings.Repeat(one+",", c.n-1) + one + `],"usage":{"prompt_tokens":11,"total_tokens":11}}`
			sent, header := body, http.Header{}
			if c.packed {
				header.Set("Content-Encoding", "gzip")
				sent = pack(body)
			}
			p.Script(recorder.Status(200, header, sent))
			a := g.Post("/v1/embeddings", `{"model":"p:m"}`)
			if a.Status != 200 || a.Body != body || a.Err != nil {
				t.Errorf("response %d, %d bytes of %d, %v", a.Status, len(a.Body), len(body), a.Err)
			}
			l := loggedAs(t, g, a.Header).request
			if got := l.Tokens.String(); got != c.want {
				t.Errorf("tokens %s, want %s", got, c.want)
			}
			if l.BytesOut != len(body) {
				t.Errorf("bytes_out %d, want %d", l.BytesOut, len(body))
			}
		})
	}
}

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// spellings are usage objects as providers write them. Sources are beside the table in llm.
var spellings = []struct{ name, usage, want string }{
	{"OpenAI", `{"prompt_tokens":20,"completion_tokens":7,"total_tokens":27,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}`, "20+7=27 cached 3 reasoning 2"},
	{"OpenAI's responses", `{"input_tokens":20,"output_tokens":7,"total_tokens":27,"input_tokens_details":{"cached_tokens":3},"output_tokens_details":{"reasoning_tokens":2}}`, "20+7=27 cached 3 reasoning 2"},
	{"OpenAI's transcriptions", `{"type":"tokens","input_tokens":20,"input_token_details":{"text_tokens":0,"audio_tokens":20},"output_tokens":7,"total_tokens":27}`, "20+7=27 cached 0 reasoning 0"},
	{"Anthropic", `{"input_tokens":10,"cache_creation_input_tokens":2,"cache_read_input_tokens":8,"output_tokens":7}`, "20+7=27 cached 8 reasoning 0"},
	{"Gemini's thoughts", `{"prompt_tokens":20,"completion_tokens":198,"total_tokens":623}`, "20+603=623 cached 0 reasoning 0"},
	{"xAI", `{"prompt_tokens":32,"completion_tokens":14,"total_tokens":386,"completion_tokens_details":{"reasoning_tokens":340}}`, "32+354=386 cached 0 reasoning 340"},
	{"Mistral", `{"prompt_tokens":64,"completion_tokens":6,"total_tokens":70,"num_cached_tokens":32}`, "64+6=70 cached 32 reasoning 0"},
	{"Moonshot", `{"prompt_tokens":64,"completion_tokens":6,"total_tokens":70,"cached_tokens":32}`, "64+6=70 cached 32 reasoning 0"},
	{"DeepSeek", `{"prompt_tokens":100,"completion_tokens":3,"total_tokens":103,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}`, "100+3=103 cached 64 reasoning 0"},
	{"Perplexity", `{"prompt_tokens":20,"completion_tokens":7,"total_tokens":27,"reasoning_tokens":5,"cost":{"total_cost":0.01}}`, "20+7=27 cached 0 reasoning 5"},
	{"spaces and fractions of 0", "{ \"prompt_tokens\" : 20.0 ,\r\t\"completion_tokens\" : 7 }", "20+7=27 cached 0 reasoning 0"},
}

// usageForms are responses of the APIs; %s is the usage object.
var usageForms = []struct {
	name, path, request, response string
}{
	{"chat", "/v1/chat/completions", `{"model":"p:m"}`, `{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}"}}],"usage":%s}`},
	{"chat, streamed", "/v1/chat/completions", `{"model":"p:m","stream":true}`, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":%s}\n\ndata: [DONE]\n\n"},
	{"chat, streamed, in the choice", "/v1/chat/completions", `{"model":"p:m","stream":true}`, "data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata:{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"usage\":%s}]}\n\ndata:[DONE]\n\n"},
	{"chat, streamed, in x_groq", "/v1/chat/completions", `{"model":"p:m","stream":true}`, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata: {\"choices\":[],\"x_groq\":{\"id\":\"r\",\"usage\":%s}}\r\n\r\ndata: [DONE]\r\n\r\n"},
	{"chat, streamed, no end", "/v1/chat/completions", `{"model":"p:m","stream":true}`, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[],\"usage\":%s}"},
	{"completions", "/v1/completions", `{"model":"p:m"}`, `{"usage":%s,"choices":[{"text":"hi"}]}`},
	{"completions, streamed", "/v1/completions", `{"model":"p:m","stream":true}`, "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[],\"usage\":%s}\n\ndata: [DONE]\n\n"},
	{"responses", "/v1/responses", `{"model":"p:m"}`, `{"id":"r","output":[{"type":"message"}],"tools":[{"parameters":{"properties":{"usage":{"maximum":1}}}}],"usage":%s,"metadata":{}}`},
	{"responses, streamed", "/v1/responses", `{"model":"p:m","stream":true}`, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[],\"usage\":%s,\"metadata\":{}}}\n\n"},
	{"messages", "/v1/messages", `{"model":"p:m"}`, `{"role":"assistant","content":[{"type":"tool_use","input":{"usage":{"input_tokens":1}}}],"usage":%s}`},
	{"messages, streamed", "/v1/messages", `{"model":"p:m","stream":true}`, "event: message_start\ndata: {\"message\":{\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":%s}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"},
	{"images", "/v1/images/generations", `{"model":"p:m","prompt":"a"}`, `{"created":1,"data":[{"b64_json":"AA=="}],"usage":%s}`},
	{"images, streamed", "/v1/images/generations", `{"model":"p:m","prompt":"a","stream":true}`, "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"AA==\",\"usage\":%s}\n\n"},
	{"transcriptions", "/v1/audio/transcriptions", transcription, `{"text":"a","usage":%s}`},
	{"transcriptions, streamed", "/v1/audio/transcriptions", transcription, "data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"a\",\"usage\":%s}\n\n"},
	{"speech, streamed", "/v1/audio/speech", `{"model":"p:m","input":"a","stream_format":"sse"}`, "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AA==\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":%s}\n\n"},
}

const transcription = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\np:m\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\nabc\r\n--b--\r\n"

// Every spelling of usage is read in every form of every API.
func TestUsageSpellings(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	g := gatewaytest.Start(t, "providers:\n  - {id: p, base_url: "+p.URL()+", supported_api_surfaces: [{format: openai}, {format: anthropic}]}\n")
	type sent struct {
		name, want string
		header     http.Header
	}
	var all []sent
	for i, form := range usageForms {
		for j, spelling := range spellings {
			body, header := fmt.Sprintf(form.response, spelling.usage), http.Header{"Content-Type": {"application/json"}}
			if body[0] != '{' {
				header.Set("Content-Type", "text/event-stream")
				body = strings.ReplaceAll(body, "\r\t", "\t") // a line break would end the event
			}
			encoded := body
			if (i+j)%2 == 1 {
				header.Set("Content-Encoding", "gzip")
				header.Set("Cache-Control", "no-transform")
				encoded = pack(body)
			}
			p.Script(recorder.Status(200, header, encoded))
			contentType := "application/json"
			if form.request == transcription {
				contentType = "multipart/form-data; boundary=b"
			}
			a := g.Post(form.path, form.request, "Content-Type", contentType)
			if a.Status != 200 || a.Body != body || a.Err != nil {
				t.Errorf("%s, %s: response %d %q %v", form.name, spelling.name, a.Status, a.Body, a.Err)
				continue
			}
			all = append(all, sent{form.name + ", " + spelling.name, spelling.want, a.Header})
		}
	}
	for _, s := range all {
		if l := loggedAs(t, g, s.header).request; l.usage() != s.want {
			t.Errorf("%s: tokens %s, want %s", s.name, l.usage(), s.want)
		}
	}
}

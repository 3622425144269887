package demo

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func call(t *testing.T, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w
}

// at follows a path of keys and indexes through decoded JSON.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := v.(map[string]any)
			v = object[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

func decode(t *testing.T, body []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

type event struct {
	name string // of the event line, or of the data's type
	data any    // nil for [DONE]
}

func events(t *testing.T, r io.Reader) []event {
	t.Helper()
	var all []event
	var name string
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			name = strings.TrimPrefix(line, "event: ")
		case line == "data: [DONE]":
			all = append(all, event{name: "[DONE]"})
		case strings.HasPrefix(line, "data: "):
			all = append(all, event{name, decode(t, []byte(strings.TrimPrefix(line, "data: ")))})
		case line != "":
			t.Errorf("unexpected line %q", line)
		}
	}
	return all
}

// Each surface, asked the same, says the same: whole and streamed, with the
// same numbers.
func TestAnswers(t *testing.T) {
	const chat = `"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"one two  three\n"}]`
	tests := []struct {
		path, prompt, limit   string
		text, delta           []any  // where the answer is, whole and in an event
		textEvent             string // which events have deltas
		usage                 []any
		input, output, reason string
		reasonPath            []any
		stop, length          string
	}{
		{
			path: "/v1/chat/completions", prompt: chat, limit: "max_completion_tokens",
			text: []any{"choices", 0, "message", "content"}, delta: []any{"choices", 0, "delta", "content"},
			usage: []any{"usage"}, input: "prompt_tokens", output: "completion_tokens",
			reasonPath: []any{"choices", 0, "finish_reason"}, stop: "stop", length: "length",
		},
		{
			path: "/v1/completions", prompt: `"prompt":"Be brief. one two  three\n"`, limit: "max_tokens",
			text: []any{"choices", 0, "text"}, delta: []any{"choices", 0, "text"},
			usage: []any{"usage"}, input: "prompt_tokens", output: "completion_tokens",
			reasonPath: []any{"choices", 0, "finish_reason"}, stop: "stop", length: "length",
		},
		{
			path: "/v1/responses", prompt: `"instructions":"Be brief.","input":"one two  three\n"`, limit: "max_output_tokens",
			text: []any{"output", 0, "content", 0, "text"}, delta: []any{"delta"}, textEvent: "response.output_text.delta",
			usage: []any{"usage"}, input: "input_tokens", output: "output_tokens",
			reasonPath: []any{"status"}, stop: "completed", length: "incomplete",
		},
		{
			path: "/v1/messages", prompt: `"system":[{"type":"text","text":"Be brief."}],"messages":[{"role":"user","content":[{"type":"text","text":"one two  three\n"}]}]`,
			limit: "max_tokens",
			text:  []any{"content", 0, "text"}, delta: []any{"delta", "text"}, textEvent: "content_block_delta",
			usage: []any{"usage"}, input: "input_tokens", output: "output_tokens",
			reasonPath: []any{"stop_reason"}, stop: "end_turn", length: "max_tokens",
		},
	}
	for _, test := range tests {
		for _, limit := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s limit %d", test.path, limit), func(t *testing.T) {
				want, wantOut, wantReason := "one two  three\n", 3., test.stop
				if strings.HasSuffix(test.path, "v1/completions") {
					want, wantOut = "Be brief. one two  three\n", 5
				}
				prompt := `{"model":"demo-echo",` + test.prompt
				if limit > 0 {
					want, wantOut, wantReason = want[:strings.Index(want, " ")+4], 2, test.length
					if strings.HasSuffix(test.path, "v1/completions") {
						want = "Be brief."
					}
					prompt += fmt.Sprintf(`,%q:%d`, test.limit, limit)
				}

				w := call(t, "POST", test.path, prompt+"}")
				whole := decode(t, w.Body.Bytes())
				if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || at(whole, test.text...) != want {
					t.Fatalf("got %d %s, want the text %q", w.Code, w.Body, want)
				}
				if at(whole, "model") != "demo-echo" || at(whole, test.reasonPath...) != wantReason {
					t.Errorf("got %s, want model demo-echo and reason %q", w.Body, wantReason)
				}
				if usage := at(whole, test.usage...); at(usage, test.input) != 5. || at(usage, test.output) != wantOut {
					t.Errorf("usage %v, want 5 in and %v out", usage, wantOut)
				}

				w = call(t, "POST", test.path, prompt+`,"stream":true}`)
				if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") || !w.Flushed {
					t.Fatalf("stream: got %d %v", w.Code, w.Header())
				}
				joined, deltas := "", 0
				for _, e := range events(t, w.Body) {
					if s, ok := at(e.data, test.delta...).(string); ok && s != "" && e.name == test.textEvent {
						joined += s
						deltas++
					}
				}
				if joined != want || deltas != int(wantOut) {
					t.Errorf("stream: %d deltas make %q, want %v and %q", deltas, joined, wantOut, want)
				}
			})
		}
	}
}

func names(all []event) (list []string) {
	for _, e := range all {
		if e.name != "" && (len(list) == 0 || list[len(list)-1] != e.name) {
			list = append(list, e.name)
		}
	}
	return list
}

func TestChatStream(t *testing.T) {
	w := call(t, "POST", "/v1/chat/completions",
		`{"model":"demo-echo","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"a <b>"}]}`)
	const head = `data: {"id":"chatcmpl-%s","object":"chat.completion.chunk","created":1767225600,"model":"demo-echo","system_fingerprint":"weir-demo",`
	want := strings.Join([]string{
		head + `"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}`,
		head + `"choices":[{"index":0,"delta":{"content":"a"},"logprobs":null,"finish_reason":null}],"usage":null}`,
		head + `"choices":[{"index":0,"delta":{"content":" <b>"},"logprobs":null,"finish_reason":null}],"usage":null}`,
		head + `"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}`,
		head + `"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}`,
		"data: [DONE]", "",
	}, "\n\n")
	id, _, _ := strings.Cut(strings.TrimPrefix(w.Body.String(), `data: {"id":"chatcmpl-`), `"`)
	if want := strings.ReplaceAll(want, "%s", id); w.Body.String() != want {
		t.Errorf("got\n%s\nwant\n%s", w.Body, want)
	}
}

func TestResponsesStream(t *testing.T) {
	w := call(t, "POST", "/v1/responses", `{"model":"demo","input":"hi","stream":true}`)
	all := events(t, w.Body)
	want := []string{
		"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
		"response.output_text.delta", "response.output_text.done", "response.content_part.done",
		"response.output_item.done", "response.completed",
	}
	if got := names(all); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for i, e := range all {
		if at(e.data, "sequence_number") != float64(i) || at(e.data, "type") != e.name {
			t.Errorf("event %d: %v", i, e)
		}
	}
	last := all[len(all)-1].data
	whole := decode(t, call(t, "POST", "/v1/responses", `{"model":"demo","input":"hi"}`).Body.Bytes())
	if got, want := at(last, "response", "output", 0, "content", 0, "text"), at(whole, "output", 0, "content", 0, "text"); got != want {
		t.Errorf("the stream ends with %q, the whole answer is %q", got, want)
	}
}

func TestMessagesStream(t *testing.T) {
	w := call(t, "POST", "/v1/messages", `{"model":"demo-echo","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi there"}]}`)
	want := `event: message_start
data: {"message":{"id":"%s","type":"message","role":"assistant","model":"demo-echo","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":2,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}},"type":"message_start"}

event: content_block_start
data: {"content_block":{"type":"text","text":""},"index":0,"type":"content_block_start"}

event: content_block_delta
data: {"delta":{"type":"text_delta","text":"hi"},"index":0,"type":"content_block_delta"}

event: content_block_delta
data: {"delta":{"type":"text_delta","text":" there"},"index":0,"type":"content_block_delta"}

event: content_block_stop
data: {"index":0,"type":"content_block_stop"}

event: message_delta
data: {"delta":{"stop_reason":"end_turn","stop_sequence":null},"type":"message_delta","usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

`
	id, _ := at(events(t, strings.NewReader(w.Body.String()))[0].data, "message", "id").(string)
	if want := strings.ReplaceAll(want, "%s", id); w.Body.String() != want {
		t.Errorf("got\n%s\nwant\n%s", w.Body, want)
	}
}

func TestDemoExplainsItself(t *testing.T) {
	const body = `{"model":"demo","messages":[{"role":"user","content":"What are you?"}]}`
	w := call(t, "POST", "/v1/chat/completions", body)
	text, _ := at(decode(t, w.Body.Bytes()), "choices", 0, "message", "content").(string)
	for _, want := range []string{"This is Weir's built-in demo model, not a real one.", "Model received: demo.", "Words in the prompt: 3."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	if again := call(t, "POST", "/v1/chat/completions", body); again.Body.String() != w.Body.String() {
		t.Error("the same request got another answer")
	}
}

func TestErrors(t *testing.T) {
	const anthropic = "anthropic-version"
	tests := []struct {
		method, path, body, header string
		status                     int
		want                       string
	}{
		{"POST", "/v1/chat/completions", `{"model":"gpt-4o","messages":[]}`, "", 404, `{"error":{"code":"model_not_found","message":"The model \"gpt-4o\" does not exist. This is Weir's built-in demo model, not a real one. It has \"demo\" and \"demo-echo\".","param":"model","type":"invalid_request_error"}}`},
		{"POST", "/v1/messages", `{"model":"gpt-4o","messages":[]}`, "", 404, `{"error":{"message":"The model \"gpt-4o\" does not exist. This is Weir's built-in demo model, not a real one. It has \"demo\" and \"demo-echo\".","type":"not_found_error"},"type":"error"}`},
		{"POST", "/v1/responses", `{"input":"x"}`, "", 400, `{"error":{"code":null,"message":"model: this field is required; the demo has \"demo\" and \"demo-echo\".","param":"model","type":"invalid_request_error"}}`},
		{"POST", "/v1/completions", `{"model":"demo"}`, "", 400, `{"error":{"code":null,"message":"prompt: this field is required.","param":"prompt","type":"invalid_request_error"}}`},
		{"POST", "/v1/embeddings", `{"model":"demo","input":[]}`, "", 400, `{"error":{"code":null,"message":"input: this field is required.","param":"input","type":"invalid_request_error"}}`},
		{"POST", "/v1/embeddings", `{"model":"demo","input":"x","dimensions":9999}`, "", 400, `{"error":{"code":null,"message":"dimensions: 9999 is not between 1 and 4096.","param":"dimensions","type":"invalid_request_error"}}`},
		{"POST", "/v1/embeddings", `{"model":"demo","input":"x","encoding_format":"hex"}`, "", 400, `{"error":{"code":null,"message":"encoding_format: \"hex\" is neither \"float\" nor \"base64\".","param":"encoding_format","type":"invalid_request_error"}}`},
		{"POST", "/v1/embeddings", `{"model":"demo","input":{}}`, "", 400, `{"error":{"code":null,"message":"input: neither a string nor a list of strings or tokens.","param":"input","type":"invalid_request_error"}}`},
		{"POST", "/v1/chat/completions", `[]`, "", 400, `{"error":{"code":null,"message":"The request body is not a JSON object.","param":null,"type":"invalid_request_error"}}`},
		{"POST", "/v1/chat/completions", `null`, "", 400, `{"error":{"code":null,"message":"The request body is not a JSON object.","param":null,"type":"invalid_request_error"}}`},
		{"POST", "/v1/chat/completions", `{"model":7}`, "", 400, `{"error":{"code":null,"message":"model: unexpected number.","param":"model","type":"invalid_request_error"}}`},
		{"POST", "/v1/chat/completions", `{"model":"demo","max_tokens":0}`, "", 400, `{"error":{"code":null,"message":"max_tokens: 0 is less than 1.","param":"max_tokens","type":"invalid_request_error"}}`},
		{"POST", "/v1/chat/completions", `{"model":"demo","messages":[{"role":"user","content":5}]}`, "", 400, `{"error":{"code":null,"message":"messages: 5: not a text.","param":"messages","type":"invalid_request_error"}}`},
		{"POST", "/v1/messages", `{"model":"demo-echo","messages":[{"role":"assistant","content":"x"}]}`, "", 400, `{"error":{"message":"messages: \"demo-echo\" needs a user message to repeat.","type":"invalid_request_error"},"type":"error"}`},
		{"GET", "/v1/chat/completions", "", "", 404, `{"error":{"code":"unknown_url","message":"Unknown request URL: GET /v1/chat/completions. This is Weir's built-in demo model, not a real one.","param":null,"type":"invalid_request_error"}}`},
		{"GET", "/v1/files", "", anthropic, 404, `{"error":{"message":"Unknown request URL: GET /v1/files. This is Weir's built-in demo model, not a real one.","type":"not_found_error"},"type":"error"}`},
		{"GET", "/v1/models/x", "", "", 404, `{"error":{"code":"model_not_found","message":"The model \"x\" does not exist. This is Weir's built-in demo model, not a real one. It has \"demo\" and \"demo-echo\".","param":"model","type":"invalid_request_error"}}`},
		{"GET", "/v1/models/x", "", anthropic, 404, `{"error":{"message":"The model \"x\" does not exist. This is Weir's built-in demo model, not a real one. It has \"demo\" and \"demo-echo\".","type":"not_found_error"},"type":"error"}`},
	}
	for _, test := range tests {
		var header []string
		if test.header != "" {
			header = []string{test.header, "2023-06-01"}
		}
		w := call(t, test.method, test.path, test.body, header...)
		if w.Code != test.status || w.Body.String() != test.want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s\n got %d %s\nwant %d %s", test.method, test.path, test.body, w.Code, w.Body, test.status, test.want)
		}
	}
}

func TestModels(t *testing.T) {
	tests := []struct{ path, header, want string }{
		{"/v1/models", "", `{"data":[{"created":1767225600,"id":"demo","object":"model","owned_by":"weir-demo"},{"created":1767225600,"id":"demo-echo","object":"model","owned_by":"weir-demo"}],"object":"list"}`},
		{"/v1/models/demo", "", `{"created":1767225600,"id":"demo","object":"model","owned_by":"weir-demo"}`},
		{"/v1/models/demo", "anthropic-version", `{"created_at":"2026-01-01T00:00:00Z","display_name":"demo","id":"demo","lifecycle":"active","type":"model"}`},
	}
	for _, test := range tests {
		header := []string{"x", "y"}
		if test.header != "" {
			header = []string{test.header, "2023-06-01"}
		}
		if w := call(t, "GET", test.path, "", header...); w.Code != 200 || w.Body.String() != test.want {
			t.Errorf("%s: got %d %s, want %s", test.path, w.Code, w.Body, test.want)
		}
	}
	list := decode(t, call(t, "GET", "/v1/models", "", "anthropic-version", "2023-06-01").Body.Bytes())
	if at(list, "has_more") != false || at(list, "first_id") != "demo" || at(list, "last_id") != "demo-echo" || at(list, "data", 1, "id") != "demo-echo" {
		t.Errorf("Anthropic's list is %v", list)
	}
}

func TestEmbeddings(t *testing.T) {
	vectors := func(body string) (list [][]float32) {
		w := call(t, "POST", "/v1/embeddings", body)
		for i, item := range at(decode(t, w.Body.Bytes()), "data").([]any) {
			if at(item, "index") != float64(i) {
				t.Errorf("index %v at %d", at(item, "index"), i)
			}
			var vector []float32
			switch e := at(item, "embedding").(type) {
			case []any:
				for _, v := range e {
					vector = append(vector, float32(v.(float64)))
				}
			case string:
				raw, err := base64.StdEncoding.DecodeString(e)
				if err != nil {
					t.Fatal(err)
				}
				vector = make([]float32, len(raw)/4)
				if _, err := binary.Decode(raw, binary.LittleEndian, vector); err != nil {
					t.Fatal(err)
				}
			}
			list = append(list, vector)
		}
		return list
	}
	float := vectors(`{"model":"demo","input":["the cat sat","the cat ran","no relation whatever"]}`)
	coded := vectors(`{"model":"demo","input":["the cat sat","the cat ran","no relation whatever"],"encoding_format":"base64"}`)
	if len(float) != 3 || len(float[0]) != 256 {
		t.Fatalf("%d vectors, want 3 of 256", len(float))
	}
	for i := range float {
		if !slices.Equal(float[i], coded[i]) {
			t.Errorf("vector %d differs between float and base64", i)
		}
	}
	if near, far := dot(float[0], float[1]), dot(float[0], float[2]); near < far+0.2 || near > 1 {
		t.Errorf("similar texts are at %v, different ones at %v", near, far)
	}
	if got := vectors(`{"model":"demo","input":"x","dimensions":3}`); len(got) != 1 || len(got[0]) != 3 {
		t.Errorf("got %v, want one vector of 3", got)
	}
	if got := vectors(`{"model":"demo","input":[[1,2],[3]]}`); len(got) != 2 || slices.Equal(got[0], got[1]) {
		t.Error("two lists of tokens should make two vectors")
	}
	if got := vectors(`{"model":"demo","input":[1,2]}`); len(got) != 1 {
		t.Error("one list of tokens should make one vector")
	}
}

func dot(a, b []float32) (sum float32) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func TestCountTokens(t *testing.T) {
	body := `{"model":"demo","system":"a b","messages":[{"role":"user","content":[{"type":"text","text":"c"},{"type":"image","source":{}},{"type":"tool_result","content":[{"type":"text","text":"d e"}]}]}]}`
	if w := call(t, "POST", "/v1/messages/count_tokens", body); w.Body.String() != `{"input_tokens":5}` {
		t.Errorf("got %s", w.Body)
	}
}

func TestTooLarge(t *testing.T) {
	w := call(t, "POST", "/v1/messages", strings.Repeat(" ", maxBody+1))
	if w.Code != http.StatusRequestEntityTooLarge || at(decode(t, w.Body.Bytes()), "error", "type") != "request_too_large" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestSurfaceOf(t *testing.T) {
	tests := []struct{ path, want string }{
		{"/v1/chat/completions", "chat/completions"},
		{"/openai/deployments/D/chat/completions", "chat/completions"},
		{"/v1/completions", "completions"},
		{"/v1/messages", "messages"},
		{"/v1/messages/count_tokens", "messages/count_tokens"},
		{"/v1/xcompletions", ""},
		{"/v1/models", ""},
	}
	for _, test := range tests {
		if s, _ := SurfaceOf(test.path); s.name != test.want {
			t.Errorf("%s: got %q, want %q", test.path, s.name, test.want)
		}
	}
}

func TestPieces(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"", nil},
		{"a", []string{"a"}},
		{" a  b\n", []string{" a", "  b\n"}},
		{" \n", []string{" \n"}},
		{"über\u2003天", []string{"über", "\u2003天"}},
	}
	for _, test := range tests {
		if got := slices.Collect(pieces(test.text)); !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

// FuzzSurfaces holds that no body breaks a surface, and that every event is
// one line of JSON.
func FuzzSurfaces(f *testing.F) {
	for _, body := range []string{
		`{"model":"demo","stream":true,"messages":[{"role":"user","content":["a",{"text":"b"}]}]}`,
		`{"model":"demo","input":[[1],[2]],"prompt":"x","max_tokens":1,"stream":true}`,
		`{"system":null,"instructions":"","stream_options":{"include_usage":true},"stream":true}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, s := range surfaces {
			p, err := s.Read(body)
			if err != nil {
				if r := s.Refuse(err); r.Status != 400 || !json.Valid(r.Body) {
					t.Errorf("%s: %v gives %d %s", s.name, err, r.Status, r.Body)
				}
				continue
			}
			r := s.Reply(p, p.LastUser)
			if r.Events == nil {
				decode(t, r.Body)
				continue
			}
			for event := range r.Events {
				_, data, _ := strings.Cut(string(event), "data: ")
				if data, ok := strings.CutSuffix(data, "\n\n"); !ok || (data != "[DONE]" && !json.Valid([]byte(data))) {
					t.Errorf("%s: event %q", s.name, event)
				}
			}
		}
	})
}

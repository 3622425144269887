package gate

import (
	"slices"
	"strings"
	"testing"

	"weir/llm"
)

var names = map[string]llm.Verdict{"hold": llm.Undecided, "pass": llm.Accepted, "error": llm.ErrorResponse, "empty": llm.EmptyResponse, "wrong": llm.InvalidResponse}

// Each case is a body, fed whole, byte by byte and in two halves.
func TestJudge(t *testing.T) {
	const stream, json = "text/event-stream; charset=utf-8", "application/json"
	for _, c := range []struct {
		name   string
		kind   llm.ResponseKind
		stream bool
		media  string
		body   string
		want   string // before the end
		ended  string // at the end, if it was still held
	}{
		{"content", "chat", true, stream, `data: {"choices":[{"delta":{"content":"hi"}}]}` + "\n\n", "pass", ""},
		{"content, CRLF", "chat", true, stream, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\n\r\n", "pass", ""},
		{"content, CR", "chat", true, stream, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\rx", "pass", ""},
		{"byte order mark", "chat", true, stream, "\xef\xbb\xbfdata: {\"error\":1}\n\n", "error", ""},
		{"two data lines", "chat", true, stream, "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"hi\"}}]}\n\n", "pass", ""},
		{"not ended yet", "chat", true, stream, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n", "hold", "empty"},
		{"role", "chat", true, stream, `data: {"choices":[{"delta":{"role":"assistant","content":"","refusal":null}}]}` + "\n\n", "hold", "empty"},
		{"no choices", "chat", true, stream, `data: {"choices":[],"prompt_filter_results":[{}]}` + "\n\n", "hold", "empty"},
		{"reasoning", "chat", true, stream, `data: {"choices":[{"delta":{"content":"","reasoning_content":"hm"}}]}` + "\n\n", "pass", ""},
		{"tool call", "chat", true, stream, `data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}` + "\n\n", "pass", ""},
		{"old completion", "chat", true, stream, `data: {"choices":[{"text":"hi"}]}` + "\n\n", "pass", ""},
		{"stop without content", "chat", true, stream, `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n", "hold", "empty"},
		{"filtered", "chat", true, stream, `data: {"choices":[{"delta":{},"finish_reason":"content_filter"}]}` + "\n\n", "pass", ""},
		{"finished by an error", "chat", true, stream, `data: {"choices":[{"delta":{},"finish_reason":"error"}]}` + "\n\n", "error", ""},
		{"error string", "chat", true, stream, `data: {"error":"no"}` + "\n\n", "error", ""},
		{"error null", "chat", true, stream, `data: {"error":null,"choices":[{"delta":{"content":"a"}}]}` + "\n\n", "pass", ""},
		{"error by name", "chat", true, stream, "event: error\ndata: no\n\n", "error", ""},
		{"error object", "chat", true, stream, `data: {"object":"error","message":"no"}` + "\n\n", "error", ""},
		{"no JSON", "chat", true, stream, "data: hello\n\n", "hold", "empty"},
		{"broken JSON", "chat", true, stream, "data: {\"broken\n\n", "wrong", ""},
		{"a sign of life", "chat", true, stream, "event: heartbeat\ndata: 1\n\n", "hold", "empty"},
		{"not a number", "chat", true, stream, `data: {"choices":[{"delta":{"content":"a"},"logprobs":NaN}]}` + "\n\n", "pass", ""},
		{"error false", "chat", true, stream, `data: {"error":false,"choices":[{"delta":{"content":"a"}}]}` + "\n\n", "pass", ""},
		{"error beside another form", "chat", true, stream, `data: {"error":{"message":"no"},"type":5}` + "\n\n", "error", ""},
		{"the request is wrong", "chat", true, stream, `data: {"error":{"message":"no","code":400}}` + "\n\n", "pass", ""},
		{"the request is too long", "chat", true, stream, `data: {"error":{"message":"no","code":"context_length_exceeded"}}` + "\n\n", "pass", ""},
		{"empty completion", "chat", true, stream, `data: {"choices":[{"text":"","finish_reason":"stop"}]}` + "\n\n", "pass", ""},
		{"another form", "chat", true, stream, `data: {"choices":{"0":1}}` + "\n\n", "pass", ""},
		{"message in place of delta", "chat", true, stream, `data: {"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}` + "\n\n", "pass", ""},
		{"role in place of delta", "chat", true, stream, `data: {"choices":[{"message":{"role":"assistant","content":""}}]}` + "\n\n", "hold", "empty"},
		{"error object, the request is wrong", "chat", true, stream, `data: {"object":"error","message":"no","type":"BadRequestError"}` + "\n\n", "pass", ""},
		{"comments", "chat", true, stream, ": OPENROUTER PROCESSING\n\n:\n\n", "hold", "empty"},
		{"events without a type", "chat", true, "text/plain", `data: {"error":"no"}` + "\n\n", "error", ""},
		{"document for a stream", "chat", true, json, `{"choices":[{"message":{"content":"hi"}}]}`, "pass", ""},

		{"created", "responses", true, stream, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"output\":[]}}\n\n", "hold", "empty"},
		{"item added", "responses", true, stream, `data: {"type":"response.output_item.added","item":{}}` + "\n\n", "hold", "empty"},
		{"delta", "responses", true, stream, `data: {"type":"response.output_text.delta","delta":"hi"}` + "\n\n", "pass", ""},
		{"empty delta", "responses", true, stream, `data: {"type":"response.output_text.delta","delta":""}` + "\n\n", "hold", "empty"},
		{"failed", "responses", true, stream, `data: {"type":"response.failed"}` + "\n\n", "error", ""},
		{"incomplete", "responses", true, stream, `data: {"type":"response.incomplete"}` + "\n\n", "pass", ""},
		{"completed at once", "responses", true, stream, `data: {"type":"response.completed","response":{"output":[{}]}}` + "\n\n", "pass", ""},
		{"completed empty", "responses", true, stream, `data: {"type":"response.completed","response":{"output":[]}}` + "\n\n", "hold", "empty"},
		{"reasoning begins", "responses", true, stream, `data: {"type":"response.output_item.added","item":{"type":"reasoning"}}` + "\n\n", "pass", ""},
		{"background", "responses", true, stream, `data: {"type":"response.created","response":{"background":true}}` + "\n\n", "pass", ""},
		{"failed by the prompt", "responses", true, stream, `data: {"type":"response.failed","response":{"error":{"code":"invalid_prompt"}}}` + "\n\n", "pass", ""},
		{"error by the prompt", "responses", true, stream, `data: {"type":"error","code":"context_length_exceeded"}` + "\n\n", "pass", ""},
		{"type by name", "responses", true, stream, "event: response.failed\ndata: {}\n\n", "error", ""},
		{"unknown event", "responses", true, stream, `data: {"type":"response.novelty"}` + "\n\n", "pass", ""},

		{"start", "messages", true, stream, "event: message_start\ndata: {\"type\":\"message_start\"}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n", "hold", "empty"},
		{"tool use", "messages", true, stream, `data: {"type":"content_block_start","content_block":{"type":"tool_use","name":"f","input":{}}}` + "\n\n", "pass", ""},
		{"thinking begins", "messages", true, stream, `data: {"type":"content_block_start","content_block":{"type":"thinking","thinking":"","signature":""}}` + "\n\n", "pass", ""},
		{"the request is wrong", "messages", true, stream, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\"}}\n\n", "pass", ""},
		{"text", "messages", true, stream, `data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}` + "\n\n", "pass", ""},
		{"no text", "messages", true, stream, `data: {"type":"content_block_delta","delta":{"type":"text_delta","text":""}}` + "\n\n", "hold", "empty"},
		{"end of turn", "messages", true, stream, `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}` + "\n\n", "hold", "empty"},
		{"refusal", "messages", true, stream, `data: {"type":"message_delta","delta":{"stop_reason":"refusal"}}` + "\n\n", "pass", ""},
		{"overloaded", "messages", true, stream, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n", "error", ""},

		{"document", "chat", false, json, `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}`, "pass", ""},
		{"half a choice", "chat", false, json, `{"choices":[{"message":{"content":"hi"}`, "hold", "wrong"},
		{"a choice that ended with an error", "chat", false, json, `{"choices":[{"message":{"content":"hi"},"finish_reason":"error"}]}`, "error", ""},
		{"error", "chat", false, json, ` {"error" : {"message":"no"}}`, "error", ""},
		{"no error", "responses", false, json, `{"id":"r","object":"response","created_at":1,"status":"completed","error":null,"incomplete_details":null,"output":[{"type":"reasoning"}`, "pass", ""},
		{"failed", "responses", false, json, `{"id":"r","object":"response","status":"failed","error":{"code":"server_error"}`, "hold", "error"},
		{"failed for no reason", "responses", false, json, `{"id":"r","status":"failed","error":null,"output":[]}`, "error", ""},
		{"failed, and cut", "responses", false, json, `{"id":"r","object":"response","status":"failed"`, "hold", "error"},
		{"failed by the prompt", "responses", false, json, `{"id":"r","object":"response","status":"failed","error":{"code":"invalid_prompt"}}`, "pass", ""},
		{"error object", "chat", false, json, `{"object":"error","message":"no","type":"InternalServerError","code":500}`, "error", ""},
		{"error object, the request is wrong", "chat", false, json, `{"object":"error","message":"no","type":"BadRequestError","param":null}`, "pass", ""},
		{"an error of many keys", "chat", false, json, `{"object":"error"` + strings.Repeat(`,"id":1`, 40) + `}`, "error", ""},
		{"error of messages", "messages", false, json, `{"type":"error","error":{"type":"overloaded_error"}}`, "error", ""},
		{"message", "messages", false, json, `{"id":"msg","type":"message","role":"assistant","content":[{"type":"text","text":"hi"}`, "pass", ""},
		{"half", "chat", false, json, `{"id":"x","obj`, "hold", "wrong"},
		{"frame only", "chat", false, json, `{"id":"x"}`, "empty", ""},
		{"empty object", "json", false, json, `{}`, "empty", ""},
		{"nothing", "chat", false, json, ``, "hold", "empty"},
		{"space", "chat", false, json, "  \n", "hold", "empty"},
		{"text", "chat", false, json, "upstream connect error", "wrong", ""},
		{"a page without a type", "chat", false, "", "<!doctype html>", "wrong", ""},
		{"byte order mark", "chat", false, json, "\xef\xbb\xbf{\"choices\":[{\"text\":\"hi\"}", "pass", ""},
		{"type by itself", "messages", false, json, `{"type":"error","request_id":"x","error":{"type":"api_error"}}`, "error", ""},
		{"type without an error", "messages", false, json, `{"type":"error"}`, "error", ""},
		{"string", "", false, json, `"hello"`, "pass", ""},
		{"text that says it is a page", "", false, "text/html", "hello", "pass", ""},
		{"page", "", false, "text/html", "\n<!doctype html>", "wrong", ""},
		{"many keys", "chat", false, json, "{" + strings.Repeat(`"id":1,`, 40), "hold", "wrong"},
		{"list", "json", false, json, `[{"embedding":[0.5]}`, "pass", ""},
		{"choices are none", "chat", false, json, `{"choices":[]}`, "empty", ""},
	} {
		t.Run(string(c.kind)+": "+c.name, func(t *testing.T) {
			for _, size := range []int{1, len(c.body)/2 + 1, len(c.body) + 1} {
				var j Judge
				j.Reset(c.kind, c.stream, llm.NoFault)
				v := j.Headers(200, c.media, "", false)
				if v != llm.Undecided {
					t.Fatalf("headers: %v", v)
				}
				for rest := c.body; rest != "" && v == llm.Undecided; {
					n := min(size, len(rest))
					v, rest = j.Data([]byte(rest[:n]), false), rest[n:]
				}
				if v != names[c.want] {
					t.Fatalf("in chunks of %d: verdict %d, want %s", size, v, c.want)
				}
				if v == llm.Undecided {
					if v = j.Data(nil, true); v != names[c.ended] {
						t.Errorf("in chunks of %d: at the end verdict %d, want %s", size, v, c.ended)
					}
				}
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		kind     llm.ResponseKind
		stream   bool
		status   int
		media    string
		encoding string
		end      bool
		want     string
	}{
		{"chat", true, 200, "text/event-stream", "", false, "hold"},
		{"chat", true, 200, "Text/Event-Stream;charset=utf-8", "", false, "hold"},
		{"chat", true, 200, "text/html", "", false, "wrong"},
		{"chat", true, 200, "image/png", "", false, "wrong"},
		{"chat", true, 200, "application/problem+json", "", false, "hold"},
		{"chat", true, 200, "", "", false, "hold"},
		{"chat", true, 200, "text/event-stream", "", true, "empty"},
		{"chat", true, 204, "", "", true, "empty"},
		{"chat", true, 200, "text/event-stream", "gzip", false, "pass"},
		{"chat", true, 200, "text/event-stream", "identity", false, "hold"},
		{"chat", true, 200, "text/event-stream", " Identity, identity", false, "hold"},
		{"chat", true, 200, "text/event-stream", "identity, gzip", false, "pass"},
		{"chat", true, 200, "text/html", "gzip", false, "wrong"},
		{"chat", false, 200, "text/event-stream", "br", false, "wrong"},
		{"chat", false, 200, "application/json", "gzip", true, "empty"},
		{"", false, 200, "text/html", "gzip", false, "pass"},
		{"chat", false, 200, "text/event-stream", "identity", false, "wrong"},
		{"chat", true, 200, "text/event-stream; charset=utf-8; charset=utf-8", "", false, "hold"},
		{"chat", true, 200, "text/event-stream,text/event-stream", "", false, "hold"},
		{"chat", false, 200, "application/json;", "", false, "hold"},
		{"chat", false, 200, "application/json; \x00", "", false, "hold"},
		{"chat", true, 503, "text/html", "", false, "pass"},
		{"chat", true, 302, "", "", true, "pass"},
		{"chat", false, 200, "text/event-stream", "", false, "wrong"},
		{"", false, 200, "audio/mpeg", "", false, "pass"},
		{"", false, 200, "text/plain", "", false, "pass"},
		{"", false, 200, "application/json", "", false, "hold"},
		{"", false, 200, "text/html", "", false, "hold"},
		{"chat", false, 200, "text/json", "", false, "hold"},
		{"", false, 200, "audio/mpeg", "", true, "empty"},
	} {
		var j Judge
		j.Reset(c.kind, c.stream, llm.NoFault)
		if v := j.Headers(c.status, c.media, c.encoding, c.end); v != names[c.want] {
			t.Errorf("%+v: verdict %d", c, v)
		}
	}
}

func TestHeldIsBounded(t *testing.T) {
	for _, piece := range []string{": " + strings.Repeat("x", 1000) + "\n\n", strings.Repeat("x", 1000)} {
		var j Judge
		j.Reset("chat", true, llm.NoFault)
		j.Headers(200, "text/event-stream", "", false)
		n := 0
		for j.Data([]byte(piece), false) == llm.Undecided {
			n += len(piece)
		}
		if n < MaxHeld-len(piece) || n > MaxHeld {
			t.Errorf("%d bytes were held", n)
		}
	}
}

// Where the end comes with what is too much to be held, it counts; so does all
// that came.
func TestJudgedAtTheLimit(t *testing.T) {
	for _, c := range []struct {
		media  string
		chunks []string
		want   string
	}{
		{"text/event-stream", []string{strings.Repeat(": wait\n\n", MaxHeld/8), ":\n\n"}, "empty"},
		{"text/event-stream", []string{strings.Repeat("data: [DONE]\n\n", MaxHeld/8)}, "empty"},
		{"application/json", []string{strings.Repeat(" ", MaxHeld), " "}, "empty"},
		{"application/json", []string{`{"id":"` + strings.Repeat("x", MaxHeld/2), strings.Repeat("x", MaxHeld/2) + `","error":{"code":500}}`}, "error"},
		{"application/json", []string{`{"id":"` + strings.Repeat("x", MaxHeld/2), strings.Repeat("x", MaxHeld/2) + `","error":{"code":500}}`, ""}, "error"},
		{"application/json", []string{`{"id":"` + strings.Repeat("x", MaxHeld/2), strings.Repeat("x", MaxHeld/2), ""}, "pass"},
	} {
		var j Judge
		j.Reset("chat", true, llm.NoFault)
		v := j.Headers(200, c.media, "", false)
		for i := 0; i < len(c.chunks) && v == llm.Undecided; i++ {
			v = j.Data([]byte(c.chunks[i]), i == len(c.chunks)-1)
		}
		if v != names[c.want] {
			t.Errorf("%.20q: verdict %d, want %s", c.chunks[0], v, c.want)
		}
	}
}

func TestEnd(t *testing.T) {
	for _, c := range []struct {
		kind     llm.ResponseKind
		body     string
		complete bool
		between  bool
		next     int64
	}{
		{"chat", "data: {\"choices\":[]}\n\ndata: [DONE]\n\n", true, true, 0},
		{"chat", "data: [DONE]\r\n\r\n", true, true, 0},
		{"chat", "data: {\"choices\":[]}\n\n", false, true, 0},
		{"chat", "data: [DONE]\n", true, false, 0},
		{"chat", "data:[DONE]", true, false, 0},
		{"chat", "data: [DONE", false, false, 0},
		{"chat", "data: {}\ndata: [DONE]", false, false, 0},
		{"chat", "data: {\"cho", false, false, 0},
		{"chat", "data: {\"error\":{}}\n\n", true, true, 0},
		{"chat", "", false, true, 0},
		{"messages", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", true, true, 0},
		{"messages", "data: {\"type\": \"message_stop\"}\n\n", true, true, 0},
		{"messages", "event: message_stop\n", false, false, 0},
		{"messages", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n", true, false, 0},
		{"messages", "data: {\"text\":\"message_stop\"}\n\n", false, true, 0},
		{"messages", "event: error\ndata: {}\n\n", true, true, 0},
		{"responses", "event: message\ndata: {\"type\":\"response.completed\",\"sequence_number\":1}\n\n", true, true, 2},
		{"messages", "event: messages\ndata: {\"type\":\"message_stop\"}\n\n", false, true, 0},
		{"responses", "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":9,\"response\":" + strings.Repeat("x", 1<<20) + "}\n\n", true, true, 10},
		{"responses", "data: {\"type\":\"response.output_text.delta\",\"sequence_number\":4}\n\n", false, true, 5},
		{"responses", "data: {\"sequence_number\":4}\n\ndata: {\"sequence_number\":5}\n", false, false, 6},
		{"responses", "data: {\"sequence_number\":14}\n\ndata: {\"sequence_number\":1", false, false, 15},
		{"json", "data: {}\n\n", true, true, 0},
	} {
		for _, size := range []int{1, 7, len(c.body) + 1} {
			var e End
			e.Reset(c.kind)
			for rest := c.body; rest != ""; {
				n := min(size, len(rest))
				e.Data([]byte(rest[:n]))
				rest = rest[n:]
			}
			if e.Complete() != c.complete || e.Between() != c.between || e.Next() != c.next {
				t.Errorf("%s %.60q in chunks of %d: complete %v between %v next %d", c.kind, c.body, size, e.Complete(), e.Between(), e.Next())
			}
		}
	}
}

// What is kept of an event is bounded, however many lines it has.
func TestEndIsBounded(t *testing.T) {
	var e End
	e.Reset("chat")
	for range 10_000 {
		e.Data([]byte("data: " + strings.Repeat("x", 100) + "\n"))
	}
	if n := cap(e.reader.data); n > 4*endLimit {
		t.Errorf("%d bytes are kept", n)
	}
}

// A response that is not a stream is not read again for each chunk.
func TestManyChunks(t *testing.T) {
	for _, piece := range []string{" ", "x", `"id":1,`} {
		var j Judge
		j.Reset("chat", false, llm.NoFault)
		j.Headers(200, "application/json", "", false)
		v := j.Data([]byte(`{"id":"`), false)
		read := 0
		for v == llm.Undecided {
			before := j.next
			if v = j.Data([]byte(piece), false); j.next != before && len(j.body) > 1<<10 {
				read++
			}
		}
		if read > 8 {
			t.Errorf("%q: read %d times", piece, read)
		}
	}
}

// A verdict does not depend on how the bytes are cut, and nothing panics.
func FuzzJudge(f *testing.F) {
	f.Add("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", uint8(3), true)
	f.Add("event: error\r\n\r\ndata: x\r\r", uint8(1), true)
	f.Add(`{"id":1,"error":null,"choices":[]}`, uint8(2), false)
	f.Fuzz(func(t *testing.T, body string, size uint8, stream bool) {
		if len(body) > MaxHeld/2 {
			return
		}
		media := "application/json"
		if stream {
			media = "text/event-stream"
		}
		for _, kind := range []llm.ResponseKind{llm.KindChat, llm.KindResponses, llm.KindMessages, llm.KindJSON} {
			judge := func(size int) llm.Verdict {
				var j Judge
				j.Reset(kind, stream, llm.NoFault)
				v := j.Headers(200, media, "", false)
				for rest := body; v == llm.Undecided; {
					n := min(size, len(rest))
					v = j.Data([]byte(rest[:n]), n == len(rest))
					if rest = rest[n:]; rest == "" {
						break
					}
				}
				return v
			}
			whole := judge(len(body) + 1)
			if cut := judge(int(size) + 1); cut != whole {
				t.Errorf("%s: whole %d, in chunks of %d: %d", kind, whole, size+1, cut)
			}
			end := func(size int) (bool, bool, int64) {
				var e End
				e.Reset(kind)
				for piece := range slices.Chunk([]byte(body), size) {
					e.Data(piece)
				}
				return e.Complete(), e.Between(), e.Next()
			}
			complete, between, next := end(len(body) + 1)
			if c, b, n := end(int(size) + 1); c != complete || b != between || n != next {
				t.Errorf("%s: the end is %t %t %d, in chunks of %d: %t %t %d", kind, complete, between, next, size+1, c, b, n)
			}
		}
	})
}

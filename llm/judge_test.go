package llm

import (
	"slices"
	"strings"
	"testing"
)

// api is how the responses of a kind look, as a document and in the first event of a stream. In
// both, %s stands for the members that say whether something failed.
type api struct {
	kind ResponseKind
	// good and goodEvent have content, nothing and nothingEvent do not.
	good, goodEvent       []string
	nothing, nothingEvent []string
}

var apis = []api{
	{KindChat,
		[]string{`"id":"1"`, `"object":"chat.completion"`, `"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]`},
		[]string{`"id":"1"`, `"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]`},
		[]string{`"id":"1"`, `"object":"chat.completion"`, `"choices":[]`},
		[]string{`"id":"1"`, `"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`}},
	{KindResponses,
		[]string{`"id":"1"`, `"object":"response"`, `"status":"completed"`, `"output":[{"type":"message","content":[{"type":"output_text","text":"hi"}]}]`},
		[]string{`"type":"response.output_text.delta"`, `"delta":"hi"`},
		[]string{`"id":"1"`, `"object":"response"`, `"output":[]`}, nil},
	{KindMessages,
		[]string{`"id":"1"`, `"type":"message"`, `"content":[{"type":"text","text":"hi"}]`, `"stop_reason":"end_turn"`},
		[]string{`"type":"content_block_delta"`, `"delta":{"type":"text_delta","text":"hi"}`},
		[]string{`"id":"1"`, `"content":[]`}, nil},
	{KindJSON, []string{`"object":"list"`, `"data":[{"embedding":[0.5]}]`}, nil, []string{`"object":"list"`}, nil},
	{KindAny, []string{`"text":"hi"`}, nil, nil, nil},
}

// spellings are how servers report an error with a status of success.
var spellings = [][]string{
	{`"error":{"message":"no","type":"server_error"}`},
	{`"error":"overloaded"`},
	{`"error":true`},
	{`"error":[{"code":503}]`},
	{`"error":{"details":{"code":503}}`},
	{`"errors":[{"code":10000,"message":"Authentication error"}]`},
	{`"errors":["no"]`},
	{`"detail":"Not authenticated"`},
	{`"detail":[{"loc":["body"],"msg":"no"}]`},
	{`"success":false`, `"errors":[]`, `"result":null`},
	{`"code":500`, `"msg":"404 NOT_FOUND"`, `"success":false`},
	{`"code":401`, `"msg":"token expired"`},
	{`"code":"Throttling.RateQuota"`, `"message":"exceeded"`, `"request_id":"x"`},
	{`"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}`},
	{`"error_code":110`, `"error_msg":"Access token invalid"`},
	{`"object":"error"`, `"message":"no"`, `"code":500`},
	{`"type":"error"`, `"error":{"type":"overloaded_error"}`},
	{`"status":500`, `"timestamp":"2026-12-01"`, `"message":"no"`},
	{`"fault":{"faultstring":"no"}`},
}

// harmless are members beside content that report no error.
var harmless = [][]string{
	{`"error":null`}, {`"error":{}`}, {`"error":""`}, {`"error":false`}, {`"error":0`}, {`"error":[]`}, {`"error":"none"`},
	{`"error":{"code":null,"message":""}`}, {`"error":{"code":0,"message":"success"}`},
	{`"errors":[]`}, {`"detail":null`}, {`"success":true`}, {`"code":0`, `"msg":"success"`}, {`"code":200`, `"message":"ok"`},
	{`"base_resp":{"status_code":0,"status_msg":""}`}, {`"error":{"message":"deprecated"}`}, {`"message":"hello"`},
}

// orders returns objects with the members in several orders: each of them is first and last.
func orders(members ...string) []string {
	var out []string
	for i := range members {
		rotated := slices.Concat(members[i:], members[:i])
		out = append(out, "{"+strings.Join(rotated, ",")+"}")
		slices.Reverse(rotated)
		out = append(out, "{ "+strings.Join(rotated, " , ")+" }")
	}
	return out
}

// One judge decides for documents and for events, however an error is spelled and wherever its
// keys are.
func TestJudgeSpellings(t *testing.T) {
	for _, a := range apis {
		j := Judge{Kind: a.kind}
		event := func(data string) Verdict { return j.Event(Event{Data: []byte(data)}) }
		for _, members := range spellings {
			for _, body := range append(orders(members...), orders(slices.Concat(a.nothing, members)...)...) {
				if v := j.Document([]byte(body), true); !v.Failed() {
					t.Errorf("%q: %s passed", a.kind, body)
				}
			}
			for _, data := range append(orders(members...), orders(slices.Concat(a.nothingEvent, members)...)...) {
				if v := event(data); !v.Failed() {
					t.Errorf("%q: event %s passed", a.kind, data)
				}
			}
			list := "[{" + strings.Join(members, ",") + "}]"
			if v := j.Document([]byte(list), true); !v.Failed() {
				t.Errorf("%q: %s passed", a.kind, list)
			}
			if v := event(list); !v.Failed() {
				t.Errorf("%q: event %s passed", a.kind, list)
			}
		}
		for _, members := range harmless {
			for _, body := range orders(slices.Concat(a.good, members)...) {
				if v := j.Document([]byte(body), true); v != Accepted {
					t.Errorf("%q: %s: verdict %d", a.kind, body, v)
				}
			}
			if a.goodEvent == nil {
				continue
			}
			for _, data := range orders(slices.Concat(a.goodEvent, members)...) {
				if v := event(data); v != Accepted {
					t.Errorf("%q: event %s: verdict %d", a.kind, data, v)
				}
			}
		}
	}
}

// What is in the choices, outputs and blocks of a response.
func TestJudgeContent(t *testing.T) {
	for _, c := range []struct {
		kind ResponseKind
		body string
		want Verdict // of the document; of the event, if it begins with "data: "
	}{
		{KindChat, `{"choices":[{"message":{"role":"assistant","content":null},"finish_reason":"stop"}]}`, EmptyResponse},
		{KindChat, `{"choices":[{"message":{"role":"assistant","content":"","tool_calls":[]},"finish_reason":"stop"}]}`, EmptyResponse},
		{KindChat, `{"choices":null}`, EmptyResponse},
		{KindChat, `{"choices":[]}`, EmptyResponse},
		{KindChat, `{"result":{"response":"hi"}}`, InvalidResponse},
		{KindChat, `{"request_id":"1"}`, Accepted}, // deferred
		{KindChat, `{"choices":[{"message":{"content":""},"finish_reason":"error"}]}`, ErrorResponse},
		{KindChat, `{"choices":[{"finish_reason":"error","message":{"content":"I am"}}]}`, ErrorResponse},
		{KindChat, `{"choices":[{"error":{"code":502},"message":{"content":""},"finish_reason":"stop"}]}`, ErrorResponse},
		{KindChat, `{"choices":[{"error":null,"message":{"content":"hi"},"finish_reason":"stop"}]}`, Accepted},
		{KindChat, `{"choices":[{"finish_reason":"error"},{"message":{"content":"hi"},"finish_reason":"stop"}]}`, Accepted},
		{KindChat, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"tool_calls"}]}`, Accepted},
		{KindChat, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"stop"}]}`, Accepted},
		{KindChat, `{"choices":[{"message":{"content":null,"refusal":"No"},"finish_reason":"stop"}]}`, Accepted},
		{KindChat, `{"choices":[{"message":{"content":"","reasoning_content":"Hm"},"finish_reason":"stop"}]}`, Accepted},
		{KindChat, `{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`, Accepted},
		{KindChat, `{"choices":[{"message":{"content":""},"finish_reason":"length"}]}`, Accepted},
		{KindChat, `{"choices":[{"message":{"content":""},"finish_reason":"stop"}],"usage":{"completion_tokens_details":{"reasoning_tokens":7}}}`, Accepted},
		{KindChat, `{"choices":[{"text":"","finish_reason":"stop"}]}`, Accepted},
		{KindChat, `{"choices":[{"message":{"content":"hi"},"logprobs":NaN}]}`, Accepted},
		{KindChat, `{"error":{"code":"content_filter"}}`, Accepted},
		{KindChat, `{"error":{"type":"invalid_request_error","message":"bad tool"}}`, Accepted},
		{KindChat, `{"error":{}}`, ErrorResponse},
		{KindChat, `{"id":"1","error":{"message":""}}`, ErrorResponse},
		{KindChat, `{"choices":[],"error":{}}`, EmptyResponse},
		{KindChat, `data: {"error":{}}`, ErrorResponse},
		{KindJSON, `{"data":[],"error":{}}`, Accepted},
		{KindChat, `[]`, EmptyResponse},
		{KindChat, `["hi"]`, InvalidResponse},
		{KindChat, `data: {"choices":null}`, Undecided},
		{KindChat, `data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}`, Undecided},
		{KindChat, `data: {"id":"1","usage":{"prompt_tokens":1}}`, Undecided},
		{KindChat, `data: {"choices":[],"usage":{"completion_tokens_details":{"reasoning_tokens":7}}}`, Accepted},
		{KindChat, `data: {"choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502}}`, ErrorResponse},
		{KindChat, `data: {"choices":[{"delta":{"content":"I"},"finish_reason":"error"}]}`, ErrorResponse},
		{KindChat, `data: {"novelty":1}`, Accepted},

		{KindResponses, `{"status":"completed","output":[]}`, EmptyResponse},
		{KindResponses, `{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":""}]}]}`, EmptyResponse},
		{KindResponses, `{"status":"completed","output":[{"type":"message","content":[{"type":"refusal","refusal":"No"}]}]}`, Accepted},
		{KindResponses, `{"status":"completed","output":[{"type":"function_call","name":"f"}]}`, Accepted},
		{KindResponses, `{"output":[],"status":"incomplete","incomplete_details":{"reason":"content_filter"}}`, Accepted},
		{KindResponses, `{"output":[],"status":"queued","background":true}`, Accepted},
		{KindResponses, `{"output":[],"status":"failed","error":{"code":"server_error"}}`, ErrorResponse},
		{KindResponses, `{"choices":[]}`, InvalidResponse},
		{KindResponses, `data: {"type":"response.output_text.done","text":""}`, Undecided},
		{KindResponses, `data: {"type":"response.content_part.done","part":{"type":"output_text","text":""}}`, Undecided},
		{KindResponses, `data: {"type":"response.output_item.done","item":{"type":"message","content":[]}}`, Undecided},
		{KindResponses, `data: {"type":"response.completed","response":{"output":[{"type":"message","content":[]}]}}`, Undecided},
		{KindResponses, `data: {"type":"response.completed","response":{"output":[{"type":"function_call"}]}}`, Accepted},
		{KindResponses, `data: {"type":"response.incomplete","response":{"output":[]}}`, Accepted},
		{KindResponses, `data: {"type":"response.code_interpreter_call_code.done","code":"print(1)"}`, Accepted},

		{KindMessages, `{"content":[],"stop_reason":"end_turn"}`, EmptyResponse},
		{KindMessages, `{"content":[{"type":"text","text":""}],"stop_reason":"end_turn"}`, EmptyResponse},
		{KindMessages, `{"content":[{"type":"tool_use","name":"f"}],"stop_reason":"tool_use"}`, Accepted},
		{KindMessages, `{"content":[{"type":"thinking","thinking":""}],"stop_reason":"end_turn"}`, Accepted},
		{KindMessages, `{"stop_reason":"refusal","content":[]}`, Accepted},
		{KindMessages, `{"stop_reason":"max_tokens","content":[]}`, Accepted},
		{KindMessages, `{"choices":[{"message":{"content":"hi"}}]}`, InvalidResponse},

		{KindJSON, `{"object":"list","data":[],"model":"m"}`, Accepted}, // no input
		{KindJSON, `{"input_tokens":5}`, Accepted},
		{KindJSON, `{"data":null,"msg":"no"}`, ErrorResponse},
		{KindJSON, `{"message":"Unauthorized"}`, ErrorResponse},
		{KindJSON, `{"novelty":1}`, Accepted},
		{KindJSON, `[[0.5]]`, Accepted},
		{KindJSON, `[]`, Accepted},
		{KindAny, `{"text":""}`, Accepted},
		{KindAny, `{"task":"transcribe","text":"","segments":[]}`, Accepted},
		{KindAny, `"hi"`, Accepted},
	} {
		j := Judge{Kind: c.kind}
		data, event := strings.CutPrefix(c.body, "data: ")
		v := j.Event(Event{Data: []byte(data)})
		if !event {
			v = j.Document([]byte(data), true)
		}
		if v != c.want {
			t.Errorf("%s: verdict %d, want %d", c.body, v, c.want)
		}
	}
}

// Whose fault an error is: the same body with status 400, and as an error with status 200.
func TestJudgeFaults(t *testing.T) {
	const all = FaultKey | FaultAccount | FaultRegion | FaultModel | FaultFeature | FaultContext
	for _, c := range []struct {
		body string
		want string
	}{
		{`[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]`, CauseInvalidKey},
		{`{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}`, CauseInvalidKey},
		{`[{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]`, CauseInvalidKey},
		{`{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***ey."}`, CauseInvalidKey},
		{`{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."}}`, CauseAccount},
		{`{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}`, CauseAccount},
		{`{"error":{"message":"Organization blocked","type":"invalid_request_error","code":"blocked_api_access"}}`, CauseAccount},
		{`{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}`, CauseAccount},
		{`{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}`, CauseRegion},
		{`{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\n \"error\": {\"message\": \"User location is not supported for the API use.\"}}"}}}`, CauseRegion},
		{`{"error":{"message":"The model ` + "`x`" + ` has been decommissioned","type":"invalid_request_error","code":"model_decommissioned"}}`, CauseUnknownModel},
		{`{"error":{"message":"{'error': '/chat/completions: Invalid model name passed in model=gone. Call ` + "`/v1/models`" + ` to view available models for your key.'}","type":"None","param":"None","code":"400"}}`, CauseUnknownModel},
		{`{"error":{"message":{"error":"/chat/completions: Invalid model name passed in model=gone."},"type":"None","code":"400"}}`, CauseUnknownModel},
		{`{"code":20012,"message":"Model does not exist. Please check it carefully.","data":null}`, CauseUnknownModel},
		{`{"error":{"message":"gone/gone is not a valid model ID","code":400}}`, CauseUnknownModel},
		{`{"error":{"message":"Model Not Exist","type":"invalid_request_error"}}`, CauseUnknownModel},
		{`{"error":{"message":"registry.ollama.ai/library/tiny:1b does not support tools","type":"invalid_request_error"}}`, CauseUnsupportedFeature},
		{`{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}`, CauseContext},
		{`{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.","type":"BadRequestError","code":400}`, CauseContext},
		{`{"error":{"message":"The decoder prompt (length 5000) is longer than the maximum model length of 4096.","type":"BadRequestError","code":400}}`, CauseContext},
		{`{"error":{"message":"no","type":"invalid_request_error","code":"context_length_exceeded"}}`, CauseContext},
		{`{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 215000 tokens > 200000 maximum"}}`, CauseContext},
		{`{"error":{"code":400,"message":"The input token count (1300000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}`, CauseContext},

		{`{"error":{"message":"bad tool","type":"invalid_request_error","code":400}}`, ""},
		{`{"error":{"message":"Invalid value: 'x'","type":"invalid_request_error","param":"credit balance is too low"}}`, ""},
		{`{"error":{"message":"no","type":"invalid_request_error","code":"content_filter"}}`, ""},
		{`{"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":{"message":"prompt is too long","type":"model_not_found"}}],"code":422}`, ""},
	} {
		j := Judge{Kind: KindChat, Faults: all}
		if v := j.Failure([]byte(c.body)); v.Cause() != c.want {
			t.Errorf("%s: cause %q, want %q", c.body, v.Cause(), c.want)
		}
		if strings.HasPrefix(c.body, `{"error"`) {
			if v := j.Document([]byte(c.body), true); v.Cause() != c.want {
				t.Errorf("status 200 and %s: cause %q, want %q", c.body, v.Cause(), c.want)
			}
			if v := j.Event(Event{Data: []byte(c.body)}); v.Cause() != c.want {
				t.Errorf("event %s: cause %q, want %q", c.body, v.Cause(), c.want)
			}
		}
		j.Faults &^= FaultOf(c.want)
		if v := j.Failure([]byte(c.body)); v != Accepted {
			t.Errorf("without its word, %s: cause %q", c.body, v.Cause())
		}
	}
}

// Every phrase is in the form in which it is compared, and no two entries are the same.
func TestFaultTable(t *testing.T) {
	seen := map[string]bool{}
	for code, fault := range faultCodes {
		if code != strings.ToLower(code) || fault == NoFault {
			t.Errorf("code %q", code)
		}
	}
	for _, row := range faultTexts {
		if row.text != strings.ToLower(row.text) || seen[row.text] || row.provider == "" || !strings.HasPrefix(row.from, "https://") {
			t.Errorf("%+v", row)
		}
		seen[row.text] = true
		if v := (Judge{Faults: row.fault}).Failure([]byte(`{"error":{"message":"x ` + strings.ReplaceAll(row.text, "*", " y ") + ` z"}}`)); v != row.fault.verdict() {
			t.Errorf("%q: cause %q", row.text, v.Cause())
		}
	}
	for _, f := range Faults {
		if FaultOf(f.Word) != f.Fault || f.verdict.Cause() != f.Word {
			t.Errorf("%+v", f)
		}
	}
}

package xds

import (
	"strings"
	"testing"

	"weir/llm"
)

// stated is a usage object.
const stated = `{"prompt_tokens":11,"completion_tokens":7,"details":{"a":"}\"{","b":[1,{"c":2}]}}`

// usageTexts are responses, and what is found in each: the last usage object, and after a
// bar the one at the beginning of messages.
var usageTexts = []struct {
	name string
	kind llm.ResponseKind
	text string
	want string
}{
	{"body", llm.KindJSON, `{"id":"c","choices":[{"message":{"content":"hi"}}],"usage":` + stated + `}`, stated + "|"},
	{"body, usage first", llm.KindJSON, `{"usage":` + stated + `,"choices":[{"message":{"content":"hi, this is longer than what is in front"}}]}`, stated + "|"},
	{"body, spaces", llm.KindJSON, "\n{ \"choices\" : [ ] ,\n\t\"usage\" :\r\n " + stated + " \n}\n", stated + "|"},
	{"body, no usage", llm.KindJSON, `{"choices":[{"message":{"content":"usage"}}]}`, "|"},
	{"body, null", llm.KindJSON, `{"choices":[],"usage":null}`, "|"},
	{"body, zeros", llm.KindJSON, `{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}`, "|"},
	{"body, in a choice", llm.KindJSON, `{"choices":[{"index":0,"message":{},"usage":` + stated + `}]}`, stated + "|"},
	{"body, in x_groq", llm.KindJSON, `{"choices":[],"x_groq":{"id":"r","usage":` + stated + `}}`, stated + "|"},
	{"body, cut after usage", llm.KindJSON, `{"usage":` + stated + `,"choices":[{"mess`, stated + "|"},
	{"body, cut in usage", llm.KindJSON, `{"choices":[],"usage":{"prompt_tokens":11,"comp`, "|"},
	{"body, of a streamed request", llm.KindChat, `{"choices":[],"usage":` + stated + `}`, stated + "|"},
	{"text that looks like it", llm.KindJSON, `{"choices":[{"message":{"content":"{\"usage\":{\"prompt_tokens\":9}}\\\"usage\":{\"a\":9}"}}]}`, "|"},
	{"input of a tool", llm.KindJSON, `{"content":[{"type":"tool_use","input":{"usage":{"input_tokens":99}}}]}`, "|"},
	{"input of a tool, and usage", llm.KindJSON, `{"content":[{"type":"tool_use","input":{"usage":{"input_tokens":99}}}],"usage":` + stated + `}`, stated + "|"},
	{"usage, and the input of a tool", llm.KindJSON, `{"usage":` + stated + `,"content":[{"type":"tool_use","input":{"usage":{"input_tokens":99}}}]}`, stated + "|"},
	{"metadata", llm.KindJSON, `{"output":[],"metadata":{"usage":{"input_tokens":99}}}`, "|"},
	{"schema of a tool", llm.KindJSON, `{"tools":[{"parameters":{"properties":{"usage":{"maximum":99}}}}],"usage":` + stated + `}`, stated + "|"},
	{"in usage itself", llm.KindJSON, `{"usage":{"prompt_tokens":1,"usage":{"prompt_tokens":9}}}`, `{"prompt_tokens":1,"usage":{"prompt_tokens":9}}|`},
	{"no JSON", llm.KindJSON, `<p>"usage":{"prompt_tokens":11}</p>`, "|"},
	{"nothing", llm.KindJSON, ` `, "|"},

	{"chat", llm.KindChat, "data: {\"choices\":[],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":" + stated + "}\n\ndata: [DONE]\n\n", stated + "|"},
	{"chat, no space", llm.KindChat, "data:{\"choices\":[],\"usage\":" + stated + "}\n\ndata:[DONE]\n\n", stated + "|"},
	{"chat, CRLF", llm.KindChat, "data: {\"choices\":[],\"usage\":" + stated + "}\r\n\r\ndata: [DONE]\r\n\r\n", stated + "|"},
	{"chat, CR", llm.KindChat, "data: {\"choices\":[],\"usage\":" + stated + "}\r\rdata: [DONE]\r\r", stated + "|"},
	{"chat, no end", llm.KindChat, "data: {\"choices\":[],\"usage\":" + stated + "}", stated + "|"},
	{"chat, comments", llm.KindChat, ": \"usage\":{\"a\":1}\n\ndata: {\"usage\":" + stated + "}\n\nid: {\"usage\":{\"a\":1}}\n\n", stated + "|"},
	{"chat, several", llm.KindChat, "data: {\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"usage\":" + stated + "}\n\ndata: {\"usage\":{\"prompt_tokens\":0}}\n\n", stated + "|"},
	{"chat, in a choice", llm.KindChat, "data: {\"choices\":[{\"delta\":{},\"usage\":" + stated + "}]}\n\n", stated + "|"},
	{"chat, in x_groq", llm.KindChat, "data: {\"choices\":[{\"delta\":{}}],\"x_groq\":{\"usage\":" + stated + "}}\n\n", stated + "|"},
	{"chat, text", llm.KindChat, "data: {\"choices\":[{\"delta\":{\"content\":\"\\n\\ndata: {\\\"usage\\\":{\\\"a\\\":1}}\"}}]}\n\n", "|"},
	{"messages", llm.KindMessages, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[],\"usage\":{\"input_tokens\":3}}}\n\nevent: message_delta\ndata: {\"delta\":{},\"usage\":" + stated + "}\n\nevent: message_stop\ndata: {}\n\n", stated + `|{"input_tokens":3}`},
	{"messages, a tool", llm.KindMessages, "data: {\"type\":\"content_block_start\",\"content_block\":{\"input\":{\"usage\":{\"input_tokens\":9}}}}\n\n", "|"},
	{"responses", llm.KindResponses, "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"usage\":{\"a\":1}}],\"usage\":" + stated + ",\"metadata\":{}}}\n\n", stated + "|"},
	{"images", llm.KindJSON, "event: image_generation.completed\ndata: {\"b64_json\":\"AA==\",\"usage\":" + stated + "}\n\n", stated + "|"},
}

// TestUsageScript: the usage of a response is found wherever its text is split. The script
// runs in Envoy.
func TestUsageScript(t *testing.T) {
	var texts []string
	for _, c := range usageTexts {
		texts = append(texts, c.text)
	}
	run := runLua(t, texts)
	for i, c := range usageTexts {
		if got := run("usage", c.kind, i); got != c.want {
			t.Errorf("%s: found %s, want %s", c.name, strings.ReplaceAll(got, "\n", "\nand with other chunks "), c.want)
		}
	}
}

// TestUsageScriptOfLargeResponses: of a large response, the beginning and the end are read.
func TestUsageScriptOfLargeResponses(t *testing.T) {
	large := strings.Repeat("x", wholeBytes)
	cases := []struct{ name, text, want string }{
		{"at the end", `{"data":[{"b64_json":"` + large + `"}],"usage":` + stated + `}`, stated + "|"},
		{"at the beginning", `{"usage":` + stated + `,"data":[{"b64_json":"` + large + `"}]}`, stated + "|"},
		{"in the middle", `{"data":["` + large + `"],"usage":` + stated + `,"more":["` + large + `"]}`, "|"},
		{"another object at the end", `{"data":["` + large + `"],"metadata":{"usage":{"input_tokens":99}}}`, "|"},
		{"event", "data: {\"b64_json\":\"" + large + "\",\"usage\":" + stated + "}\n\n", stated + "|"},
		{"event of responses", "data: {\"type\":\"response.completed\",\"response\":{\"output\":\"" + large + "\",\"usage\":" + stated + ",\"metadata\":{}}}\n\n", stated + "|"},
	}
	var texts []string
	for _, c := range cases {
		texts = append(texts, c.text)
	}
	run := runLua(t, texts)
	for i, c := range cases {
		if got := run("large", llm.KindJSON, i); got != c.want {
			t.Errorf("%s: found %s, want %s", c.name, got, c.want)
		}
	}
}

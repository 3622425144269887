package tokens

import (
	"strings"
	"testing"
)

// What a chat costs beside its text, in tokens.
const perMessage, perName, perReply = 3, 1, 3

// Words of one letter are one token each, with the space before them.
func TestWhatCounts(t *testing.T) {
	const chat = perReply + perMessage
	f := func(body string, want int) {
		t.Helper()
		if got := all(body); got != want {
			t.Errorf("%s\n has %d tokens, want %d", body, got, want)
		}
	}
	// Which members are the prompt.
	f(`{"model":"gpt-4o","user":"a b c","metadata":{"a":"b"},"stop":["a"]}`, 0)
	f(`{"input":"a b c"}`, 3)
	f(`{"input":["a b","c"]}`, 3)
	f(`{"prompt":"a b","suffix":"c"}`, 3)
	f(`{"system":"a","instructions":"b","query":"c"}`, 3)
	f(`{"system":[{"type":"text","text":"a b","cache_control":{"type":"ephemeral","ttl":"1h"}}]}`, 2)
	f(`{"query":"a","documents":["b","c d"]}`, 4)
	f(`{"query":"a","documents":[{"text":"b"}]}`, 3)
	f(`{"Messages":[{"content":"a"}],"\u0069nput":"b"}`, chat+2)
	f(`{"input":"a","input":"b c"}`, 3)
	f(`{"chat_template":"a b"}`, 2)

	// Prompts that are tokenized.
	f(`{"input":[1,22,333]}`, 3)
	f(`{"prompt":[[1,2],[30]]}`, 3)
	f(`{"input":[1,"a b",null,true]}`, 3)
	f(`{"messages":[1,2]}`, perReply)

	// Text is decoded.
	f(`{"input":"\u0061\u0020b\/"}`, 3)
	f(`{"input":"\u4f60\u597d"}`, all(`{"input":"你好"}`))
	f(`{"input":"\ud83d\ude00"}`, all(`{"input":"😀"}`))
	f(`{"input":"\ud83d"}`, all("{\"input\":\"\uFFFD\"}"))

	// Messages. The number is OpenAI's cookbook's and, it says, the API's.
	f(`{"messages":[
		{"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
		{"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."},
		{"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."},
		{"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
		{"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."},
		{"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]}`, 124)
	f(`{"messages":[]}`, perReply)
	f(`{"messages":[{"role":"user","content":[{"type":"text","text":"a b"},"c"]}]}`, chat+1+3)
	f(`{"messages":[{"tool_calls":[{"type":"function","function":{"name":"f","arguments":"a b"}}]}]}`, chat+perName+3)
	f(`{"messages":[{"content":[{"type":"tool_use","name":"f","input":{"a":"b c","d":[1,true,null]}}]}]}`, chat+perName+1+3+1+3)
	f(`{"messages":[{"content":[{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"a"}]}]}]}`, chat+2)
	f(`{"input":[{"type":"function_call_output","call_id":"c","output":"a b"}]}`, perMessage+3)
	f(`{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}]}`, perMessage+2)

	// Tools: keys, strings, numbers, literals.
	f(`{"tools":[{"a":{"b":["c",1,true]}}]}`, 5)
	f(`{"functions":[{"name":"f"}]}`, 2)
	f(`{"response_format":{"type":"text"},"text":{"a":1}}`, 4)
}

func TestWhatIsNotText(t *testing.T) {
	const payload = "QUJD REVG a b c d e f g h i j k l m n o p"
	part := func(format string) string { return strings.ReplaceAll(format, "$", payload) }
	message := func(part string) string { return `{"messages":[{"content":[` + part + `]}]}` }
	item := func(item string) string { return `{"input":[` + item + `]}` }
	for _, body := range []string{
		message(`{"type":"image_url","image_url":{"url":"data:image/png;base64,$"}}`),
		message(`{"type":"image_url","image_url":{"detail":"low","url":"DATA:image/jpeg;base64,$"}}`),
		message(`{"type":"video_url","video_url":{"url":"data:video/mp4;base64,$"}}`),
		message(`{"type":"input_audio","input_audio":{"data":"$","format":"wav"}}`),
		message(`{"type":"file","file":{"file_data":"data:application/pdf;base64,$"}}`),
		message(`{"type":"file","file":{"file_data":"JVBERi0$"}}`),
		message(`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"$"}}`),
		message(`{"type":"document","source":{"data":"$","media_type":"application/pdf","type":"base64"}}`),
		message(`{"type":"tool_result","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"$"}}]}`),
		message(`{"type":"redacted_thinking","data":"$"}`),
		message(`{"type":"thinking","thinking":"","signature":"$"}`),
		message(`{"type":"web_search_result","encrypted_content":"$"}`),
		item(`{"type":"reasoning","summary":[],"encrypted_content":"$"}`),
		item(`{"type":"image_generation_call","result":"$"}`),
		item(`{"content":[{"type":"input_image","image_url":"data:image/png;base64,$"}]}`),
		item(`{"content":[{"type":"input_file","file_data":"data:application/pdf;base64,$"}]}`),
		item(`{"type":"computer_call_output","output":{"type":"computer_screenshot","image_url":"data:image/png;base64,$"}}`),
	} {
		if got := all(part(body)); got > perReply+perMessage {
			t.Errorf("%s\n has %d tokens", body, got)
		}
	}
	// Similar values that a provider may read as text.
	for _, body := range []string{
		message(`{"type":"text","text":"data:image/png;base64,$"}`),
		message(`{"type":"text","url":"data:image/png;base64,$"}`),
		message(`{"type":"image_url","image_url":{"url":"https://example.com/$"}}`),
		message(`{"type":"image_url","image_url":{"url":"data:text/plain,$"}}`),
		message(`{"type":"image_url","image_url":{"url":"data:image/svg+xml,$"}}`),
		message(`{"type":"image_url","image_url":{"x":"data:image/png;base64,$"}}`),
		message(`{"type":"image_url","Image_url":{"url":"data:image/png;base64,$"}}`),
		message(`{"type":"file","file":{"file_data":"data:text/plain;base64,$"}}`),
		message(`{"type":"file","file":{"file_data":"$"}}`),
		message(`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"$"}}`),
		message(`{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"$"}}`),
		message(`{"type":"document","source":{"type":"base64","type":"text","media_type":"image/png","data":"$"}}`),
		message(`{"type":"document","source":{"type":"base64","Type":"text","media_type":"image/png","data":"$"}}`),
		message(`{"type":"document","source":{"type":"base64","\u0074ype":"text","media_type":"image/png","data":"$"}}`),
		message(`{"type":"base64","media_type":"image/png","data":"$"}`),
		message(`{"type":"redacted_thinking","data":"$","type":"text"}`),
		message(`{"type":"tool_use","input":{"image_url":{"url":"data:image/png;base64,$"}}}`),
		message(`{"type":"tool_use","input":{"type":"base64","$":1}}`),
		message(`{"type":"$ and more than a label is long"}`),
		message(`{"unheard_of":{"$":1}}`),
		item(`{"type":"text","result":"$"}`),
		`{"system":"data:image/png;base64,$"}`,
		`{"tools":[{"image_url":{"url":"data:image/png;base64,$"}}]}`,
	} {
		if got := all(part(body)); got < 18 {
			t.Errorf("%s\n has only %d tokens", body, got)
		}
	}
}

// TestPayloadsAreLinear: to find the type of a payload, an object is read at most once more.
func TestPayloadsAreLinear(t *testing.T) {
	body := `{"input":[{` + strings.Repeat(`"data":"",`, 1<<18) + `"type":"redacted_thinking"}]}`
	if got := all(body); got != perMessage {
		t.Errorf("many payloads have %d tokens", got)
	}
	open, shut := strings.Repeat(`{"data":"","content":`, 900), strings.Repeat(`}`, 900)
	if got := all(`{"input":` + open + `""` + shut + `}`); got != perMessage {
		t.Errorf("deep payloads have %d tokens", got)
	}
}

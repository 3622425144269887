package accesslog

import "testing"

func TestReadEarly(t *testing.T) {
	for _, c := range []struct {
		text string
		want Tokens
	}{
		{`{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}`, Tokens{Known: true, Cut: true, OutputKnown: true, Input: 11, Output: 7, Total: 18}},
		{`{"prompt_tokens":11,"completion_tokens":0}`, Tokens{Known: true, Cut: true, OutputKnown: true, Input: 11, Total: 11}},
		{`{"prompt_tokens":11,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":3}}`, Tokens{Known: true, Cut: true, OutputKnown: true, Input: 11, Output: 7, Total: 18, CachedInput: 5, Reasoning: 3}},
		{`{"prompt_tokens":11,"prompt_tokens_details":null}`, Tokens{Known: true, Cut: true, Input: 11, Total: 11}},
		{`{"input_tokens":11,"output_tokens":1}`, Tokens{Known: true, Cut: true, Input: 11, Total: 11}},
		{`{"input_tokens":11,"cache_read_input_tokens":5,"cache_creation_input_tokens":null}`, Tokens{Known: true, Cut: true, Input: 16, Total: 16, CachedInput: 5}},
		{`{"completion_tokens":7}`, Tokens{}},
		{`{"prompt_tokens":-1}`, Tokens{}},
		{`{"prompt_tokens":1.5}`, Tokens{}},
		{`{"prompt_tokens":"11"}`, Tokens{}},
		{`{"prompt_tokens":11,"completion_tokens":-7}`, Tokens{}},
		{`{"input_tokens":1000000001}`, Tokens{}},
		{`{"input_tokens":99999999999999999999}`, Tokens{}},
		{`{"input_tokens":1,"cache_read_input_tokens":-1}`, Tokens{}},
		{`{}`, Tokens{}},
		{`null`, Tokens{}},
		{`[1]`, Tokens{}},
		{``, Tokens{}},
	} {
		if got := readEarly(c.text); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.text, got, c.want)
		}
	}
}

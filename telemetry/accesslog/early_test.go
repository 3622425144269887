package accesslog

import (
	"testing"

	"weir/llm"
)

func TestReadEarly(t *testing.T) {
	for _, c := range []struct {
		text string
		want llm.Tokens
	}{
		{`{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}`, llm.Tokens{Known: true, Cut: true, OutputKnown: true, Input: 11, Output: 7, Total: 18}},
		{`{"prompt_tokens":11,"completion_tokens":0}`, llm.Tokens{Known: true, Cut: true, OutputKnown: true, Input: 11, Total: 11}},
		{`{"prompt_tokens":11,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":3}}`, llm.Tokens{Known: true, Cut: true, OutputKnown: true, Input: 11, Output: 7, Total: 18, CachedInput: 5, Reasoning: 3}},
		{`{"prompt_tokens":11,"prompt_tokens_details":null}`, llm.Tokens{Known: true, Cut: true, Input: 11, Total: 11}},
		{`{"input_tokens":11,"output_tokens":1}`, llm.Tokens{Known: true, Cut: true, Input: 11, Total: 11}},
		{`{"input_tokens":11,"cache_read_input_tokens":5,"cache_creation_input_tokens":null}`, llm.Tokens{Known: true, Cut: true, Input: 16, Total: 16, CachedInput: 5}},
		{`{"completion_tokens":7}`, llm.Tokens{}},
		{`{"prompt_tokens":-1}`, llm.Tokens{}},
		{`{"prompt_tokens":1.5}`, llm.Tokens{}},
		{`{"prompt_tokens":"11"}`, llm.Tokens{}},
		{`{"prompt_tokens":11,"completion_tokens":-7}`, llm.Tokens{}},
		{`{"input_tokens":1000000001}`, llm.Tokens{}},
		{`{"input_tokens":99999999999999999999}`, llm.Tokens{}},
		{`{"input_tokens":1,"cache_read_input_tokens":-1}`, llm.Tokens{}},
		{`{}`, llm.Tokens{}},
		{`null`, llm.Tokens{}},
		{`[1]`, llm.Tokens{}},
		{``, llm.Tokens{}},
	} {
		if got := llm.ReadEarlyUsage(c.text); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.text, got, c.want)
		}
	}
}

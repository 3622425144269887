package config

import (
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestRawValue(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"x", `"x"`},
		{"'1'", `"1"`},
		{"[]", `[]`},
		{"{}", `{}`},
		{"{z: 1, a: 2, m: {y: 1, b: [1, {k: v}]}}", `{"z":1,"a":2,"m":{"y":1,"b":[1,{"k":"v"}]}}`},
		{"[1.10, 1e3, -0, -0.0, 1E+2, 99999999999999999999, 0.1234567890123456789]", `[1.10,1e3,-0,-0.0,1E+2,99999999999999999999,0.1234567890123456789]`},
		{"[0x1F, 0o17, 1_000, +5, .5, 1., 1_0.5]", `[31,15,1000,5,0.5,1,10.5]`},
		{"[true, False, null, ~, yes]", `[true,false,null,null,"yes"]`},
		{"[2024-10-21, \"<a&b>\", \"\\u2028\", \"\\0\\\"\"]", `["2024-10-21","<a&b>","\u2028","\u0000\""]`},
		{"{a: &x {b: 1}, c: *x, d: {<<: *x, e: 2}}", `{"a":{"b":1},"c":{"b":1},"d":{"e":2,"b":1}}`},
		{`{"b": 1.0, "a": "\uD83D\uDE00\/"}`, `{"b":1.0,"a":"😀/"}`},
	} {
		var got struct {
			Raw RawValue `yaml:"raw"`
		}
		_, problems := Decode("t.yaml", []byte("raw: "+c.yaml), &got)
		if strings.HasPrefix(c.yaml, `{"`) {
			_, problems = Decode("t.yaml", []byte(`{"raw": `+c.yaml+"}"), &got)
		}
		if len(problems) > 0 || string(got.Raw) != c.want {
			t.Errorf("%s\ngot  %s %v\nwant %s", c.yaml, got.Raw, problems, c.want)
		}
		// It comes back from both encodings.
		asJSON, err := json.Marshal(got)
		if err != nil || !json.Valid(asJSON) {
			t.Errorf("%s: as JSON: %s, %v", c.yaml, asJSON, err)
		}
		asYAML, err := yaml.Marshal(got)
		first := string(got.Raw)
		if _, problems := Decode("t.yaml", asYAML, &got); err != nil || len(problems) > 0 || string(got.Raw) != first {
			t.Errorf("%s: as YAML: %s, %v, %v: %s", c.yaml, asYAML, err, problems, got.Raw)
		}
	}
	var body map[string]RawValue
	if _, problems := Decode("t.yaml", []byte("stop: null\nn: 1.0"), &body); len(problems) > 0 || string(body["stop"]) != "null" || string(body["n"]) != "1.0" {
		t.Errorf("%v: %s", problems, body)
	}
}

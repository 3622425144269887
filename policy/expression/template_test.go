package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func vault(store, key string) (string, error) {
	if store == "none" {
		return "", errors.New("secret none/" + key + " is missing")
	}
	return "<" + store + "/" + key + ">", nil
}

// TestTemplate tests strings with ${…}: their text, and their value as JSON
// (docs/shaping.md).
func TestTemplate(t *testing.T) {
	for _, c := range []struct{ source, text, value string }{
		{"", "", `""`},
		{"plain $5 {x}", "plain $5 {x}", `"plain $5 {x}"`},
		{"${secrets.get('my-provider', 'api-key')}", "<my-provider/api-key>", `"\u003cmy-provider/api-key\u003e"`},
		{`Bearer ${ secrets.get("a", 'b') }!`, "Bearer <a/b>!", `"Bearer \u003ca/b\u003e!"`},
		{"${req.id}-${key.name}", "r1-team-a", `"r1-team-a"`},
		{"${'}'}${\"{\"}${{'a': 1}.a}", "}{1", `"}{1"`},
		{`${'it\'s }'}|${r'\'}|${'''a'}'b'''}|${1 // }` + "\n}", `it's }|\|a'}'b|1`, ""},
		{"${'$'}{x}", "${x}", `"${x}"`},
		{"${req.headers['x-team']}", "a, b", `["a","b"]`},
		{"${req.headers['X-Team'][1]}", "b", `"b"`},
		{"<${req.headers['x-none']}${req.headers['x-none'][0]}>", "<>", `"\u003c\u003e"`},
		{"${req.headers['x-none']}", "", `[]`},
		{"${req.body.max_tokens}", "2000", `2000`},
		{"${req.body.max_tokens + 1}", "2001", `2001`},
		{"${req.body.temperature}", "0.5", `0.5`},
		{"${req.body.messages}", `[{"content":"hi","role":"user"},{"role":"assistant"}]`, `[{"content":"hi","role":"user"},{"role":"assistant"}]`},
		{"${req.body.stream}", "true", `true`},
		{"${req.body.nothing}", "", `null`},
		{"${{'user': key.id, 'n': [1, 2.5, null]}}", `{"n":[1,2.5,null],"user":"aigk_1"}`, `{"n":[1,2.5,null],"user":"aigk_1"}`},
		{"${key.metadata.plan == 'free' ? 100 : 1000}", "100", `100`},
		{"${conn.client_ip.split('.')[0]}", "192", `"192"`},
		{"${size(req.path)}", "20", `20`},
		{"${9223372036854775807}", "9223372036854775807", `9223372036854775807`},
	} {
		p, issues := Template(c.source)
		if issues != nil {
			t.Errorf("%s: %v", c.source, issues)
			continue
		}
		in := &Input{Request: smallRequest()}
		if got, err := p.Text(in, vault); got != c.text || err != nil {
			t.Errorf("%s\n got %s %v\nwant %s", c.source, got, err, c.text)
		}
		value, err := p.Value(in, vault)
		got, _ := json.Marshal(value)
		if c.value != "" && (string(got) != c.value || err != nil) {
			t.Errorf("%s\n got %s %v\nwant %s", c.source, got, err, c.value)
		}
	}
}

func TestTemplateIssues(t *testing.T) {
	for source, want := range map[string]string{
		"a ${req.id":                           "1:3: ${ without a closing }",
		"${'}":                                 "1:1: ${ without a closing }",
		"${}":                                  "1:3: the expression is empty",
		"ü ${req.idd}":                         "1:8: unknown field idd: did you mean id?",
		"one\ntwo ${\n  nope}":                 "3:3: unknown name or function nope",
		"${ai.models}":                         "1:3: ai cannot be used here",
		"${secrets.get('a', req.id)}":          "1:14: secrets.get takes two constant strings, so that a missing secret is found when the configuration is loaded",
		"${secrets.get('a')}":                  "1:14: get does not take secrets.(string)",
		"${secrets}":                           "1:3: this returns secrets, which cannot be converted to text",
		"${req.headers.cookie}":                "1:14: the header cookie holds a client's credential, which an expression may not read",
		"${b'a'}":                              "1:3: this returns bytes, which cannot be converted to text",
		"${req.a} and ${req.b}":                "1:6: unknown field a",
		"${" + strings.Repeat("x", 5000) + "}": "1:3: expression code point size exceeds limit: size: 5000, limit 4096",
	} {
		_, issues := Template(source)
		if len(issues) == 0 || !strings.HasPrefix(issues[0].String(), want) {
			t.Errorf("%.40s\n got %v\nwant %s", source, issues, want)
		}
	}
}

// An error of a template is safe to log, and names the secret that is missing.
func TestTemplateErrors(t *testing.T) {
	for source, want := range map[string]string{
		"${secrets.get('none', 'k')}":        "1:12: secret none/k is missing",
		"${int(req.body.messages[0].role)}":  "1:4: it cannot be evaluated for this request",
		"${req.body.big}":                    "the result is not a finite number",
		"${[req.body.max_tokens, dyn(key)]}": "the result contains access_key, which cannot be converted to text",
	} {
		p, issues := Template(source)
		if issues != nil {
			t.Errorf("%s: %v", source, issues)
			continue
		}
		if _, err := p.Text(&Input{Request: smallRequest()}, vault); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", source, err, want)
		}
	}
}

func TestTemplateProperties(t *testing.T) {
	for source, want := range map[string]string{
		"a":                                 "[] false",
		"${'a'}":                            "[] false",
		"${secrets.get('a', 'b')}":          "[{a b}] false",
		"${secrets.get('a', 'b')}${req.id}": "[{a b}] true",
		"${secrets.get('a', 'b') + secrets.get('c', 'd')}": "[{a b} {c d}] false",
	} {
		p, issues := Template(source)
		if issues != nil {
			t.Fatal(issues)
		}
		if got := fmt.Sprint(p.Secrets(), p.UsesRequest()); got != want || p.UsesSecrets() != (len(p.Secrets()) > 0) {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
}

// A template can be evaluated without a request.
func TestTemplateWithoutRequest(t *testing.T) {
	p, issues := Template("${req.id}${req.headers['x'][0]}${req.body.x}${key.metadata.x}|")
	if issues != nil {
		t.Fatal(issues)
	}
	if got, err := p.Text(&Input{}, nil); got != "|" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

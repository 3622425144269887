package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"weir/llm"
)

// testFile has a field of every kind.
type testFile struct {
	testCommon `yaml:",inline"`

	Name     string               `yaml:"name,omitempty"`
	Kind     testKind             `yaml:"kind"`
	On       bool                 `yaml:"on"`
	Count    int                  `yaml:"count"`
	Bytes    int64                `yaml:"bytes"`
	Rate     float64              `yaml:"rate"`
	Wait     time.Duration        `yaml:"wait"`
	Prefix   *string              `yaml:"prefix"`
	Names    []string             `yaml:"names"`
	Labels   map[string]string    `yaml:"labels"`
	Items    []testItem           `yaml:"items"`
	Item     *testItem            `yaml:"item"`
	ByName   map[string]*testItem `yaml:"by_name"`
	Metadata map[string]any       `yaml:"metadata"`
	Any      any                  `yaml:"any"`
	Body     map[string]RawValue  `yaml:"body"`
	Raw      RawValue             `yaml:"raw"`
	Custom   testCustom           `yaml:"custom"`

	NotInFile string
}

type testKind string

type testCommon struct {
	BaseURL string `yaml:"base_url"`
}

type testItem struct {
	ID   string     `yaml:"id"`
	Sub  []testItem `yaml:"sub"`
	Size int        `yaml:"size"`
}

// testCustom is a name, or a mapping with a name.
type testCustom struct{ Name string }

func (c *testCustom) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.MappingNode {
		var long struct {
			Name string `yaml:"name"`
		}
		d.value(n, path, &long)
		c.Name = "long " + long.Name
		return
	}
	d.value(n, path, &c.Name)
}

func TestDecodeValues(t *testing.T) {
	empty := ""
	for _, c := range []struct {
		yaml string
		want testFile
	}{
		{"", testFile{}},
		{"# nothing\n", testFile{}},
		{"---\n", testFile{}},
		{"~", testFile{}},
		{"{}", testFile{}},
		{"\ufeffname: x", testFile{Name: "x"}},
		{"base_url: x", testFile{testCommon: testCommon{"x"}}},
		{"name: x\nkind: y", testFile{Name: "x", Kind: "y"}},
		{"name: ${secrets.get('a', 'b')}", testFile{Name: "${secrets.get('a', 'b')}"}},
		{"name: 2024-10-21", testFile{Name: "2024-10-21"}},
		{"name: on", testFile{Name: "on"}},
		{"name: <<", testFile{Name: "<<"}},
		{`name: "1"`, testFile{Name: "1"}},
		{"name: !!str 1", testFile{Name: "1"}},
		{"name: |\n  a\n  b\n", testFile{Name: "a\nb\n"}},
		{"name:\non:\ncount: null\nnames: ~\nitem:\nprefix:\nraw:\ncustom:\nany:", testFile{}},
		{"on: true", testFile{On: true}},
		{"on: True", testFile{On: true}},
		{"on: FALSE", testFile{}},
		{"count: -12", testFile{Count: -12}},
		{"count: 500_000", testFile{Count: 500000}},
		{"count: 0x1F", testFile{Count: 31}},
		{"count: 0o17", testFile{Count: 15}},
		{"count: 0", testFile{}},
		{"bytes: 9223372036854775807", testFile{Bytes: 9223372036854775807}},
		{"rate: 1.5", testFile{Rate: 1.5}},
		{"rate: 2", testFile{Rate: 2}},
		{"rate: .5", testFile{Rate: .5}},
		{"rate: 1e3", testFile{Rate: 1000}},
		{"wait: 120s", testFile{Wait: 2 * time.Minute}},
		{`wait: "3m"`, testFile{Wait: 3 * time.Minute}},
		{"wait: 1m30s", testFile{Wait: 90 * time.Second}},
		{"wait: 0s", testFile{}},
		{`prefix: ""`, testFile{Prefix: &empty}},
		{"names: []", testFile{Names: []string{}}},
		{"names: [a, b]", testFile{Names: []string{"a", "b"}}},
		{"labels: {}", testFile{Labels: map[string]string{}}},
		{"labels: {a.b: c, '<<': d}", testFile{Labels: map[string]string{"a.b": "c", "<<": "d"}}},
		{"items:\n- id: a\n  sub: [{id: b}]\n- size: 1", testFile{Items: []testItem{{ID: "a", Sub: []testItem{{ID: "b"}}}, {Size: 1}}}},
		{"item: {id: a}", testFile{Item: &testItem{ID: "a"}}},
		{"by_name: {x: {id: a}}", testFile{ByName: map[string]*testItem{"x": {ID: "a"}}}},
		{"metadata: {a: 1, b: 18446744073709551615, c: 1.5, d: x, e: true, f: null, g: [1, {}]}", testFile{Metadata: map[string]any{"a": int64(1), "b": uint64(18446744073709551615), "c": 1.5, "d": "x", "e": true, "f": nil, "g": []any{int64(1), map[string]any{}}}}},
		{"any: 2024-10-21", testFile{Any: "2024-10-21"}},
		{"custom: x", testFile{Custom: testCustom{"x"}}},
		{"custom: {name: x}", testFile{Custom: testCustom{"long x"}}},
		// Anchors, aliases, merges.
		{"name: &n x\nkind: *n\nnames: [*n, *n]", testFile{Name: "x", Kind: "x", Names: []string{"x", "x"}}},
		{"items: [&a {id: a, size: 1}, {<<: *a, id: b}]", testFile{Items: []testItem{{ID: "a", Size: 1}, {ID: "b", Size: 1}}}},
		{"items: [&a {id: a}, &b {id: b, size: 2}, {<<: [*a, *b]}]", testFile{Items: []testItem{{ID: "a"}, {ID: "b", Size: 2}, {ID: "a", Size: 2}}}},
		{"items: [&a {id: a}, &b {<<: *a, size: 2}, {<<: *b}]", testFile{Items: []testItem{{ID: "a"}, {ID: "a", Size: 2}, {ID: "a", Size: 2}}}},
		{"item: {<<: {id: a}}", testFile{Item: &testItem{ID: "a"}}},
		{"labels: {&k a: x}\nmetadata: {*k : y}", testFile{Labels: map[string]string{"a": "x"}, Metadata: map[string]any{"a": "y"}}},
		{"custom: &c x\nnames: [*c]", testFile{Custom: testCustom{"x"}, Names: []string{"x"}}},
		// JSON.
		{"{\n\t\"name\": \"a\\/b \\uD83D\\uDE00\",\n\t\"count\": 1,\n\t\"names\": [\n\t\t\"x\"\n\t],\n\t\"item\": null,\n\t\"on\"\n\t: true\n}", testFile{Name: "a/b 😀", Count: 1, Names: []string{"x"}, On: true}},
		{`{"labels": {"` + strings.Repeat("k", 1024) + `": "x", "<<": "y", "a:": "z"}}`, testFile{Labels: map[string]string{strings.Repeat("k", 1024): "x", "<<": "y", "a:": "z"}}},
		{`{"rate": 1E3, "name": "yes", "wait": "3m"}`, testFile{Rate: 1000, Name: "yes", Wait: 3 * time.Minute}},
		{`{name: flow YAML, names: [a,]}`, testFile{Name: "flow YAML", Names: []string{"a"}}},
	} {
		var got testFile
		_, problems := Decode("t.yaml", []byte(c.yaml), &got)
		if len(problems) > 0 {
			t.Errorf("%s\n%v", c.yaml, problems)
		} else if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(testFile{}), cmp.AllowUnexported(testCommon{})); diff != "" {
			t.Errorf("%s\n%s", c.yaml, diff)
		}
	}
}

func TestDecodeOtherRoots(t *testing.T) {
	var list []testItem
	if _, problems := Decode("t.yaml", []byte("- {id: a}\n- id: b\n  siz: 1\n"), &list); problems.Error() != `t.yaml:3: [1]: unknown field "siz": did you mean "size"?` || len(list) != 2 {
		t.Errorf("%v: %+v", problems, list)
	}
	var names map[string]int
	if _, problems := Decode("t.json", []byte(`{"a": 1}`), &names); len(problems) > 0 || names["a"] != 1 {
		t.Errorf("%v: %v", problems, names)
	}
}

func TestDecodeProblems(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"nam: x", `t.yaml:1: unknown field "nam": did you mean "name"?`},
		{"zzzzzz: x", `t.yaml:1: unknown field "zzzzzz"`},
		{"NotInFile: x", `t.yaml:1: unknown field "NotInFile"`},
		{"- a", "t.yaml:1: must be a mapping, but is a list"},
		{"a", "t.yaml:1: must be a mapping, but is a string"},
		{"name: 1", "t.yaml:1: name: must be a string: write it in quotes"},
		{"name: 1.10", "t.yaml:1: name: must be a string: write it in quotes"},
		{"name: true", "t.yaml:1: name: must be a string: write it in quotes"},
		{"name: [x]", "t.yaml:1: name: must be a string, but is a list"},
		{"\nname:\n  x: y", "t.yaml:2: name: must be a string, but is a mapping"},
		{"names: x", "t.yaml:1: names: must be a list, but is a string: write each entry on its own line, as `- …`"},
		{"names: {}", "t.yaml:1: names: must be a list, but is a mapping: write each entry on its own line, as `- …`"},
		{"names:\n- a\n-\n- 3", "t.yaml:3: names[1]: must be a string, but is null\nt.yaml:4: names[2]: must be a string: write it in quotes"},
		{"labels: [a]", "t.yaml:1: labels: must be a mapping, but is a list: write `NAME: value` for each entry, without `- `"},
		{"labels:\n  a: 1\n  b: null", "t.yaml:2: labels.a: must be a string: write it in quotes\nt.yaml:3: labels.b: must be a string, but is null"},
		{"labels: {1: x}", "t.yaml:1: labels: a key must be a string: write it in quotes"},
		{"labels: {[a]: x}", "t.yaml:1: labels: a key must be a string: write it in quotes"},
		{"by_name: {x: null}", "t.yaml:1: by_name.x: must have a value, but is null"},
		{"items: [null]", "t.yaml:1: items[0]: must be a mapping, but is null"},
		{"on: yes", "t.yaml:1: on: must be true or false, but is a string: write true, without quotes"},
		{"on: 1", "t.yaml:1: on: must be true or false, but is a number: write true, without quotes"},
		{"on: !!bool yes", "t.yaml:1: on: must be true or false, but is a boolean: write true, without quotes"},
		{"count: '1'", "t.yaml:1: count: must be an integer, but is a string: remove the quotes"},
		{"count: 1.5", "t.yaml:1: count: must be an integer in digits"},
		{"count: 1e3", "t.yaml:1: count: must be an integer in digits"},
		{"count: 010", "t.yaml:1: count: must not begin with 0: it could be read as octal"},
		{"count: !!int x", "t.yaml:1: count: is out of range"},
		{"bytes: 9223372036854775808", "t.yaml:1: bytes: is out of range"},
		{"bytes: 99999999999999999999", "t.yaml:1: bytes: is out of range"},
		{"rate: x", "t.yaml:1: rate: must be a number, but is a string"},
		{"rate: .inf", "t.yaml:1: rate: must be a finite number"},
		{"rate: .nan", "t.yaml:1: rate: must be a finite number"},
		{"wait: 120", `t.yaml:1: wait: must have a unit: write "120s"`},
		{"wait: '120'", `t.yaml:1: wait: must have a unit: write "120s"`},
		{"wait: '0'", `t.yaml:1: wait: must have a unit: write "30s", "3m" or "1m30s"`},
		{"wait: -3m", `t.yaml:1: wait: "-3m" is not a valid duration: write "30s", "3m" or "1m30s"`},
		{"wait: 1d", `t.yaml:1: wait: "1d" is not a valid duration: write "24h"`},
		{"wait: [1s]", `t.yaml:1: wait: must be a duration such as "30s", "3m" or "1m30s", but is a list`},
		{"name: a\nname: b\nname: c", "t.yaml:2: \"name\" is set twice (first on line 1)\nt.yaml:3: \"name\" is set twice (first on line 1)"},
		{"labels:\n  a: x\n  'a': y", `t.yaml:3: labels: "a" is set twice (first on line 2)`},
		{"metadata: {a: {b: 1, b: 2}}", `t.yaml:1: metadata.a: "b" is set twice (first on line 1)`},
		{"body: {a: {b: 1, b: 2}}", `t.yaml:1: body.a: "b" is set twice (first on line 1)`},
		{"{\"name\": \"a\",\n \"n\\u0061me\": \"b\"}", `t.yaml:2: "name" is set twice (first on line 1)`},
		{"name: !secret x", "t.yaml:1: name: has the unknown tag !secret: remove it"},
		{"items: !!set {a}", "t.yaml:1: items: has the unknown tag !!set: remove it"},
		{"custom: [x]", "t.yaml:1: custom: must be a string, but is a list"},
		{"custom: {nam: x}", `t.yaml:1: custom: unknown field "nam": did you mean "name"?`},
		{"raw: .inf", "t.yaml:1: raw: must be a finite number"},
		{"metadata: {a: 010}", "t.yaml:1: metadata.a: must not begin with 0: it could be read as octal"},
		{"labels:\n  ? " + strings.Repeat("k", 1025) + "\n  : x", fmt.Sprintf("t.yaml:2: labels: the key %q is longer than 1024 bytes", llm.Clip(strings.Repeat("k", 1025)))},
		// Aliases: a problem is reported where it is written, once.
		{"items:\n- &a {idd: x}\n- *a\n- <<: *a", `t.yaml:2: items[0]: unknown field "idd": did you mean "id"?`},
		{"items:\n- &a {id: 1}\n- *a\n- <<: *a", "t.yaml:2: items[0].id: must be a string: write it in quotes"},
		{"any: &a [*a]", "t.yaml:1: any[0][0]: *a contains itself"},
		{"metadata: &a {b: *a}", "t.yaml:1: metadata.b.b: *a contains itself"},
		{"item: &a {<<: *a}", "t.yaml:1: item: *a contains itself"},
		{"item: {<<: x}", "t.yaml:1: item: << must be a mapping, or a list of mappings"},
		{"item: {<<: [[{}]]}", "t.yaml:1: item: << must be a mapping, or a list of mappings"},
		{"item: {<<: {id: a}, <<: {id: b}}", `t.yaml:1: item: "<<" is set twice (first on line 1)`},
		// What cannot be read at all.
		{"name: a\n---\nname: b", "t.yaml:2: a second YAML document begins here: a configuration is one document"},
		{"name: a\n---\n", "t.yaml:2: a second YAML document begins here: a configuration is one document"},
		{"a: b: c", `t.yaml:1: not valid YAML: mapping values are not allowed in this context (wrong indentation, or a value with ": " in it that needs quotes)`},
		{"name: x\nkind: b: c", `t.yaml:2: not valid YAML: mapping values are not allowed in this context (wrong indentation, or a value with ": " in it that needs quotes)`},
		{"name: x\nitem:\n\tid: y", "t.yaml:3: not valid YAML: found character that cannot start any token (indent with spaces, not tabs; put a value that begins with @, ` or % in quotes)"},
		{"name: x\nkind: *nope", "t.yaml:2: not valid YAML: unknown anchor 'nope' referenced"},
		{"names:\n  - b\n count: 1", "t.yaml:3: not valid YAML: did not find expected key (wrong indentation, or a quote inside a value in quotes)"},
		{"name: x\nitems:\n  - id: a\n    size: 1\n   sub: []\n  - id: b", "t.yaml:5: not valid YAML: did not find expected '-' indicator (wrong indentation?)"},
		{"name: x\nitems:\n  - id: a\n  - id: b\n  sub: []", "t.yaml:5: not valid YAML: did not find expected '-' indicator (wrong indentation?)"},
		{"- a\nb: 1", "t.yaml:2: not valid YAML: did not find expected '-' indicator (wrong indentation?)"},
		{"names: [a\nname: b", "t.yaml:2: not valid YAML: did not find expected ',' or ']'"},
		{"name: b\nitem: {id: a\n\nname: b", "t.yaml:4: not valid YAML: did not find expected ',' or '}'"},
		{"name: x\nkind: \"y\non: true", "t.yaml:2: not valid YAML: found unexpected end of stream (a quote is not closed)"},
		{"name: x\nkind: a\x01b", "t.yaml:2: not valid YAML: control characters are not allowed (value: 1)"},
		{"name: x\nkind: 'y\non: true\n", "t.yaml:2: not valid YAML: found unexpected end of stream (a quote is not closed)"},
		{"name: x\nitem:\n  id: y\n  sub\nkind: z", "t.yaml:4: not valid YAML: could not find expected ':'"},
		{"name: x\nitem:\n  id: y\n\tsub: []", "t.yaml:4: not valid YAML: found a tab character that violates indentation (indent with spaces)"},
		{"name: x\nkind: \xff", "t.yaml:2: is not UTF-8"},
		{"\xff\xfen\x00", "t.yaml:1: is not UTF-8"},
		{"%YAML 1.2\n---\nname: x", "t.yaml:1: not valid YAML: found incompatible YAML document (leave the %YAML line out)"},
		{"{\n\"name\": \"a\"\n\"kind\": \"b\"\n}", "t.yaml:3: not valid YAML: did not find expected ',' or '}'"},
	} {
		var got testFile
		_, problems := Decode("t.yaml", []byte(c.yaml), &got)
		if problems.Error() != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.yaml, problems, c.want)
		}
	}
}

func TestDecodeJSONSyntax(t *testing.T) {
	_, problems := Decode("weir.json", []byte("{\n\t\"name\": \"a\"\n\t\"kind\": \"b\"\n}"), &testFile{})
	if got, want := problems.Error(), "weir.json:3: not valid JSON: invalid character '\"' after object key:value pair"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestDecodeReportsEverything: all problems of a file are reported at once, and all other
// values are decoded.
func TestDecodeReportsEverything(t *testing.T) {
	file := strings.TrimLeft(`
nam: weir
count: "3"
names: {a: b}
items:
  - id: 7
    size: big
  - idd: x
    sub:
      - id: deep
        sub: none
  - id: fine
  - just a string
  - id: twice
    id: again
wait: 120
on: maybe
labels:
  a: [1]
  b: 2.5
  c: fine
metadata: {x: 1, x: 2}
raw: {y: .nan}
base_url: https://h.example
`, "\n")
	want := strings.TrimSpace(`
weir.yaml:1: unknown field "nam": did you mean "name"?
weir.yaml:2: count: must be an integer, but is a string: remove the quotes
weir.yaml:3: names: must be a list, but is a mapping: write each entry on its own line, as ` + "`- …`" + `
weir.yaml:5: items[0].id: must be a string: write it in quotes
weir.yaml:6: items[0].size: must be an integer, but is a string
weir.yaml:7: items[1]: unknown field "idd": did you mean "id"?
weir.yaml:10: items[1].sub[0].sub: must be a list, but is a string: write ` + "`- id: none`" + `
weir.yaml:12: items[3]: must be a mapping, but is a string: write ` + "`- id: …`" + `
weir.yaml:14: items[4]: "id" is set twice (first on line 13)
weir.yaml:15: wait: must have a unit: write "120s"
weir.yaml:16: on: must be true or false, but is a string
weir.yaml:18: labels.a: must be a string, but is a list
weir.yaml:19: labels.b: must be a string: write it in quotes
weir.yaml:21: metadata: "x" is set twice (first on line 21)
weir.yaml:22: raw.y: must be a finite number
`)
	var got testFile
	_, problems := Decode("weir.yaml", []byte(file), &got)
	if diff := cmp.Diff(want, problems.Error()); diff != "" {
		t.Error(diff)
	}
	if got.BaseURL != "https://h.example" || got.Labels["c"] != "fine" || got.Items[2].ID != "fine" || got.Items[4].ID != "twice" {
		t.Errorf("other values were not decoded: %+v", got)
	}
}

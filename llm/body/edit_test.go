package body

import (
	"slices"
	"strings"
	"testing"
)

// checkEdits applies edits and holds what all edits promise.
func checkEdits(t testing.TB, body *Body, edits []Edit, modelAt Span, encodedModel string) string {
	t.Helper()
	end := 0
	for _, e := range edits {
		if e.At < end || e.At+e.Len > len(body.Bytes) {
			t.Fatalf("edits are not sorted or overlap: %v", edits)
		}
		end = e.At + e.Len
	}
	out := string(Apply(nil, body.Bytes, edits))
	if got := EditedLen(len(body.Bytes), edits); got != len(out) {
		t.Errorf("EditedLen is %d, the edited body has %d bytes", got, len(out))
	}
	if got := out[modelAt.Start:modelAt.End]; got != encodedModel {
		t.Errorf("modelAt tells of %q, want %q in %q", got, encodedModel, out)
	}
	return out
}

func TestWithModel(t *testing.T) {
	f := func(input, want string) {
		t.Helper()
		body := readBody(t, input)
		edits, at := body.WithModel(nil, "new")
		if got := checkEdits(t, body, edits, at, `"new"`); got != want {
			t.Errorf("%s\n got %s\nwant %s", input, got, want)
		}
	}
	// The value is replaced.
	f(`{"model":"old"}`, `{"model":"new"}`)
	f(` { "model" : "old" } `, ` { "model" : "new" } `)
	f(`{"a":1,"model":"a longer name","b":2}`, `{"a":1,"model":"new","b":2}`)
	f(`{"mod\u0065l":"old"}`, `{"mod\u0065l":"new"}`)
	f(`{"model":"n\u0065w"}`, `{"model":"new"}`)
	f(`{"model":"new"}`, `{"model":"new"}`)
	f(`{"x":{"model":"in"},"model":"old"}`, `{"x":{"model":"in"},"model":"new"}`)
	f(`{"n":[1e400,9007199254740993,-0.0],"s":"\u00e9\/","model":"old","n":1,"n":2}`, `{"n":[1e400,9007199254740993,-0.0],"s":"\u00e9\/","model":"new","n":1,"n":2}`)

	// It is inserted.
	f(`{}`, `{"model":"new"}`)
	f("\n{ }\n", "\n{\"model\":\"new\" }\n")
	f(`{"a":1}`, `{"model":"new","a":1}`)
	f(`{ "a":1}`, `{"model":"new", "a":1}`)

	// models goes, with one comma.
	f(`{"models":["a"]}`, `{"model":"new"}`)
	f(`{ "models":["a"] }`, `{"model":"new"  }`)
	f(`{"models":["a"],"b":1}`, `{"model":"new","b":1}`)
	f(`{"b":1,"models":["a"]}`, `{"model":"new","b":1}`)
	f(`{"models":["a"],"model":"old"}`, `{"model":"new"}`)
	f(`{"model":"old","models":["a"]}`, `{"model":"new"}`)
	f(`{"model":"old" , "models":["a"] }`, `{"model":"new" }`)
	f(`{"model":"old", "models":["a"], "b":1}`, `{"model":"new", "b":1}`)
	f(`{"a":1,"models":["a"],"model":"old"}`, `{"a":1,"model":"new"}`)
	f("{\n  \"models\": [\n    \"a\"\n  ],\n  \"model\": \"old\",\n  \"b\": 1\n}", "{\n  \"model\": \"new\",\n  \"b\": 1\n}")
	f("{\n  \"model\": \"old\",\n  \"models\": [\"a\"],\n  \"b\": 1\n}", "{\n  \"model\": \"new\",\n  \"b\": 1\n}")
	f("{\n  \"model\": \"old\",\n  \"models\": [\"a\"]\n}", "{\n  \"model\": \"new\"\n}")
}

func TestEdit(t *testing.T) {
	drop := func(names ...string) func([]byte) bool {
		return func(name []byte) bool { return slices.Contains(names, string(name)) }
	}
	set := func(pairs ...string) (s []KeyValue) {
		for i := 0; i < len(pairs); i += 2 {
			s = append(s, KeyValue{pairs[i], []byte(pairs[i+1])})
		}
		return s
	}
	f := func(input string, c Change, want string) {
		t.Helper()
		c.Model = "m"
		body := readBody(t, input)
		edits, at := body.Edit(nil, c)
		if got := checkEdits(t, body, edits, at, `"m"`); got != want {
			t.Errorf("%s\n got %s\nwant %s", input, got, want)
		}
		// The edits of another model in the same memory, of any size, leave these alone.
		for size := range 2 * len(want) {
			memory := make([]byte, 0, size)
			first, second := c, c
			first.Memory, second.Memory, second.Model = &memory, &memory, "another"
			edits, at := body.Edit(nil, first)
			body.Edit(nil, second)
			if got := checkEdits(t, body, edits, at, `"m"`); got != want {
				t.Errorf("%s, memory of %d bytes\n got %s\nwant %s", input, size, got, want)
			}
		}
	}
	// Drop: first, middle, last, only, adjacent, all.
	f(`{"a":1,"b":2,"model":"m"}`, Change{Drop: drop("a")}, `{"b":2,"model":"m"}`)
	f(`{"b":2, "a":1, "model":"m"}`, Change{Drop: drop("a")}, `{"b":2, "model":"m"}`)
	f(`{"model":"m" , "a":1 }`, Change{Drop: drop("a")}, `{"model":"m" }`)
	f(`{"a":1}`, Change{Drop: drop("a")}, `{"model":"m"}`)
	f(`{"a":1,"b":2,"model":"m"}`, Change{Drop: drop("a", "b")}, `{"model":"m"}`)
	f(`{"model":"o","a":1,"models":["x"],"b":2}`, Change{Drop: drop("a", "b")}, `{"model":"m"}`)
	f(`{"a":1,"b":2,"model":"o","c":3,"d":4}`, Change{Drop: drop("b", "c")}, `{"a":1,"model":"m","d":4}`)
	f(`{"a":1,"b":2,"c":3,"d":4,"model":"m"}`, Change{Drop: drop("a", "c")}, `{"b":2,"d":4,"model":"m"}`)
	f(`{"a":1,"models":["x"],"b":2}`, Change{Drop: drop("a", "b")}, `{"model":"m"}`)
	f(`{"a":1,"b":2,"a":3,"model":"m"}`, Change{Drop: drop("a")}, `{"b":2,"model":"m"}`)
	f(`{"\u0061":1,"model":"m"}`, Change{Drop: drop("a")}, `{"model":"m"}`)
	f(`{"a":1,"model":"m"}`, Change{Drop: drop("none")}, `{"a":1,"model":"m"}`)

	// Set: replaced where it stands, else inserted after the model.
	f(`{"t":1,"model":"m"}`, Change{Set: set("t", "0.5")}, `{"t":0.5,"model":"m"}`)
	f(`{"t":1,"model":"m","t":2}`, Change{Set: set("t", "[]")}, `{"t":[],"model":"m","t":[]}`)
	f(`{"t":1,"model":"m"}`, Change{Set: set("t", "1")}, `{"t":1,"model":"m"}`)
	f(`{"model":"o"}`, Change{Set: set("t", "1")}, `{"t":1,"model":"m"}`)
	f(`{}`, Change{Set: set("t", "1", "u", `{"v":2}`)}, `{"model":"m","t":1,"u":{"v":2}}`)
	f(`{"a":0}`, Change{Set: set("t", "1", "u", "2")}, `{"model":"m","t":1,"u":2,"a":0}`)
	f(`{"u":0}`, Change{Set: set("t", "1", "u", "2")}, `{"model":"m","t":1,"u":2}`)
	f(`{"a":0}`, Change{Set: set("a\"b\n", "1")}, `{"model":"m","a\"b\u000a":1,"a":0}`)

	// Both.
	f(`{"a":1,"t":2,"b":3}`, Change{Drop: drop("a", "t", "b"), Set: set("t", "9")}, `{"model":"m","t":9}`)
	f(`{"t":2,"a":1}`, Change{Drop: drop("a"), Set: set("t", "9")}, `{"model":"m","t":9}`)
	f(`{"a":1,"b":3}`, Change{Drop: drop("a", "b"), Set: set("t", "9")}, `{"model":"m","t":9}`)
}

func TestEditAsksDropOnlyOfOthers(t *testing.T) {
	var asked []string
	body := readBody(t, `{"a":1,"model":"m","models":["x"],"t":2,"b":3}`)
	body.Edit(nil, Change{Model: "m", Set: []KeyValue{{"t", []byte("1")}}, Drop: func(name []byte) bool {
		asked = append(asked, string(name))
		return false
	}})
	if want := []string{"a", "b"}; !slices.Equal(asked, want) {
		t.Errorf("asked of %q, want %q", asked, want)
	}
}

func TestEditLeavesOutWhatIsThere(t *testing.T) {
	body := readBody(t, `{"model":"m","a":1}`)
	if edits, _ := body.WithModel(nil, "m"); len(edits) > 0 {
		t.Errorf("edits of nothing: %v", edits)
	}
}

func TestEditAppendsToDst(t *testing.T) {
	body := readBody(t, `{"model":"m"}`)
	dst := make([]Edit, 0, 8)
	edits, _ := body.WithModel(dst, "n")
	if len(edits) != 1 || &edits[0] != &dst[:1][0] {
		t.Errorf("dst is not used: %v", edits)
	}
}

func TestEncodeModel(t *testing.T) {
	f := func(model, want string) {
		t.Helper()
		edits, _ := readBody(t, `{"model":"old"}`).WithModel(nil, model)
		if len(edits) != 1 || string(edits[0].With) != want {
			t.Errorf("%q: got %v, want %s", model, edits, want)
		}
	}
	f("", `""`)
	f("gpt-5", `"gpt-5"`)
	f("a<b>&c/d", `"a<b>&c/d"`)
	f("日本é😀\u2028\x7f", "\"日本é😀\u2028\x7f\"")
	f("a\"b\\c", `"a\"b\\c"`)
	f("\x00\n\x1f", `"\u0000\u000a\u001f"`)
	f("a\xffb", "\"a\uFFFDb\"")
	f(strings.Repeat("m", 256), `"`+strings.Repeat("m", 256)+`"`)
}

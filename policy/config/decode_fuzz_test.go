package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestDecodeIsBounded: small files that would take much work. Without the bounds, the worst
// of them would exceed the time limit of the test binary.
func TestDecodeIsBounded(t *testing.T) {
	laughs := "any:\n- &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	merges := "metadata:\n  m0: &m0 {k: x}\n"
	for i := range 9 {
		was, is := string(rune('0'+i)), string(rune('1'+i))
		laughs += "- &a" + is + " [" + strings.Repeat("*a"+was+", ", 10) + "]\n"
		merges += "  m" + is + ": &m" + is + " {<<: [" + strings.Repeat("*m"+was+", ", 10) + "]}\n"
	}
	wide := "any: &a {k: x}\nraw: [" + strings.Repeat("*a, ", 200_000) + "]\n"
	long := "any:\n- &a {" + manyKeys(20_000) + "}\n" + strings.Repeat("- *a\n", 20_000)
	for _, c := range []struct{ name, file, want string }{
		{"too long", strings.Repeat("#", maxFileBytes+1), "t.yaml: is longer than 16 MiB"},
		{"aliases of aliases", laughs, "expand to more than 100000 values"},
		{"merges of merges", merges, "expand to more than 100000 values"},
		{"a list of aliases", wide, "expand to more than 100000 values"},
		{"keys behind aliases", long, "expand to more than 100000 values"},
		{"deep lists", "any: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "is nested deeper than 100 levels"},
		{"deep JSON", `{"any": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "is nested deeper than 100 levels"},
		{"deep raw", "raw: " + strings.Repeat("{a: ", 5000) + strings.Repeat("}", 5000), "is nested deeper than 100 levels"},
		{"many problems", strings.Repeat("- 1\n", 5000), "more than 1000 problems: the others are not shown"},
	} {
		var problems Problems
		if c.name == "many problems" {
			_, problems = Decode("t.yaml", []byte(c.file), &[]string{})
		} else {
			_, problems = Decode("t.yaml", []byte(c.file), &testFile{})
		}
		if text := problems.Error(); !strings.Contains(text, c.want) || len(problems) > maxProblems+1 {
			t.Errorf("%s: %d problems: %.200s", c.name, len(problems), text)
		}
	}
	// A large file without aliases is read whole.
	var list []int
	if _, problems := Decode("t.yaml", []byte(strings.Repeat("- 1\n", 200_000)), &list); len(problems) > 0 || len(list) != 200_000 {
		t.Errorf("%d values, %v", len(list), problems)
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("\"k")
		b.WriteString(strings.Repeat("z", 20))
		b.WriteString(IndexPath("", i))
		b.WriteString("\": x, ")
	}
	return b.String()
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"name: x\nitems:\n- {id: a, size: 1}\n- &a {id: b}\n- <<: *a\n", "any: &a [*a, *a]", "raw: {a: 0x1F, b: [.5, ~]}", "{\"name\": \"\\uD83D\\uDE00\", \"raw\": [1E5]}",
		"a: b: c", "- a\nb: 1\n", "wait: 3m\ncount: 1_0\nrate: 1e400\n", "metadata: {? [a] : b, 1: c, <<: [x]}", "# c\n---\n...\n---\n", "name: !!binary x\n? a\n",
		"items: [&a {<<: *a}]", "labels: {a: |\n  x\n}", "any:\n  - # c\n\n  # d\n", "{\n\t\"raw\"\n: 1.0,}",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, asJSON bool) {
		if len(s) > 64<<10 {
			return
		}
		name := "t.yaml"
		if asJSON {
			name = "t.json"
		}
		var got testFile
		pos, problems := Decode(name, []byte(s), &got)
		if len(problems) > maxProblems+1 {
			t.Fatalf("%d problems", len(problems))
		}
		lines := 2 + strings.Count(s, "\n") + strings.Count(s, "\r") + strings.Count(s, "\u0085") + strings.Count(s, "\u2028") + strings.Count(s, "\u2029")
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines || strings.ContainsAny(p.String(), "\r\n") || p.Message == "" {
				t.Fatalf("%q: %#v", s, p)
			}
		}
		pos.Problem(s, "x")
		if got.Raw != nil && !json.Valid(got.Raw) {
			t.Fatalf("%q: the raw value is %q", s, got.Raw)
		}
		// Reading is a function of the bytes.
		var again testFile
		_, same := Decode(name, []byte(s), &again)
		if !reflect.DeepEqual(got, again) || problems.Error() != same.Error() {
			t.Fatalf("%q: two readings differ", s)
		}
	})
}

package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"weir/internal/jsontext"
	"weir/llm"
)

// rawMember is a top-level member as encoding/json reads it.
type rawMember struct {
	name  string
	value json.RawMessage
}

// rawMembers reads a valid JSON object with encoding/json.
func rawMembers(t testing.TB, text []byte) (members []rawMember) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		m := rawMember{name: name.(string)}
		if err := d.Decode(&m.value); err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	return members
}

// jsonDepth counts the levels of valid JSON.
func jsonDepth(text []byte) (deepest int) {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// acceptable tells, with encoding/json, whether ReadJSON must accept.
func acceptable(t testing.TB, text []byte) bool {
	t.Helper()
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if !json.Valid(text) || !utf8.Valid(text) || trimmed[0] != '{' || jsonDepth(text) > maxJSONDepth {
		return false
	}
	members := rawMembers(t, text)
	count := 0
	for _, m := range members {
		// Nor is a lone surrogate in a key told from U+FFFD.
		if bytes.IndexByte(text, '\\') >= 0 && strings.ContainsFunc(m.name, func(r rune) bool { return r < ' ' || r == utf8.RuneError }) {
			return false
		}
		var models []string
		switch {
		case m.name == "model":
			models = []string{""}
			if m.value[0] != '"' || json.Unmarshal(m.value, &models[0]) != nil {
				return false
			}
			count++
		case m.name == "models":
			var entries []any
			if json.Unmarshal(m.value, &entries) != nil || len(entries) == 0 || len(entries) > MaxModels {
				return false
			}
			for _, e := range entries {
				s, ok := e.(string)
				if !ok {
					return false
				}
				models = append(models, s)
			}
			count += 100
		case strings.EqualFold(m.name, "model"), strings.EqualFold(m.name, "models"):
			return false
		}
		for _, model := range models {
			// encoding/json does not tell a lone surrogate from U+FFFD; a
			// model with either counts as refused, if the value has an escape.
			lone := strings.ContainsRune(model, utf8.RuneError) && bytes.Contains(m.value, []byte(`\u`))
			if _, err := checkModel(onlyModel, []byte(model)); err != nil || lone {
				return false
			}
		}
	}
	return count%100 <= 1 && count/100 <= 1 && len(members) <= maxMembers
}

func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, ` { "model" : "gpt-5" , "stream":true} `, `{"mod\u0065l":"a","model":"b"}`, `{"Model":"a"}`,
		`{"models":["a","b\n"],"model":null}`, `{"a":[1,-0.5e+10,{"b":[true,false,null,"\ud83d\ude00"]}]}`,
		"{\"a\":\"\xff日本\"}", `{"a":"0123456789012345\"6789"}`, `{"modelſ":1}`, `[{}]`, "\uFEFF{}", `{"a":1}{}`,
		`{"a":[[[[[[[[]]]]]]]],"stream":true}`, `{"model":"\ud800"}`, `{"a":01,"b":.5,"c":nul}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var body Body
		before := bytes.Clone(text)
		err := ReadJSON(text, &body)
		if !bytes.Equal(before, text) {
			t.Fatal("the body was written to")
		}
		if err != nil {
			var coded *llm.Error
			if !errors.As(err, &coded) || coded.Code != llm.InvalidBody && coded.Code != llm.DuplicateKey {
				t.Fatalf("not a coded error: %v", err)
			}
			if len(coded.Message) > 300 || !utf8.ValidString(coded.Message) {
				t.Fatalf("not a message for a client: %q", coded.Message)
			}
			if acceptable(t, text) {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		if !json.Valid(text) || !utf8.Valid(text) {
			t.Fatal("accepted what is not valid JSON in UTF-8")
		}
		checkReading(t, text, &body)
	})
}

// checkReading compares what ReadJSON found with encoding/json.
func checkReading(t *testing.T, text []byte, body *Body) {
	t.Helper()
	members := rawMembers(t, text)
	if len(members) != len(body.Members) {
		t.Fatalf("%d members, want %d", len(body.Members), len(members))
	}
	var stream bool
	var fields struct {
		Model  *string
		Models []string
	}
	for i, m := range body.Members {
		want := members[i]
		if string(m.Name) != want.name || !bytes.Equal(text[m.Value.Start:m.Value.End], want.value) {
			t.Fatalf("member %d is %q: %s, want %q: %s", i, m.Name, text[m.Value.Start:m.Value.End], want.name, want.value)
		}
		if want.name == "stream" {
			stream = string(want.value) == "true"
		}
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	if body.HasModel != (fields.Model != nil) || body.HasModel && body.Model != *fields.Model {
		t.Fatalf("model %q, encoding/json has %v", body.Model, fields.Model)
	}
	if body.HasModels != (fields.Models != nil) || strings.Join(body.Models, "\x00") != strings.Join(fields.Models, "\x00") {
		t.Fatalf("models %q, encoding/json has %q", body.Models, fields.Models)
	}
	if body.Stream != stream {
		t.Fatalf("stream %v", body.Stream)
	}
}

func FuzzEdit(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{ "models":["a"] }`, `{"a":1,"models":["a"],"model":"b","c":1e400}`, `{"a":1,"b":2,"a":3}`,
		"{\n  \"model\": \"old\",\n  \"models\": [\"a\"]\n}", `{"b":{},"models":["x"],"a":[]}`,
	} {
		f.Add([]byte(seed), "gpt-5", "a", "b", "\"v\"")
	}
	f.Fuzz(func(t *testing.T, text []byte, model, dropped, set, value string) {
		var body Body
		if ReadJSON(text, &body) != nil || !utf8.ValidString(model) {
			t.Skip()
		}
		change := Change{Model: model, Drop: func(name []byte) bool { return string(name) == dropped }}
		settable := json.Valid([]byte(value)) && utf8.ValidString(set) && set != "model" && set != "models"
		if settable {
			change.Set = []KeyValue{{set, []byte(value)}}
		}
		edits, at := body.Edit(nil, change)
		out := []byte(checkEdits(t, &body, edits, at, string(jsontext.AppendString(nil, model))))
		if !json.Valid(out) {
			t.Fatalf("not valid JSON: %s", out)
		}

		// What must come out, from what encoding/json reads in.
		var want []rawMember
		isSet := false
		for _, m := range rawMembers(t, text) {
			switch {
			case m.name == "models":
				continue
			case m.name == "model":
				m.value = jsontext.AppendString(nil, model)
			case settable && m.name == set:
				m.value, isSet = bytes.Trim([]byte(value), " \t\r\n"), true
			case m.name == dropped:
				continue
			}
			want = append(want, m)
		}
		if settable && !isSet {
			want = append([]rawMember{{set, bytes.Trim([]byte(value), " \t\r\n")}}, want...)
		}
		if !body.HasModel {
			want = append([]rawMember{{"model", jsontext.AppendString(nil, model)}}, want...)
		}
		got := rawMembers(t, out)
		if len(got) != len(want) {
			t.Fatalf("%d members, want %d: %s", len(got), len(want), out)
		}
		for i := range want {
			if got[i].name != want[i].name || !bytes.Equal(got[i].value, want[i].value) {
				t.Fatalf("member %d is %s: %s, want %s: %s", i, got[i].name, got[i].value, want[i].name, want[i].value)
			}
		}
	})
}

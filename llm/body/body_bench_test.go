package body

import (
	"fmt"
	"strings"
	"testing"
)

// chatBody is a chat completion of about n bytes, with messages of such
// length and escapes as people send.
func chatBody(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"model":"gpt-5-mini","stream":true,"temperature":0.7,"max_tokens":4096,"messages":[`)
	b.WriteString(`{"role":"system","content":"You are a helpful assistant. Answer in one paragraph."}`)
	text := strings.Repeat(`The quick brown fox said \"hello\" to the lazy dog.\n`, 6)
	for i := 0; b.Len() < n-len(text)-40; i++ {
		fmt.Fprintf(&b, `,{"role":%q,"content":"%s"}`, []string{"user", "assistant"}[i%2], text)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// longBody is one long string, like an image in base64.
func longBody(n int, text string) []byte {
	return []byte(`{"model":"gpt-5","input":"` + strings.Repeat(text, n/len(text)) + `"}`)
}

func BenchmarkReadJSON(b *testing.B) {
	for _, bench := range []struct {
		name string
		body []byte
	}{
		{"1KiB-chat", chatBody(1 << 10)},
		{"1MiB-chat", chatBody(1 << 20)},
		{"1MiB-ascii", longBody(1<<20, "abcdefgh")},
		{"1MiB-japanese", longBody(1<<20, "日本語")},
		{"1MiB-numbers", []byte(`{"input":[0` + strings.Repeat(",12345", 1<<20/6) + `]}`)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var body Body
			b.SetBytes(int64(len(bench.body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := ReadJSON(bench.body, &body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEdit(b *testing.B) {
	text := chatBody(1 << 10)
	var body Body
	if err := ReadJSON(text, &body); err != nil {
		b.Fatal(err)
	}
	var edits []Edit
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		edits, _ = body.WithModel(edits[:0], "claude-sonnet-5")
		out = Apply(out[:0], text, edits)
	}
}

func BenchmarkReadMultipart(b *testing.B) {
	text := []byte("--XXXXXXXXXXXXXXXX\r\n" + testPart("model", "whisper-1") +
		"--XXXXXXXXXXXXXXXX\r\n" + `Content-Disposition: form-data; name="file"; filename="a.wav"` + "\r\n\r\n" +
		strings.Repeat("\r\nabcdef", 1<<17) + "\r\n--XXXXXXXXXXXXXXXX--\r\n")
	var body Body
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ReadMultipart(text, "XXXXXXXXXXXXXXXX", &body); err != nil {
			b.Fatal(err)
		}
	}
}

// The request path has an allocation budget: what is per byte or per member
// of a body would be a client's lever.
func TestReadJSONAllocations(t *testing.T) {
	f := func(text string, want float64) {
		t.Helper()
		var body Body
		if err := ReadJSON([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		input := []byte(text)
		if got := testing.AllocsPerRun(100, func() { _ = ReadJSON(input, &body) }); got > want {
			t.Errorf("%.60s: %v allocations, want %v", text, got, want)
		}
	}
	f(string(chatBody(1<<10)), 1) // Model
	f(string(chatBody(1<<20)), 1)
	f(`{"model":"\u006d"}`, 1)
	f(`{"model":"a","models":["b","c"]}`, 3)
	f(`{"a":`+strings.Repeat("[", 999)+strings.Repeat("]", 999)+`}`, 0)
}

func TestEditAllocations(t *testing.T) {
	text := chatBody(1 << 10)
	var body Body
	if err := ReadJSON(text, &body); err != nil {
		t.Fatal(err)
	}
	edits := make([]Edit, 0, 4)
	got := testing.AllocsPerRun(100, func() { edits, _ = body.WithModel(edits[:0], "claude-sonnet-5") })
	if got > 1 { // the encoded model
		t.Errorf("%v allocations, want 1", got)
	}
}

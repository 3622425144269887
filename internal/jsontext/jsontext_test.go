package jsontext

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestStrings: a text, and how it is written with only what JSON requires, and with
// everything unprintable escaped.
func TestStrings(t *testing.T) {
	f := func(s, plain, printable string) {
		t.Helper()
		if got := string(AppendString(nil, s)); got != plain {
			t.Errorf("%q: got %s, want %s", s, got, plain)
		}
		if got := string(AppendPrintable(nil, s, "…")); got != strings.TrimSuffix(printable, `"`)+`…"` {
			t.Errorf("%q, printable: got %s, want %s", s, got, printable)
		}
	}
	f("", `""`, `""`)
	f("gpt-4o/日本 ü<&>", `"gpt-4o/日本 ü<&>"`, `"gpt-4o/日本 ü<&>"`)
	f(`a"b\c`, `"a\"b\\c"`, `"a\"b\\c"`)
	f("\x00\n\x1f", `"\u0000\u000a\u001f"`, `"\u0000\u000a\u001f"`)
	f("\x7f", "\"\x7f\"", `"\u007f"`)
	f("\u202e\u2028", "\"\u202e\u2028\"", `"\u202e\u2028"`)
	f("\U000E0001", "\"\U000E0001\"", `"\udb40\udc01"`)
	f("a\xffb", "\"a\uFFFDb\"", `"a\ufffdb"`)
	f("\uFFFD", "\"\uFFFD\"", "\"\uFFFD\"")
}

// TestUnescape: the inside of a string, the character of the escape that begins it, and
// the length of the escape.
func TestUnescape(t *testing.T) {
	f := func(text string, r rune, size int) {
		t.Helper()
		if gotRune, gotSize := Unescape([]byte(text)); gotRune != r || gotSize != size {
			t.Errorf("%s: got %q, %d; want %q, %d", text, gotRune, gotSize, r, size)
		}
	}
	f(`\n`, '\n', 2)
	f(`\"x`, '"', 2)
	f(`\/`, '/', 2)
	f(`\u00e9x`, 'é', 6)
	f(`\u00E9`, 'é', 6)
	f(`\ud83d\ude00x`, '😀', 12)
	f(`\ud83d`, utf8.RuneError, 6)
	f(`\ud83dxxxxxx`, utf8.RuneError, 6)
	f(`\ud83d\u0041`, utf8.RuneError, 6)
	f(`\ude00\ud83d`, utf8.RuneError, 6)
	f(`\`, -1, 1)
	f(`\u00`, -1, 2)
	f(`\u00g0`, -1, 2)
	f(`\u+123`, -1, 2)
	f(`\u0_12`, -1, 2)
}

// FuzzString: encoding/json reads what is written as the text, and so does Unescape.
func FuzzString(f *testing.F) {
	f.Add("a\"\\\x00\u202e\xff\U000E0001")
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.ToValidUTF8(s, "\uFFFD")
		if strings.Count(want, "\uFFFD") != strings.Count(s, "\uFFFD") {
			want = string([]rune(s)) // one U+FFFD for each byte
		}
		for _, written := range [][]byte{AppendString(nil, s), AppendPrintable(nil, s, "")} {
			var got string
			if err := json.Unmarshal(written, &got); err != nil || got != want {
				t.Errorf("%s: read as %q, %v; want %q", written, got, err, want)
			}
			var own []byte
			for inside := written[1 : len(written)-1]; len(inside) > 0; {
				if inside[0] != '\\' {
					own, inside = append(own, inside[0]), inside[1:]
					continue
				}
				r, size := Unescape(inside)
				own, inside = utf8.AppendRune(own, r), inside[size:]
			}
			if string(own) != want {
				t.Errorf("%s: Unescape reads %q, want %q", written, own, want)
			}
		}
		for _, r := range string(AppendPrintable(nil, s, "")) {
			if !unicode.IsPrint(r) {
				t.Errorf("%s is not printable", strconv.Quote(s))
			}
		}
	})
}

func BenchmarkUnescape(b *testing.B) {
	text := []byte(`\u65e5`)
	b.ReportAllocs()
	for b.Loop() {
		Unescape(text)
	}
}

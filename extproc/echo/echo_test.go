package echo

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

const key = "sk-Ab/c+d=&<e>0123456789\"\\xyz"

func quotedJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestRedacts(t *testing.T) {
	pair := base64.StdEncoding.EncodeToString([]byte("user:secret-password"))
	for _, c := range []struct{ name, credential, text, want string }{
		{"nothing", key, "Incorrect API key provided: sk-Ab***xyz", "Incorrect API key provided: sk-Ab***xyz"},
		{"raw", key, "no: " + key + ".", "no: [redacted]."},
		{"twice", "0123456789", "0123456789 01234567890123456789", "[redacted] [redacted][redacted]"},
		{"JSON", key, `{"error":` + quotedJSON("bad key "+key) + `}`, `{"error":"bad key [redacted]"}`},
		{"JSON, slashes escaped", "ab/cd/efgh", `{"e":"ab\/cd\/efgh"}`, `{"e":"[redacted]"}`},
		{"JSON of .NET", "ab+cd+efgh", `{"e":"ab\u002Bcd\u002Befgh"}`, `{"e":"[redacted]"}`},
		{"query", key, "/v1?key=" + url.QueryEscape(key) + "&a=1", "/v1?key=[redacted]&a=1"},
		{"query, small letters", "ab/cd/efgh", "/v1?key=ab%2fcd%2fefgh", "/v1?key=[redacted]"},
		{"path", key, "/v1/" + url.PathEscape(key), "/v1/[redacted]"},
		{"HTML", "ab&cd<efgh", "<p>ab&amp;cd&lt;efgh</p>", "<p>[redacted]</p>"},
		{"Basic", pair, "Authorization: Basic " + pair, "Authorization: Basic [redacted]"},
		{"Basic, decoded", pair, "user:secret-password and secret-password", "[redacted] and [redacted]"},
		{"a scheme", "Token abcdefghij", "abcdefghij of Token abcdefghij", "[redacted] of [redacted]"},
		{"two secrets, one in the other", "12345678", "x123456789x", "x[redacted]9x"},
		{"JSON of PHP", "ab/cd&efgh", `{"e":"ab\/cd&efgh"}`, `{"e":"[redacted]"}`},
		{"JSON of Python and PHP", "ab/cd<efgh+", `{"e":"ab\/cd<efgh\u002b"}`, `{"e":"[redacted]"}`},
		{"JSON, every character escaped", "abcdefgh", `"\u0061\u0062\u0063\u0064\u0065\u0066\u0067\u0068"`, `"[redacted]"`},
		{"JSON in JSON", `ab"cd\\ef/gh`, `{"e":"{\"k\":\"ab\\\"cd\\\\\\\\ef\\/gh\"}"}`, `{"e":"{\"k\":\"[redacted]\"}"}`},
		{"query, some of it", "ab/cd+efgh", "/v1?key=ab/cd%2Befgh", "/v1?key=[redacted]"},
		{"query, twice", "ab/cd=efgh", "/v1?key=ab%252fcd%25253Defgh", "/v1?key=[redacted]"},
		{"HTML, numbers", "ab'cd\"efgh", "ab&#39;cd&#x22;efgh &quot;", "[redacted] &quot;"},
		{"hexadecimal", "abcdefgh", "6162636465666768 6162636465666768", "[redacted] [redacted]"},
		{"hexadecimal, capitals", "klmnopqr", "6B6C6D6E6F707172", "[redacted]"},
		{"a run of backslashes", "abcdefgh", strings.Repeat(`\`, 1000) + "abcdefgh", strings.Repeat(`\`, 1000-16) + "[redacted]"},
		{"short", "ollama", "ollama has no model of this name", "ollama has no model of this name"},
	} {
		f := New(c.credential)
		if got, _ := f.Stream().Next([]byte(c.text), true); string(got) != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		if f.In(c.text) != (c.text != c.want) {
			t.Errorf("%s: In is %t", c.name, f.In(c.text))
		}
	}
}

// TestBase64: whatever comes before and after it in the encoded text.
func TestBase64(t *testing.T) {
	f := New("sk-0123456789-abcdefgh")
	for n := range 9 {
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			text := enc.EncodeToString([]byte(strings.Repeat("u", n) + "sk-0123456789-abcdefgh" + strings.Repeat("v", n/3)))
			got, _ := f.Stream().Next([]byte(text), true)
			if !strings.Contains(string(got), Redacted) {
				t.Errorf("%d: %s", n, got)
			}
		}
	}
}

// TestChunks cuts texts at every place, and into single bytes.
func TestChunks(t *testing.T) {
	f := New("sk-secret-one", "sk-secret-one-more", "aaaaaaaab")
	for _, text := range []string{
		"", "plain", "sk-secret-one", "sk-secret-one-more", "x sk-secret-one y", "sk-sk-secret-one sk-secret-on", "aaaaaaaaaaaaab", "aaaaaaaaaaaa", "sk-secret-one-mor",
		"sk-secret-one-moreaaaaaaaab", `sk\u002dsecret\/-one sk%2dsecret%252Done sk&#45;secret&#x2d;one`, `\\\\sk\\u002dsecret-one\\`, "sk&sk%sk-secret-one&%",
	} {
		whole, _ := f.Stream().Next([]byte(text), true)
		want := string(whole)
		for i := range text {
			s := f.Stream()
			first, _ := s.Next([]byte(text[:i]), false)
			got := string(first)
			second, _ := s.Next([]byte(text[i:]), true)
			if got += string(second); got != want {
				t.Errorf("%q cut at %d: %q, want %q", text, i, got, want)
			} else if strings.Contains(got, "sk-secret-one") {
				t.Errorf("%q cut at %d: %q", text, i, got)
			}
		}
		s := f.Stream()
		var got strings.Builder
		for i := range text {
			b, _ := s.Next([]byte{text[i]}, i == len(text)-1)
			got.Write(b)
		}
		if strings.Contains(got.String(), "sk-secret-one") || got.String() != want {
			t.Errorf("%q in bytes: %q, want %q", text, got.String(), want)
		}
	}
}

// TestUntouched: a chunk without a credential is not copied.
func TestUntouched(t *testing.T) {
	s := New("sk-0123456789").Stream()
	chunk := []byte(strings.Repeat("x", 1000))
	out, changed := s.Next(chunk, false)
	if changed || &out[0] != &chunk[0] {
		t.Error("copied")
	}
}

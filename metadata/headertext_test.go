package metadata

import (
	"net/url"
	"testing"
)

func TestHeaderText(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "gpt-4o": "gpt-4o", "a b/c:1,2": "a b/c:1,2", "100%": "100%25", "深/a": "%E6%B7%B1/a", "a\r\n\x7f": "a%0D%0A%7F", "é%é": "%C3%A9%25%C3%A9",
	} {
		got := HeaderText(name)
		if back, err := url.PathUnescape(got); got != want || back != name || err != nil {
			t.Errorf("%q: %q (decoded %q, %v), want %q", name, got, back, err, want)
		}
	}
}

package policy

import (
	"fmt"
	"strings"
	"testing"
)

// Which origins a configuration allows, and which lists are refused.
func TestCORS(t *testing.T) {
	load := func(t *testing.T, list string) *Policy {
		return newWorld().load(t, "cors: {origins: ["+list+"]}\n")
	}
	list := `https://app.example, "https://*.pages.dev", "http://localhost:3000", "http://*.dev.local:8080", app://x, "http://[::1]:5"`
	c := load(t, list).CORS
	for origin, want := range map[string]bool{
		"https://app.example": true, "http://app.example": false, "https://app.example:443": false, "https://app.example.evil.com": false, "https://x.app.example": false,
		"https://a.pages.dev": true, "https://a.b-c.pages.dev": true, "https://pages.dev": false, "https://.pages.dev": false, "https://evilpages.dev": false, "https://a.pagesxdev": false, "https://a.pages.dev:8443": false, "https://a.pages.dev.evil.com": false, "https://evil.com/.pages.dev": false, "https://evil.com#.pages.dev": false, "https://u@a.pages.dev": false,
		"http://localhost:3000": true, "http://localhost": false, "http://a.dev.local:8080": true, "app://x": true, "http://[::1]:5": true, "": false, "null": false, "*": false,
	} {
		if got := c.allows(origin); got != want {
			t.Errorf("%q: %t", origin, got)
		}
	}
	if c := load(t, `"*"`).CORS; !c.Any || c.allows("https://app.example") {
		t.Errorf("%+v", c)
	}
	for _, invalid := range []string{"", "app.example", "https://app.example/", "https://app.example/x", "https://App.example", "https://*", "https://*.dev", "https://a*.example.com", "https://*.*.example.com", "https://a.*.com", "//a", "null", "https://a b", "https://a:x", "https://u@a"} {
		text := fmt.Sprintf("%q", invalid)
		if invalid == "" {
			text = ""
		}
		_, _, problems := Load(newWorld().source("cors: {origins: [" + text + "]}\n"))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Path, "cors.origins") {
			t.Errorf("%q: %v", invalid, problems)
		}
	}
}

package policy

import (
	"testing"

	"weir/llm/body"
)

// readBody reads a JSON body that must be accepted.
func readBody(t testing.TB, text string) *body.Body {
	t.Helper()
	var b body.Body
	if err := body.ReadJSON([]byte(text), &b); err != nil {
		t.Fatalf("ReadJSON(%q): %v", text, err)
	}
	return &b
}

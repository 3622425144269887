package policy

import (
	"strings"
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

// multipartForm returns a form with the boundary b. In its parts, | stands for
// CR LF.
func multipartForm(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("--b|" + part + "|")
	}
	return strings.ReplaceAll(b.String()+"--b--|", "|", "\r\n")
}

const (
	modelPart = `Content-Disposition: form-data; name="model"||m`
	filePart  = `Content-Disposition: form-data; name="file"; filename="a.wav"|Content-Type: audio/wav||` + "\x00\xff\n--\r\n--c"
)

package body

import (
	"bytes"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

type formPart struct{ name, value string }

// goParts reads a form with mime/multipart. It reads no line of a preamble
// that is longer than its buffer: ok is false.
func goParts(t testing.TB, text []byte, boundary string) (parts []formPart, ok bool) {
	t.Helper()
	r := multipart.NewReader(bytes.NewReader(text), boundary)
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return parts, true
		}
		if err != nil && strings.Contains(err.Error(), "buffer full") {
			return nil, false
		}
		if err != nil {
			t.Fatalf("mime/multipart refuses %q: %v", text, err)
		}
		value, err := io.ReadAll(p)
		if err != nil {
			t.Fatalf("mime/multipart refuses %q: %v", text, err)
		}
		parts = append(parts, formPart{p.FormName(), string(value)})
	}
}

func FuzzReadMultipart(f *testing.F) {
	for _, seed := range []string{
		multipartForm(), multipartForm(modelPart), multipartForm(filePart, modelPart), "x\r\n" + multipartForm(filePart) + "y",
		multipartForm(`Content-Disposition: form-data; name="model"|Content-Type: text/plain; charset=utf-8||m`),
		multipartForm(`Content-Disposition: form-data; name="x"; filename*=utf-8''a|Content-Transfer-Encoding: quoted-printable||=41`),
		multipartForm(`Content-Disposition: form-data; name="x"||--b`, modelPart), multipartForm(modelPart) + "--b--",
		multipartForm(`Content-Disposition: form-data; name="stream"||true`, "||"), "--b \r\n\r\n--b--",
	} {
		f.Add([]byte(seed), "b", "new")
		f.Add([]byte(strings.ReplaceAll(seed, "--b", "--b--")), "b--", "new")
	}
	f.Fuzz(func(t *testing.T, text []byte, boundary, model string) {
		var body Body
		if ReadMultipart(text, boundary, &body) != nil {
			t.Skip()
		}
		parts, ok := goParts(t, text, boundary)
		if !ok {
			t.Skip()
		}
		at, stream := -1, false
		for i, p := range parts {
			switch {
			case p.name == "stream":
				stream = p.value == "true"
			case strings.EqualFold(p.name, "model") && at >= 0, strings.EqualFold(p.name, "models"):
				t.Fatalf("accepted a second model: %q", parts)
			case strings.EqualFold(p.name, "model"):
				at = i
			}
		}
		if body.HasModel != (at >= 0) || at >= 0 && (parts[at].name != "model" || parts[at].value != body.Model) {
			t.Fatalf("model %q, mime/multipart has %q", body.Model, parts)
		}
		if body.Stream != stream {
			t.Fatalf("stream %v, mime/multipart has %q", body.Stream, parts)
		}

		if _, err := checkModel(onlyModel, []byte(model)); err != nil || strings.Contains(model, boundary) {
			t.Skip()
		}
		edits, where := body.WithModel(nil, model)
		edited := checkEdits(t, &body, edits, where, model)
		if at < 0 {
			parts = append([]formPart{{"model", model}}, parts...)
		} else {
			parts[at].value = model
		}
		got, ok := goParts(t, []byte(edited), boundary)
		if !ok || len(got) != len(parts) {
			t.Fatalf("edited form has %q, want %q", got, parts)
		}
		for i := range parts {
			if got[i] != parts[i] {
				t.Fatalf("edited form has %q, want %q", got, parts)
			}
		}
		var again Body
		if err := ReadMultipart([]byte(edited), boundary, &again); err != nil || again.Model != model {
			t.Fatalf("edited form %q is read as %q, %v", edited, again.Model, err)
		}
	})
}

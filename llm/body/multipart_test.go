package body

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"weir/llm"
)

// testPart is a part of a form after its delimiter line.
func testPart(name, value string) string {
	return "Content-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
}

// multipartForm is a form with the boundary b. Each part is its lines but for the
// last line's end; "|" stands for CR LF.
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

func TestReadMultipart(t *testing.T) {
	type want struct {
		model  string
		stream bool
	}
	f := func(input string, w want) {
		t.Helper()
		var body Body
		if err := ReadMultipart([]byte(input), "b", &body); err != nil {
			t.Errorf("%q: %v", input, err)
			return
		}
		if body.Model != w.model || body.HasModel != (w.model != "") || body.Stream != w.stream {
			t.Errorf("%q: model %q, %v, stream %v; want %+v", input, body.Model, body.HasModel, body.Stream, w)
		}
	}
	header := func(h string) string { return multipartForm(h + "||m") }
	f(multipartForm(), want{})
	f(multipartForm(modelPart), want{model: "m"})
	f(multipartForm(modelPart, filePart), want{model: "m"})
	f(multipartForm(filePart, modelPart, `Content-Disposition: form-data; name="stream"||true`), want{model: "m", stream: true})
	f(multipartForm(filePart, `Content-Disposition: form-data; name="stream"||True`), want{})
	f(multipartForm(`Content-Disposition: form-data; name="x"||`, modelPart), want{model: "m"})
	f("preamble\r\n"+multipartForm(modelPart)+"epilogue\r\n\r\n", want{model: "m"})
	f("\r\n"+multipartForm(modelPart), want{model: "m"})
	f(strings.TrimSuffix(multipartForm(modelPart), "\r\n"), want{model: "m"})
	f(strings.TrimSuffix(multipartForm(modelPart), "\r\n")+" \t", want{model: "m"})
	f(header(`content-DISPOSITION:form-data;name=model`), want{model: "m"})
	f(header(`Content-Disposition: Form-Data; NAME="model"; size=1`), want{model: "m"})
	f(header(`X-A: é|Content-Disposition: form-data; name="model"|Content-Type: text/plain; charset=UTF-8`), want{model: "m"})
	f(header(`Content-Disposition: form-data; name="model"|Content-Type: text/plain; charset=ISO-8859-1|Content-Transfer-Encoding: 8bit`), want{model: "m"})
	f(header(`Content-Disposition: form-data; name="x"|Content-Transfer-Encoding: base64`), want{})
	f(header(`Content-Disposition: form-data; name="file"; filename="é.wav"; filename*=utf-8''%C3%A9.wav`), want{})
	f(header(`Content-Disposition: form-data; name="file"; filename="rename*=model; name=model"`), want{})
	f(header(`Content-Disposition: form-data; name="image[]"`), want{})
	for _, name := range []string{
		`a\"b.wav`, `a \"quoted\" word.wav`, `\"`, `a\\b.wav`, `a\\`, `C:\temp\a.wav`, `a\\\"`, `; name=x\\`,
	} {
		for _, more := range []string{"", `; filename*=UTF-8''a%22b.wav`} {
			f(header(`Content-Disposition: form-data; name="file"; filename="`+name+`"`+more), want{})
			f(header(`Content-Disposition: form-data; name="file";filename="`+name+`"`+more), want{})
		}
	}
	f(multipartForm(`Content-Disposition: form-data; name="model"||日本`), want{model: "日本"})
}

func TestReadMultipartRefuses(t *testing.T) {
	var body Body
	bounded := func(input, boundary string, code llm.Code, message string) {
		t.Helper()
		err := ReadMultipart([]byte(input), boundary, &body)
		var coded *llm.Error
		if !errors.As(err, &coded) || coded.Code != code || coded.Message != message {
			t.Errorf("%.200q:\n got %v\nwant %s: %s", input, err, code, message)
		}
		if body.HasModel || body.Bytes != nil {
			t.Errorf("%.200q: the body is not empty after an error", input)
		}
	}
	f := func(input, message string) { t.Helper(); bounded(input, "b", llm.InvalidBody, message) }
	duplicate := func(input, message string) { t.Helper(); bounded(input, "b", llm.DuplicateKey, message) }
	stray := func(at int, input string) {
		t.Helper()
		f(input, fmt.Sprintf("the form's boundary at byte %d is not on a line of its own that ends with CR LF", at))
	}
	header := func(h, message string) { t.Helper(); f(multipartForm(h+"||m"), message) }
	nameOnly := func(h, message string) {
		t.Helper()
		header("Content-Disposition: form-data; "+h, message)
	}

	// The boundary.
	form := multipartForm(modelPart)
	badBoundary := "the form's boundary must be 1 to 70 of the characters that RFC 2046 allows"
	bounded(form, "", llm.InvalidBody, "the content type of a form must have a boundary")
	bounded(form, strings.Repeat("b", 71), llm.InvalidBody, badBoundary)
	bounded(form, "b ", llm.InvalidBody, badBoundary)
	bounded(form, "b\r\n", llm.InvalidBody, badBoundary)
	bounded(form, `b"`, llm.InvalidBody, badBoundary)
	bounded(form, "é", llm.InvalidBody, badBoundary)
	f("", "the request body is empty, it must be a multipart form")
	f(`{"model":"m"}`, "the form does not have its boundary \"b\"")
	f("--b\r\n"+testPart("model", "m"), "the form is truncated: its closing boundary is missing")
	f("--b\r\n", "the form is truncated: its closing boundary is missing")
	f(strings.Repeat("--b\r\n"+testPart("a", ""), 1001)+"--b--", "the form has more than 1000 parts")

	// Where parsers disagree on what is a delimiter.
	stray(0, "--b \r\n"+testPart("model", "m")+"--b--")
	stray(0, "--b\n"+testPart("model", "m")+"--b--")
	stray(0, "--bb\r\n"+testPart("model", "m")+"--bb--")
	stray(1, "\n--b\r\n"+testPart("model", "m")+"--b--")
	stray(1, "x--b\r\n"+testPart("model", "m")+"--b--")
	stray(0, "--b")
	stray(0, "--b-")
	stray(5, "--b\r\n--b--\r\n")
	stray(51, "--b\r\n"+testPart("x", "\r\n--b \t")+testPart("model", "m")+"--b--")
	stray(51, "--b\r\n"+testPart("x", "\r\n--bX")+testPart("model", "m")+"--b--")
	stray(50, "--b\r\n"+testPart("x", "\n--b")+testPart("model", "m")+"--b--")
	stray(50, "--b\r\n"+testPart("x", "\r--b")+testPart("model", "m")+"--b--")
	stray(50, "--b\r\n"+testPart("x", "y--b")+testPart("model", "m")+"--b--")
	stray(63, form+"--b\r\n")
	stray(64, form+" --b--\r\n")
	f("--b--x", "the form's closing boundary must end its line, at byte 5")
	f("--b--\n", "the form's closing boundary must end its line, at byte 5")

	// Where parsers disagree on what a part is.
	f(testPart("model", "m")+form, "the form has an empty line before its first boundary")
	f("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n--b--\r\n", "part 1 of the form has no headers that end in an empty line")
	f(multipartForm("|m"), "part 1 of the form has no headers that end in an empty line")
	f(multipartForm(modelPart, "X: "+strings.Repeat("x", 8<<10)+"||m"), "the headers of part 2 of the form are longer than 8192 bytes")
	header("Content-Type: text/plain", "part 1 of the form has no Content-Disposition header")
	header(`Content-Disposition : form-data; name="model"`, "part 1 of the form has a malformed header line")
	header("Content-Disposition: form-data; name=\"x\"|\tX: y", "part 1 of the form has a malformed header line")
	header("Content-Disposition: form-data; name=\"x\"\nX: y", "part 1 of the form has a malformed header line")
	header("Content-Disposition: form-data; name=\"x\"\rX: y", "part 1 of the form has a malformed header line")
	header("Content-Disposition: form-data; name=\"model\x00\"", "part 1 of the form has a malformed header line")
	header("Content-Disposition", "part 1 of the form has a malformed header line")
	header(": x", "part 1 of the form has a malformed header line")
	header(`Content-Disposition: form-data; name="x"|content-disposition: form-data; name="model"`, "part 1 of the form has two Content-Disposition headers")

	// Where parsers disagree on its name.
	shape := `part 1 of the form must have a Content-Disposition of the form: form-data; name="…"`
	header(`Content-Disposition: attachment; name="model"`, shape)
	header(`Content-Disposition: form-data`, "part 1 of the form must have one name in its Content-Disposition")
	nameOnly(`name*=utf-8''model`, shape)
	nameOnly(`name="x"; name*=utf-8''model`, shape)
	nameOnly(`name*0="mo"; name*1="del"`, shape)
	nameOnly(`name="mod\el"`, shape)
	nameOnly(`name="x"; filename="a\"; name=\"model"`, shape)
	// Some end the file name at its first quote, and some at none before a backslash.
	nameOnly(`name="x"; filename="a\"; name=model; b="`, shape)
	nameOnly(`name="x"; filename="a\" name=model"`, shape)
	nameOnly(`filename="a\"b"; name="model"`, shape)
	nameOnly(`filename="a\\"; name="model"`, shape)
	nameOnly(`filename="a\b"; name="model"`, shape)
	nameOnly(`name="x"; filename="C:\temp\"`, shape)
	nameOnly(`name="x"; filename="a\"`, shape)
	nameOnly(`name="x"; filename="a""`, shape)
	nameOnly(`name="x"; filename="a\"b"; filename="c\"d"`, shape)
	nameOnly(`name="x"; filename="a\"b"; filename*="; name=model"`, shape)
	nameOnly(`name="x"; size="a\"b"`, shape)
	nameOnly(`name = "model"`, shape)
	nameOnly(`name="model";`, shape)
	nameOnly("\tname=\"model\"", shape)
	nameOnly(`name="model`, shape)
	nameOnly(`name="mo"del`, shape)
	nameOnly("name=\"mod\xffel\"", shape)
	nameOnly(`filename="a"`, "part 1 of the form must have one name in its Content-Disposition")
	nameOnly(`name="=?utf-8?q?model?="`, "part 1 of the form has a name that some parsers decode: write it without \"=?\"")
	nameOnly(`name==?utf-8?b?bW9kZWw=?=`, shape)
	nameOnly(`name="x"; name="model"`, "part 1 of the form must have one name in its Content-Disposition")
	nameOnly(`name="x"; NAME="model"`, "part 1 of the form must have one name in its Content-Disposition")

	// Where parsers disagree on its value.
	encoding := "model must not have a Content-Transfer-Encoding other than 7bit, 8bit or binary"
	plain := "model must be text/plain in UTF-8"
	nameOnly(`name="model"; filename="m"`, "model must be a plain part of the form, it has a filename")
	nameOnly(`name="model"; filename*=x-none''m`, "model must be a plain part of the form, it has a filename")
	nameOnly(`name="model"|Content-Transfer-Encoding: quoted-printable`, encoding)
	nameOnly(`name="model"|Content-Transfer-Encoding: binary|Content-Transfer-Encoding: base64`, encoding)
	nameOnly(`name="model"|Content-Type: application/octet-stream`, plain)
	nameOnly(`name="model"|Content-Type: text/plain; charset=utf-16le`, plain)
	nameOnly(`name="model"|Content-Type: text/plain|Content-Type: application/json`, plain)
	nameOnly(`name="model"|Content-Type: text/plain; charset*=x-none''utf-16`, plain)
	nameOnly(`name="model"|Content-Type: text/plain; x="; charset=utf-16"`, plain)
	nameOnly(`name="model"|Content-Type: `, plain)
	f(multipartForm(`Content-Disposition: form-data; name="model"|Content-Type: text/plain; charset=iso-8859-1||é`), plain)

	// The model.
	f(multipartForm(`Content-Disposition: form-data; name="model"||`), "model must not be empty")
	f(multipartForm(`Content-Disposition: form-data; name="model"||`+strings.Repeat("m", 1<<20)), "model is longer than 256 bytes")
	f(multipartForm(`Content-Disposition: form-data; name="model"||a|`), `model has a control character: "a\r\n"`)
	f(multipartForm("Content-Disposition: form-data; name=\"model\"||a\xff"), "model is not valid UTF-8")
	duplicate(multipartForm(modelPart, filePart, modelPart), `the request body has two "model"; send it once`)
	duplicate(multipartForm(`Content-Disposition: form-data; name="Model"||m`), `"Model" reads as "model" to some parsers; spell it "model"`)
	duplicate(multipartForm(modelPart, `Content-Disposition: form-data; name="models"||["m"]`), "a form cannot have models, send one model")
	duplicate(multipartForm(modelPart, `Content-Disposition: form-data; name=" model"||m`), `" model" reads as "model" to some parsers; spell it "model"`)
	duplicate(multipartForm(modelPart, `Content-Disposition: form-data; name="model[]"||m`), `"model[]" reads as "model" to some parsers; spell it "model"`)
	duplicate(multipartForm(modelPart, `Content-Disposition: form-data; name="Models[0] "||m`), `"Models[0] " reads as "models" to some parsers; spell it "models"`)
	f(multipartForm(`Content-Disposition: form-data; name="_charset_"||utf-7`, modelPart), `the form must be UTF-8, its part _charset_ says "utf-7"`)
	f(multipartForm(modelPart, `Content-Disposition: form-data; name="_CHARSET_"||`), `the form must be UTF-8, its part _charset_ says ""`)
	duplicate(multipartForm(`Content-Disposition: form-data; name="modelſ"||m`), `"modelſ" reads as "models" to some parsers; spell it "models"`)
}

func TestWithModelInForm(t *testing.T) {
	f := func(input, want string) {
		t.Helper()
		var body Body
		if err := ReadMultipart([]byte(input), "b", &body); err != nil {
			t.Fatalf("%q: %v", input, err)
		}
		edits, at := body.WithModel(nil, `new "model"`)
		if got := checkEdits(t, &body, edits, at, `new "model"`); got != want {
			t.Errorf("%q\n got %q\nwant %q", input, got, want)
		}
	}
	newPart := `Content-Disposition: form-data; name="model"||new "model"`
	f(multipartForm(modelPart), multipartForm(newPart))
	f(multipartForm(filePart, modelPart, filePart), multipartForm(filePart, newPart, filePart))
	f(multipartForm(filePart), multipartForm(newPart, filePart))
	f(multipartForm(), multipartForm(newPart))
	f("preamble\r\n"+multipartForm(filePart)+"epilogue", "preamble\r\n"+multipartForm(newPart, filePart)+"epilogue")
}

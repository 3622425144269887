package body

import (
	"bytes"
	"strings"

	"weir/llm"
)

const crlf = "\r\n"

// The limits of a form, against clients that send headers without end.
const (
	maxParts       = 1000
	maxPartHeader  = 8 << 10
	maxBoundaryLen = 70 // RFC 2046 section 5.1.1
)

// ReadMultipart reads a multipart/form-data body (RFC 7578): the parts `model`
// and `stream`. It fills body, reusing its memory; after an error body is
// empty.
//
// Parsers of forms disagree on what the RFCs leave open, and each disagreement
// would let a client show one model to Weir and another to the provider. So a form is
// refused unless it is in the one form that the parsers of Go, Python (python-multipart,
// werkzeug, tornado, multipart) and Node (busboy, undici) read in the same way. All SDKs
// write that form. In addition to RFC 2046, "--" and the boundary may occur only at the
// start of delimiter lines, without blanks after them (busboy and tornado miss such a
// delimiter).
func ReadMultipart(b []byte, boundary string, body *Body) error {
	body.Reset()
	body.Bytes = b
	if err := body.readForm(boundary); err != nil {
		body.Reset()
		return err
	}
	return nil
}

func (b *Body) readForm(boundary string) *llm.Error {
	if err := checkBoundary(boundary); err != nil {
		return err
	}
	if len(b.Bytes) == 0 {
		return llm.Errorf(llm.InvalidBody, "the request body is empty, it must be a multipart form")
	}
	b.Boundary = boundary
	raw, mark := b.Bytes, []byte("--"+boundary)
	at := bytes.Index(raw, mark)
	if at < 0 {
		return llm.Errorf(llm.InvalidBody, "the form does not have its boundary %q", boundary)
	}
	if at > 0 && !bytes.HasSuffix(raw[:at], []byte(crlf)) {
		return strayBoundary(at)
	}
	if bytes.Contains(raw[:at], []byte(crlf+crlf)) { // tornado reads a part there
		return llm.Errorf(llm.InvalidBody, "the form has an empty line before its first boundary")
	}
	b.open = at
	for n := 1; ; n++ {
		head := at + len(mark)
		if bytes.HasPrefix(raw[head:], []byte("--")) {
			return checkEpilogue(raw, head+2, mark)
		}
		if !bytes.HasPrefix(raw[head:], []byte(crlf)) {
			return strayBoundary(at)
		}
		if n > maxParts {
			return llm.Errorf(llm.InvalidBody, "the form has more than %d parts", maxParts)
		}
		head += len(crlf)
		next := bytes.Index(raw[head:], mark)
		if next < 0 {
			return llm.Errorf(llm.InvalidBody, "the form is truncated: its closing boundary is missing")
		}
		at = head + next
		if !bytes.HasSuffix(raw[head:at], []byte(crlf)) {
			return strayBoundary(at)
		}
		if err := b.readPart(n, Span{head, at - len(crlf)}); err != nil {
			return err
		}
	}
}

func checkBoundary(boundary string) *llm.Error {
	if boundary == "" {
		return llm.Errorf(llm.InvalidBody, "the content type of a form must have a boundary")
	}
	valid := len(boundary) <= maxBoundaryLen && boundary[len(boundary)-1] != ' '
	for i := range len(boundary) {
		c := boundary[i]
		valid = valid && (isAlphanumeric(c) || strings.IndexByte("'()+_,-./:=? ", c) >= 0)
	}
	if !valid {
		return llm.Errorf(llm.InvalidBody, "the form's boundary must be 1 to %d of the characters that RFC 2046 allows", maxBoundaryLen)
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// checkEpilogue checks what follows the closing delimiter: any lines, but no delimiter
// (tornado uses the last closing one).
func checkEpilogue(raw []byte, end int, mark []byte) *llm.Error {
	rest := bytes.TrimLeft(raw[end:], " \t")
	if len(rest) > 0 && !bytes.HasPrefix(rest, []byte(crlf)) {
		return llm.Errorf(llm.InvalidBody, "the form's closing boundary must end its line, at byte %d", end)
	}
	if i := bytes.Index(raw[end:], mark); i >= 0 {
		return strayBoundary(end + i)
	}
	return nil
}

func strayBoundary(at int) *llm.Error {
	return llm.Errorf(llm.InvalidBody, "the form's boundary at byte %d is not on a line of its own that ends with CR LF", at)
}

// readPart reads what routing needs from the n-th part, from its headers and value.
func (b *Body) readPart(n int, part Span) *llm.Error {
	header, value, err := splitPart(n, b.Bytes, part)
	if err != nil {
		return err
	}
	p, err := readPartHeader(n, header)
	if err != nil {
		return err
	}
	text := b.Bytes[value.Start:value.End]
	// Some parsers trim a name, or put the value of name[] under name.
	stem, _, _ := strings.Cut(strings.TrimSpace(p.name), "[")
	if IsSelector(stem) {
		b.Parts = append(b.Parts, stem)
	}
	switch {
	case strings.EqualFold(stem, "_charset_") && !strings.EqualFold(string(text), "utf-8"):
		// To some (aiohttp), the charset of all parts (RFC 7578 4.6).
		return llm.Errorf(llm.InvalidBody, "the form must be UTF-8, its part _charset_ says %.32q", text)
	case strings.EqualFold(p.name, llm.StreamField):
		b.readStream(p.name, string(text))
	case p.name == llm.ModelField:
		return b.readModelPart(p, value)
	case p.name == llm.ModelsField:
		return llm.Errorf(llm.DuplicateKey, "a form cannot have models, send one model")
	case strings.EqualFold(stem, llm.ModelField):
		return foldedModel([]byte(p.name), llm.ModelField)
	case strings.EqualFold(stem, llm.ModelsField):
		return foldedModel([]byte(p.name), llm.ModelsField)
	}
	return nil
}

func (b *Body) readModelPart(p partHeader, value Span) *llm.Error {
	if b.HasModel {
		return repeatedModel(llm.ModelField)
	}
	text := b.Bytes[value.Start:value.End]
	if err := p.checkPlainText(text); err != nil {
		return err
	}
	model, err := checkModel(onlyModel, text)
	if err != nil {
		return err
	}
	b.Model, b.HasModel, b.modelPart = model, true, value
	return nil
}

// editForm replaces the value of the model part, or inserts one before all others, because
// servers that read a form as a stream need it first.
func (e *editor) editForm(b *Body, model string) (modelAt Span) {
	if b.HasModel {
		return e.replace(b.modelPart, []byte(model))
	}
	part := "--" + b.Boundary + crlf + `Content-Disposition: form-data; name="` + llm.ModelField + `"` + crlf + crlf + model + crlf
	at := e.replace(Span{b.open, b.open}, []byte(part))
	end := at.End - len(crlf)
	return Span{end - len(model), end}
}

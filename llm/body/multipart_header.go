package body

import (
	"bytes"
	"fmt"
	"mime"
	"regexp"
	"strings"
	"unicode/utf8"

	"weir/llm"
)

// splitPart finds the blank line between the headers and the value of a part.
func splitPart(n int, raw []byte, part Span) (header []byte, value Span, err *llm.Error) {
	text := raw[part.Start:part.End]
	end := bytes.Index(text[:min(len(text), maxPartHeader+2*len(crlf))], []byte(crlf+crlf))
	switch {
	case end >= 0:
		after := part.Start + end + 2*len(crlf)
		return text[:end], Span{after, part.End}, nil
	case len(text) > maxPartHeader:
		return nil, value, llm.Errorf(llm.InvalidBody, "the headers of part %d of the form are longer than %d bytes", n, maxPartHeader)
	}
	return nil, value, llm.Errorf(llm.InvalidBody, "part %d of the form has no headers that end in an empty line", n)
}

// partHeader is what the headers of a part contain.
type partHeader struct {
	name         string
	hasFilename  bool
	contentTypes []string
	encodings    []string // Content-Transfer-Encoding
}

func readPartHeader(n int, header []byte) (p partHeader, err *llm.Error) {
	seen := false
	for line := range bytes.SplitSeq(header, []byte(crlf)) {
		key, value, ok := headerLine(line)
		if !ok {
			return p, llm.Errorf(llm.InvalidBody, "part %d of the form has a malformed header line", n)
		}
		switch strings.ToLower(key) {
		case "content-disposition":
			if seen {
				return p, llm.Errorf(llm.InvalidBody, "part %d of the form has two Content-Disposition headers", n)
			}
			seen = true
			if err := p.readDisposition(n, value); err != nil {
				return p, err
			}
		case "content-type":
			p.contentTypes = append(p.contentTypes, value)
		case "content-transfer-encoding":
			p.encodings = append(p.encodings, value)
		}
	}
	if !seen {
		return p, llm.Errorf(llm.InvalidBody, "part %d of the form has no Content-Disposition header", n)
	}
	return p, nil
}

// headerLine splits "Name: value". It refuses what parsers repair in different ways: CR or
// LF alone and other control characters, folded lines (which start with a blank), and
// blanks before the colon.
func headerLine(line []byte) (key, value string, ok bool) {
	name, rest, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 {
		return "", "", false
	}
	for _, c := range name {
		if !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return "", "", false
		}
	}
	for _, c := range rest {
		if c < ' ' && c != '\t' || c == 0x7F {
			return "", "", false
		}
	}
	return string(name), strings.Trim(string(rest), " \t"), true
}

// plainDisposition is the form of Content-Disposition in which all parsers read the same
// name. It excludes `name*=` and `name*0=` (some read them as `name`), tabs (part of the name
// for multipart), and blanks around `=` and a last semicolon (busboy drops the part).
//
// A backslash is an escape for some parsers (RFC 2616 2.2: Go's and curl's clients write it
// before quotes and backslashes) and a character for others (browsers). So only a file name
// that is the last parameter may have one: wherever it ends, no name follows. Nor may a
// parser that ends it at an escaped quote find a parameter in its rest.
var plainDisposition = regexp.MustCompile("^(?i:form-data)" +
	"(; *([A-Za-z0-9_-]+|(?i:filename)\\*)=(\"[^\"\\\\]*\"|" + dispositionToken + "))*" +
	"(; *(?i:filename)=\"([^\"\\\\]|\\\\[^\"])*(\\\\\"([^\"\\\\;=]|\\\\[^;=])*)?\"" +
	"(; *(?i:filename)\\*=" + dispositionToken + ")?)?$")

const dispositionToken = "[A-Za-z0-9!#$%&'*+.^_`|~-]+"

func (p *partHeader) readDisposition(n int, value string) *llm.Error {
	if !plainDisposition.MatchString(value) || !utf8.ValidString(value) {
		return llm.Errorf(llm.InvalidBody, `part %d of the form must have a Content-Disposition of the form: form-data; name="…"`, n)
	}
	_, params, err := mime.ParseMediaType(value)
	name, ok := params["name"]
	if err != nil || !ok {
		message := fmt.Sprintf("part %d of the form must have one name in its Content-Disposition", n)
		return &llm.Error{Code: llm.InvalidBody, Message: message, Cause: err}
	}
	if strings.Contains(name, "=?") {
		// An encoded word (RFC 2047), which Tomcat and others in Java decode.
		return llm.Errorf(llm.InvalidBody, "part %d of the form has a name that some parsers decode: write it without \"=?\"", n)
	}
	p.name = name
	// Looser than the parameter, for ParseMediaType leaves out a filename* in
	// a charset that it does not know.
	p.hasFilename = strings.Contains(strings.ToLower(value), "filename")
	return nil
}

// checkPlainText refuses headers with which some parsers read the model as a file, or as
// text other than its bytes.
func (p *partHeader) checkPlainText(value []byte) *llm.Error {
	if p.hasFilename {
		return llm.Errorf(llm.InvalidBody, "model must be a plain part of the form, it has a filename")
	}
	for _, encoding := range p.encodings {
		switch strings.ToLower(encoding) {
		case "7bit", "8bit", "binary":
		default:
			return llm.Errorf(llm.InvalidBody, "model must not have a Content-Transfer-Encoding other than 7bit, 8bit or binary")
		}
	}
	for _, contentType := range p.contentTypes {
		if !readsAsUTF8(contentType, value) {
			return llm.Errorf(llm.InvalidBody, "model must be text/plain in UTF-8")
		}
	}
	return nil
}

// readsAsUTF8 reports whether a parser that uses the content type, such as busboy, reads the
// same text as one that reads UTF-8.
func readsAsUTF8(contentType string, value []byte) bool {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "text/plain" || !llm.ReadAlike(contentType, params) {
		return false
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8":
		return true
	case "us-ascii", "iso-8859-1": // what Java's clients write
		return !bytes.ContainsFunc(value, func(r rune) bool { return r >= utf8.RuneSelf })
	}
	return false
}

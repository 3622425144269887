package llm

import (
	"mime"
	"slices"
	"strings"
)

// BodyType checks the Content-Type of a request and returns the boundary of a multipart
// body. A JSON body may have no Content-Type, because several clients send none.
func (e *Endpoint) BodyType(contentType, encoding string) (boundary string, err error) {
	if !Plain(encoding) {
		return "", Errorf(UnsupportedEncoding, "the request body is encoded as %.32q: send it without Content-Encoding", encoding)
	}
	if !e.Multipart && (contentType == "" || contentType == JSONType) {
		return "", nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	switch {
	case charset != "" && !isUTF8(charset, e.Multipart):
		// A provider that decodes by it could read another model than Weir.
		return "", Errorf(InvalidBody, "the request body must be UTF-8, not charset %.32q", charset)
	case err == nil && !ReadAlike(contentType, params):
		return "", Errorf(InvalidBody, "the Content-Type %.64q reads differently to different servers: send no parameters but charset=utf-8, and a form's boundary", contentType)
	case err == nil && !e.Multipart && media == JSONType:
		return "", nil
	case err == nil && e.Multipart && media == formType:
		return params["boundary"], nil
	case e.Multipart:
		return "", Errorf(InvalidBody, "%s takes multipart/form-data, not Content-Type %.64q", e.Path, contentType)
	}
	return "", Errorf(InvalidBody, "%s takes JSON: send Content-Type: application/json, not %.64q", e.Path, contentType)
}

// utf8Labels are the names of UTF-8 (https://encoding.spec.whatwg.org/#names-and-labels).
var utf8Labels = []string{"utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"}

// isUTF8 reports whether a charset is UTF-8. The Content-Type of a form reaches the provider,
// so of a form only the two names are taken that all parsers know. That of JSON does not:
// see SentType.
func isUTF8(charset string, form bool) bool {
	names := utf8Labels
	if form {
		names = names[:2]
	}
	return slices.Contains(names, strings.ToLower(charset))
}

// SentType returns the Content-Type to send to a provider in place of the client's, or an
// empty string if the client's can stay. JSON has no parameters (RFC 8259 11), and some
// providers refuse a type that has any.
func (e *Endpoint) SentType(contentType string) string {
	if e.Multipart || contentType == "" || contentType == JSONType {
		return ""
	}
	return JSONType
}

// ReadAlike reports whether all parsers find the same charset and boundary in a content
// type, so that a provider reads the body as Weir does. params are those that Go found.
// Parsers differ in three ways:
//
//   - Some know the forms of RFC 2231 (charset*0=utf, boundary*0=b), and some do
//     not, or know other charsets in them.
//   - Some read a backslash as an escape.
//   - Some find the word anywhere, also in another name or between quotes.
func ReadAlike(contentType string, params map[string]string) bool {
	low := strings.ToLower(contentType)
	once := func(text, name string) bool {
		n := 0
		if _, found := params[name]; found {
			n = 1
		}
		return strings.Count(low, text) == n
	}
	return !strings.ContainsAny(low, `*\`) && once("charset", "charset") && once("boundary=", "boundary")
}

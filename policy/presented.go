package policy

import (
	"bytes"
	"encoding/base64"
	"math"
	"net/url"
	"slices"
	"strings"

	"weir/llm"
	"weir/llm/body"
	"weir/policy/config"
)

// Presented are the credentials that a client sent with its request. None of them reaches
// a provider, wherever else in the request they occur. The zero value and nil are empty.
type Presented struct {
	list [len(llm.Credentials{})]string
	n    int
}

// Add adds a credential. A short one that did not authenticate the client is a placeholder
// ("unused", "ollama") and is ignored.
func (p *Presented) Add(credential string, authenticated bool) {
	if credential == "" || !authenticated && len(credential) < config.MinKeyLength || p.n == len(p.list) || slices.Contains(p.list[:p.n], credential) {
		return
	}
	p.list[p.n] = credential
	p.n++
}

// Reset removes all credentials.
func (p *Presented) Reset() { *p = Presented{} }

// shortest returns the length of the shortest credential.
func (p *Presented) shortest() int {
	n := math.MaxInt
	for i := range p.n {
		n = min(n, len(p.list[i]))
	}
	return n
}

// maxDecodings is how often a value is decoded in search of a credential.
const maxDecodings = 3

// In reports whether a header's value, or a raw query parameter, holds a
// credential: plain, percent-encoded, or in the base64 of Basic authentication.
func (p *Presented) In(value string) bool {
	if p == nil || len(value) < p.shortest() {
		return false // no spelling of a credential is shorter than it
	}
	if p.holds(value) {
		return true
	}
	if scheme, rest, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "basic") {
		if b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(rest), "=")); err == nil && p.holds(string(b)) {
			return true
		}
	}
	for range maxDecodings {
		if strings.IndexByte(value, '+') >= 0 && p.holds(strings.ReplaceAll(value, "+", " ")) {
			return true
		}
		decoded, err := url.PathUnescape(value)
		if err != nil || decoded == value {
			return false
		}
		if value = decoded; p.holds(value) {
			return true
		}
	}
	return false
}

// holds reports whether a text contains a credential. One that is shorter than an access
// key may be an ordinary word; it counts only where it is the whole value.
func (p *Presented) holds(text string) bool {
	for _, c := range p.list[:p.n] {
		switch {
		case len(text) < len(c):
		case len(c) >= config.MinKeyLength:
			if strings.Contains(text, c) {
				return true
			}
		case text == c, strings.HasSuffix(text, c) && strings.ContainsRune(" =", rune(text[len(text)-len(c)-1])):
			return true
		}
	}
	return false
}

// Scrub returns a text that was derived from the request with its credentials redacted.
func (p *Presented) Scrub(text string) string {
	if p == nil {
		return text
	}
	for _, c := range p.list[:p.n] {
		if len(c) >= config.MinKeyLength {
			text = strings.ReplaceAll(text, c, config.Redacted)
		} else if text == c {
			text = config.Redacted
		}
	}
	return text
}

// spans returns the credentials in a body, in order: as plain bytes, in JSON in any
// spelling, and as the string values of top-level keys.
func (p *Presented) spans(b *body.Body) []body.Span {
	if p == nil || p.n == 0 {
		return nil
	}
	var out []body.Span
	for _, c := range p.list[:p.n] {
		if len(c) < config.MinKeyLength {
			continue
		}
		if b.Boundary == "" {
			out = appendEscaped(appendSpans(out, b.Bytes, c), b.Bytes, c)
			continue
		}
		for _, spelled := range spellings(c) {
			out = appendSpans(out, b.Bytes, spelled)
		}
	}
	for i, m := range b.Members {
		if value := b.Bytes[m.Value.Start:m.Value.End]; value[0] == '"' && !(b.HasModel && i == b.ModelMember) && p.isJSON(value) {
			out = append(out, body.Span{Start: m.Value.Start + 1, End: m.Value.End - 1})
		}
	}
	slices.SortFunc(out, func(a, b body.Span) int { return a.Start - b.Start })
	// Two credentials may overlap, or one may be found in two ways.
	kept := out[:0]
	for _, s := range out {
		if n := len(kept); n > 0 && s.Start < kept[n-1].End {
			kept[n-1].End = max(kept[n-1].End, s.End)
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// isJSON reports whether a JSON string spells one of the credentials.
func (p *Presented) isJSON(quoted []byte) bool {
	text := quoted[1 : len(quoted)-1]
	for _, c := range p.list[:p.n] {
		switch {
		case len(text) < len(c), len(text) > body.MaxEscape*len(c):
		case string(text) == c:
			return true
		case bytes.IndexByte(text, '\\') >= 0:
			if decoded, _ := body.Unquote(nil, text); string(decoded) == c {
				return true
			}
		}
	}
	return false
}

// spellings returns how JSON encoders write a credential in a string: unchanged, and with
// the escapes of PHP, Go, Python and .NET where it has such characters.
func spellings(c string) []string {
	out := []string{c}
	for _, escape := range [...]*strings.Replacer{escapeSlash, escapeHTML, escapeNET} {
		if s := escape.Replace(c); s != c && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

var (
	escapeSlash = strings.NewReplacer("/", `\/`, `"`, `\"`, `\`, `\\`)
	escapeHTML  = strings.NewReplacer("&", `\u0026`, "<", `\u003c`, ">", `\u003e`, `"`, `\"`, `\`, `\\`)
	escapeNET   = strings.NewReplacer("+", `\u002B`, "&", `\u0026`, "<", `\u003C`, ">", `\u003E`, "'", `\u0027`, "`", `\u0060`, `"`, `\u0022`, `\`, `\\`)
)

// appendSpans appends the occurrences of a text. It looks for the byte of the text that is
// rarest in other text, because keys are random: bytes.Index alone takes several times as
// long for a needle of this length. If the byte turns out to be common, it continues with
// bytes.Index.
func appendSpans(dst []body.Span, b []byte, text string) []body.Span {
	at, rare := rarest(text)
	misses := 0
	for from := 0; from+len(text) <= len(b); {
		i := bytes.IndexByte(b[from+at:], rare)
		if i < 0 {
			return dst
		}
		start := from + i
		switch {
		case start+len(text) > len(b):
			return dst
		case string(b[start:start+len(text)]) == text:
			dst = append(dst, body.Span{Start: start, End: start + len(text)})
			from = start + len(text)
			continue
		}
		from = start + 1
		if misses++; misses > 64+from/64 {
			return indexSpans(dst, b, from, text)
		}
	}
	return dst
}

func indexSpans(dst []body.Span, b []byte, from int, text string) []body.Span {
	needle := []byte(text)
	for {
		i := bytes.Index(b[from:], needle)
		if i < 0 {
			return dst
		}
		dst = append(dst, body.Span{Start: from + i, End: from + i + len(text)})
		from += i + len(text)
	}
}

// common are the bytes of JSON and English text, the most frequent first.
const common = "eationsrlhcdupm gfyw\"bv,k:.0123456789{}-_/STAICMPREDNLOFBUHWGx\\jqz[]()=+'YVKJXQZ"

// rarest returns the byte of a text that other text has least often.
func rarest(text string) (at int, c byte) {
	rank := -1
	for i := range len(text) {
		r := strings.IndexByte(common, text[i])
		if r < 0 {
			r = len(common)
		}
		if r > rank {
			at, c, rank = i, text[i], r
		}
	}
	return at, c
}

// maxRedactions bounds how many credentials are replaced in one body.
const maxRedactions = 100

// redact adds edits that replace the credentials of a body. Credentials that another edit
// removes need none.
func redact(edits []body.Edit, spans []body.Span) ([]body.Edit, error) {
	if len(spans) > maxRedactions {
		return nil, llm.Errorf(llm.InvalidBody, "the request body contains the access key more than %d times: remove it", maxRedactions)
	}
	for _, s := range spans {
		i, _ := slices.BinarySearchFunc(edits, s.Start, func(e body.Edit, start int) int {
			if e.At+e.Len <= start {
				return -1
			}
			return 1
		})
		if i < len(edits) && edits[i].At < s.End {
			if e := edits[i]; e.At <= s.Start && s.End <= e.At+e.Len {
				continue
			}
			return nil, llm.Errorf(llm.InvalidBody, "the request body contains the access key in a place where it cannot be removed: remove it")
		}
		edits = slices.Insert(edits, i, body.Edit{At: s.Start, Len: s.End - s.Start, With: []byte(config.Redacted)})
	}
	return edits, nil
}

package body

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"weir/llm"
)

// What one request body may hold. None of them binds a real client; each
// bounds what a hostile one can make this process do.
const (
	maxJSONDepth = 1000 // levels of JSON, the outer object is the first
	maxMembers   = 1000 // top-level members: a table entry outweighs `"":0,` ten times
	MaxModelLen  = 256  // bytes of a model, decoded
	MaxModels    = 32   // entries of `models`
)

// Span is a half-open range of bytes of a body.
type Span struct{ Start, End int }

// Member is one top-level member of a JSON object. Name is its key decoded;
// without escapes it shares the body's memory. Key includes the quotes.
type Member struct {
	Name       []byte
	Key, Value Span
}

// Body is what routing needs to know of a request's body. It borrows Bytes:
// it is good for as long as they are not written to. Model and Models are
// copies.
type Body struct {
	Bytes     []byte
	Members   []Member // in order, repeated keys included; none for a form
	Model     string
	HasModel  bool // false: the key, or the part, is absent
	Models    []string
	HasModels bool
	Stream    bool // true only for a literal true; other types are the provider's business
	MayStream bool // a provider may read the body so that it answers with a stream

	ModelMember  int // index in Members, if HasModel
	modelsMember int // index in Members, if HasModels
	open         int // JSON: just after `{`; form: the first delimiter; where a model is inserted
	Boundary     string
	modelPart    Span     // form: the value of the model part, if HasModel
	Parts        []string // form: names of parts that are selectors
}

// Reset forgets the body and keeps the tables' memory for the next one.
func (b *Body) Reset() {
	clear(b.Members) // names would keep the last body's bytes alive in a pool
	clear(b.Models)
	*b = Body{Members: b.Members[:0], Models: b.Models[:0]}
}

// modelPlace is where the client wrote a model: an index in `models`, or
// onlyModel. It is a type to keep formatting out of requests that succeed.
type modelPlace int

const onlyModel modelPlace = -1

func (p modelPlace) String() string {
	if p == onlyModel {
		return "model"
	}
	return fmt.Sprintf("models[%d]", int(p))
}

// checkModel holds the rule of one model as the client wrote it, decoded, and
// copies it out of the body.
func checkModel(at modelPlace, text []byte) (string, *llm.Error) {
	switch {
	case len(text) == 0:
		return "", llm.Errorf(llm.InvalidBody, "%s must not be empty", at)
	case len(text) > MaxModelLen:
		return "", modelTooLong(at)
	case !utf8.Valid(text):
		return "", llm.Errorf(llm.InvalidBody, "%s is not valid UTF-8", at)
	}
	model := string(text)
	for _, r := range model {
		if unicode.IsControl(r) {
			return "", llm.Errorf(llm.InvalidBody, "%s has a control character: %q", at, llm.Clip(model))
		}
	}
	return model, nil
}

func modelTooLong(at modelPlace) *llm.Error {
	return llm.Errorf(llm.InvalidBody, "%s is longer than %d bytes", at, MaxModelLen)
}

// repeatedModel refuses a second `model` or `models`.
func repeatedModel(name string) *llm.Error {
	return llm.Errorf(llm.DuplicateKey, "the request body has two %q; send it once", name)
}

// foldedModel refuses a name that only some parsers read as `model`: to
// ignore it as they may not would let it past the policy.
func foldedModel(name []byte, as string) *llm.Error {
	return llm.Errorf(llm.DuplicateKey, "%q reads as %q to some parsers; spell it %q", name, as, as)
}

// CountsStream reports whether the stream's options name continuous_usage_stats.
func (b *Body) CountsStream() bool {
	for _, m := range b.Members {
		if string(m.Name) == "stream_options" && bytes.Contains(b.Bytes[m.Value.Start:m.Value.End], []byte(`"continuous_usage_stats"`)) {
			return true
		}
	}
	return false
}

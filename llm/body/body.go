package body

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"weir/llm"
)

// The limits of a request body. They are far above what clients send and bound the work
// that a hostile client can cause.
const (
	maxJSONDepth = 1000 // levels of JSON, the outer object is the first
	maxMembers   = 1000 // top-level members: a table entry outweighs `"":0,` ten times
	MaxModelLen  = 256  // bytes of a model, decoded
	MaxModels    = 32   // entries of `models`
)

// Span is a half-open range of bytes of a body.
type Span struct{ Start, End int }

// Member is one top-level member of a JSON object. Name is its decoded key, which shares
// the memory of the body if it has no escapes. Key includes the quotes.
type Member struct {
	Name       []byte
	Key, Value Span
}

// Body is what routing needs to know about a request body. ReadJSON and ReadMultipart fill
// it; Edit returns the edits that turn it into the body for a provider. ExampleBody_WithModel
// shows both. It refers to Bytes and is valid as long as these do not change; Model and
// Models are copies.
type Body struct {
	Bytes     []byte
	Members   []Member // in order, repeated keys included; none for a form
	Model     string   // also that of DefaultModel
	HasModel  bool     // false: the key, or the part, is absent
	Models    []string
	HasModels bool
	Stream    bool // true only for a literal true; a provider may read other values, too: see MayStream
	MayStream bool // a provider may understand the body as a request for a stream

	ModelMember  int // index in Members, if HasModel
	modelsMember int // index in Members, if HasModels
	open         int // JSON: just after `{`; form: the first delimiter; where a model is inserted
	Boundary     string
	modelPart    Span     // form: the value of the model part, if HasModel
	Parts        []string // form: names of parts that are selectors
}

// Reset empties b and keeps the memory of its tables for the next body.
func (b *Body) Reset() {
	clear(b.Members) // names would keep the last body's bytes alive in a pool
	clear(b.Models)
	*b = Body{Members: b.Members[:0], Models: b.Models[:0]}
}

// DefaultModel sets the model of a body that has no model of its own: the client named it
// elsewhere. Edits insert it. An empty name changes nothing.
func (b *Body) DefaultModel(name string) error {
	if name == "" || b.HasModel {
		return nil
	}
	model, err := checkModel(modelInPath, []byte(name))
	if err != nil {
		return err
	}
	b.Model = model
	return nil
}

// modelPlace is where the client wrote a model: an index in `models`, or one of the
// constants. It is a type so that nothing is formatted for requests that succeed.
type modelPlace int

const (
	onlyModel   modelPlace = -1
	modelInPath modelPlace = -2
)

func (p modelPlace) String() string {
	switch p {
	case onlyModel:
		return llm.ModelField
	case modelInPath:
		return "the model in the path"
	}
	return fmt.Sprintf("models[%d]", int(p))
}

// checkModel validates a decoded model and returns a copy.
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

// foldedModel refuses a name that only some parsers read as `model`: a provider with such
// a parser would use a model that the policy has not seen.
func foldedModel(name []byte, as string) *llm.Error {
	return llm.Errorf(llm.DuplicateKey, "%q reads as %q to some parsers; spell it %q", name, as, as)
}

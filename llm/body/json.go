package body

import (
	"bytes"
	"unicode/utf8"

	"weir/llm"
)

// ReadJSON reads a body that must be one JSON object in UTF-8, exactly as in RFC 8259:
// without a byte order mark, with nothing after it, and with at most maxJSONDepth levels.
// It fills body and reuses its memory; after an error, body is empty. A body in which two
// parsers could find different models is refused.
func ReadJSON(b []byte, body *Body) error {
	body.Reset()
	body.Bytes = b
	if err := body.readObject(); err != nil {
		body.Reset()
		return err
	}
	return nil
}

func (b *Body) readObject() *llm.Error {
	raw := b.Bytes
	i, err := openObject(raw)
	if err != nil {
		return err
	}
	b.open = i
	i = skipSpace(raw, i)
	for more := i >= len(raw) || raw[i] != '}'; more; {
		if i, err = b.readMember(i); err != nil {
			return err
		}
		i = skipSpace(raw, i)
		switch {
		case i < len(raw) && raw[i] == ',':
			i = skipSpace(raw, i+1)
		case i < len(raw) && raw[i] == '}':
			more = false
		default:
			return unexpected(raw, i, "',' or '}'")
		}
	}
	if i = skipSpace(raw, i+1); i < len(raw) {
		return llm.Errorf(llm.InvalidBody, "the request body has more after its JSON object, at byte %d", i)
	}
	return nil
}

// openObject returns the offset after the opening brace. Frequent mistakes have messages of
// their own.
func openObject(raw []byte) (int, *llm.Error) {
	i := skipSpace(raw, 0)
	if i == len(raw) {
		return 0, llm.Errorf(llm.InvalidBody, "the request body is empty, it must be a JSON object")
	}
	if raw[i] == '{' {
		return i + 1, nil
	}
	rest := raw[i:]
	if bytes.HasPrefix(rest, []byte("\xEF\xBB\xBF")) {
		return 0, llm.Errorf(llm.InvalidBody, "the request body starts with a byte order mark, send it without one")
	}
	kind := kindOf(rest[0])
	if kind == "" || !startsValue(rest) {
		return 0, unexpected(raw, i, "a JSON object")
	}
	return 0, llm.Errorf(llm.InvalidBody, "the request body must be a JSON object, but is %s", kind)
}

// startsValue distinguishes a JSON value of the wrong type from text that only begins like
// one, such as a form's "--boundary" or "name=x".
func startsValue(rest []byte) bool {
	switch rest[0] {
	case '-':
		return len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9'
	case 't', 'f', 'n':
		_, err := skipLiteral(rest, 0)
		return err == nil
	}
	return true
}

// readMember reads `"key": value` at i and returns the offset after it.
func (b *Body) readMember(i int) (int, *llm.Error) {
	raw := b.Bytes
	key, value, err := skipKey(raw, i)
	if err != nil {
		return 0, err
	}
	end, err := skipValue(raw, value)
	if err != nil {
		return 0, err
	}
	if len(b.Members) == maxMembers {
		return 0, llm.Errorf(llm.InvalidBody, "the request body has more than %d top-level keys", maxMembers)
	}
	name, err := keyName(raw[key.Start:key.End])
	if err != nil {
		return 0, err
	}
	b.Members = append(b.Members, Member{Name: name, Key: key, Value: Span{value, end}})
	return end, b.notice(len(b.Members)-1, raw[value:end])
}

// notice reads what routing needs from a member, whose value is valid JSON.
func (b *Body) notice(index int, value []byte) *llm.Error {
	name := b.Members[index].Name
	// All that folds to either word has between 5 and 7 bytes ("modelſ").
	if len(name) < len(llm.ModelField) || len(name) > len(llm.ModelsField)+1 {
		return nil
	}
	switch {
	case bytes.EqualFold(name, []byte(llm.StreamField)):
		b.readStream(string(name), string(value))
	case string(name) == llm.ModelField:
		return b.readModel(index, value)
	case string(name) == llm.ModelsField:
		return b.readModels(index, value)
	case bytes.EqualFold(name, []byte(llm.ModelField)):
		return foldedModel(name, llm.ModelField)
	case bytes.EqualFold(name, []byte(llm.ModelsField)):
		return foldedModel(name, llm.ModelsField)
	}
	return nil
}

// readStream reads whether the client asks for a stream. Some servers also accept 1, "true"
// and other spellings of the key.
func (b *Body) readStream(name, value string) {
	if name == llm.StreamField {
		b.Stream = value == "true"
	}
	b.MayStream = b.MayStream || value != "false" && value != "null"
}

func (b *Body) readModel(index int, value []byte) *llm.Error {
	if b.HasModel {
		return repeatedModel(llm.ModelField)
	}
	model, err := modelString(onlyModel, value)
	if err != nil {
		return err
	}
	b.Model, b.HasModel, b.ModelMember = model, true, index
	return nil
}

func (b *Body) readModels(index int, value []byte) *llm.Error {
	if b.HasModels {
		return repeatedModel(llm.ModelsField)
	}
	if value[0] != '[' {
		return llm.Errorf(llm.InvalidBody, "models must be a list of strings, but is %s", kindOf(value[0]))
	}
	for i := skipSpace(value, 1); value[i] != ']'; i = skipSpace(value, i) {
		if value[i] == ',' {
			i = skipSpace(value, i+1)
		}
		if len(b.Models) == MaxModels {
			return llm.Errorf(llm.InvalidBody, "models has more than %d entries", MaxModels)
		}
		// The list has been validated: this cannot fail.
		end, _ := skipValue(value, i)
		model, err := modelString(modelPlace(len(b.Models)), value[i:end])
		if err != nil {
			return err
		}
		b.Models = append(b.Models, model)
		i = end
	}
	if len(b.Models) == 0 {
		return llm.Errorf(llm.InvalidBody, "models must not be empty, leave it out instead")
	}
	b.HasModels, b.modelsMember = true, index
	return nil
}

// modelString decodes a valid JSON value that must be a model.
func modelString(at modelPlace, value []byte) (string, *llm.Error) {
	if value[0] != '"' {
		return "", llm.Errorf(llm.InvalidBody, "%s must be a string, but is %s", at, kindOf(value[0]))
	}
	text := value[1 : len(value)-1]
	if len(text) > MaxEscape*MaxModelLen {
		return "", modelTooLong(at)
	}
	if bytes.IndexByte(text, '\\') >= 0 {
		var buf [MaxEscape * MaxModelLen]byte
		var lone bool
		if text, lone = Unquote(buf[:0], text); lone {
			return "", llm.Errorf(llm.InvalidBody, "%s has half of a surrogate pair", at)
		}
	}
	return checkModel(at, text)
}

// keyName decodes a key in quotes. Some parsers end a key at a NUL, or drop characters that
// they cannot represent: for them, "model\u0000" and "model\ud800" are a second model. No
// API has such a key.
func keyName(quoted []byte) ([]byte, *llm.Error) {
	text := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(text, '\\') < 0 {
		return text, nil
	}
	name, lone := Unquote(make([]byte, 0, len(text)), text)
	if lone {
		return nil, llm.Errorf(llm.InvalidBody, "the request body has a key with half of a surrogate pair: %s", llm.Clip(string(quoted)))
	}
	if bytes.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return nil, llm.Errorf(llm.InvalidBody, "the request body has a key with a control character: %s", llm.Clip(string(quoted)))
	}
	return name, nil
}

// kindOf returns the type, for an error, of the JSON value that starts with c.
func kindOf(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	if c == '-' || '0' <= c && c <= '9' {
		return "a number"
	}
	return ""
}

// unexpected refuses the byte at i, where want is required.
func unexpected(raw []byte, i int, want string) *llm.Error {
	if i >= len(raw) {
		return truncated(raw)
	}
	r, size := utf8.DecodeRune(raw[i:])
	if r == utf8.RuneError && size == 1 {
		return notUTF8(i)
	}
	return llm.Errorf(llm.InvalidBody, "the request body is not valid JSON at byte %d: found %q, want %s", i, r, want)
}

func truncated(raw []byte) *llm.Error {
	return llm.Errorf(llm.InvalidBody, "the request body is truncated: it ends at byte %d, inside its JSON object", len(raw))
}

func notUTF8(i int) *llm.Error {
	return llm.Errorf(llm.InvalidBody, "the request body is not valid UTF-8 at byte %d", i)
}

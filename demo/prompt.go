package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Prompt is what a request asks for, independent of its API.
type Prompt struct {
	Model    string   // as received; empty if the body has none
	Texts    []string // every text of the prompt, in the order of the APIs: instructions, then messages or inputs
	LastUser string   // the last user message; for embeddings and completions, the last input
	Tokens   int      // in all Texts

	Stream    bool
	MaxTokens int // of the response; 0: no limit

	id           string // from the body, for the ids in the reply
	includeUsage bool   // stream_options.include_usage
	dimensions   int    // of an embedding
	base64       bool   // encoding_format of an embedding
}

func (p *Prompt) add(text string) {
	p.Texts = append(p.Texts, text)
	p.Tokens += count(text)
}

func (p *Prompt) addUser(text string) {
	p.add(text)
	p.LastUser = text
}

// readPrompt reads the fields that the surfaces have in common, and returns all
// fields.
func readPrompt(body []byte) (Prompt, fields, error) {
	var f fields
	if err := json.Unmarshal(body, &f); err != nil || f == nil {
		return Prompt{}, nil, invalid("", "The request body is not a JSON object.")
	}
	sum := sha256.Sum256(body)
	p := Prompt{id: hex.EncodeToString(sum[:12])}
	err := errors.Join(f.get("model", &p.Model), f.get("stream", &p.Stream))
	for _, key := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens"} {
		var limit *int
		err = errors.Join(err, f.get(key, &limit))
		if limit == nil {
			continue
		}
		if *limit < 1 {
			err = errors.Join(err, invalid(key, "%s: %d is less than 1.", key, *limit))
		}
		p.MaxTokens = *limit
	}
	return p, f, err
}

// fields are a body's top-level members. Their names are matched exactly, as the real
// APIs do, unlike encoding/json's structs.
type fields map[string]json.RawMessage

func (f fields) get(key string, dst any) error {
	raw, ok := f[key]
	if !ok {
		return nil
	}
	err := json.Unmarshal(raw, dst)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalid(key, "%s: unexpected %s.", key, wrong.Value)
	}
	return invalid(key, "%s: %v.", key, err)
}

type message struct {
	Role    string `json:"role"`
	Content text   `json:"content"`
}

func (p *Prompt) addMessages(messages []message) {
	for _, m := range messages {
		if m.Role == "user" {
			p.addUser(string(m.Content))
		} else {
			p.add(string(m.Content))
		}
	}
}

// text is content in any shape that the APIs accept: a string, a part with a text or
// with content of its own, or a list of these. Images and the like have no text.
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	switch raw[0] {
	case '"':
		return json.Unmarshal(raw, (*string)(t))
	case '{':
		var part struct {
			Text    text `json:"text"`
			Content text `json:"content"`
		}
		err := json.Unmarshal(raw, &part)
		*t = part.Text + part.Content
		return err
	case '[':
		var parts []text
		if err := json.Unmarshal(raw, &parts); err != nil {
			return err
		}
		all := make([]string, 0, len(parts))
		for _, part := range parts {
			if part != "" {
				all = append(all, string(part))
			}
		}
		*t = text(strings.Join(all, "\n"))
		return nil
	case 'n': // null
		return nil
	default:
		return fmt.Errorf("%.20s: not a text", raw)
	}
}

// inputs are the texts of completions and embeddings: a string, a list of
// strings, a list of tokens, or a list of such lists. A list of tokens becomes
// the tokens' numbers, so that it counts right and equal lists stay equal.
type inputs []string

func (in *inputs) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		if !bytes.Equal(raw, []byte("null")) {
			*in = inputs{one}
		}
		return nil
	}
	var tokens []int
	if json.Unmarshal(raw, &tokens) == nil && len(tokens) > 0 {
		*in = inputs{numbers(tokens)}
		return nil
	}
	var lists [][]int
	if json.Unmarshal(raw, &lists) == nil {
		for _, tokens := range lists {
			*in = append(*in, numbers(tokens))
		}
		return nil
	}
	if json.Unmarshal(raw, (*[]string)(in)) != nil {
		return errors.New("neither a string nor a list of strings or tokens")
	}
	return nil
}

func numbers(tokens []int) string { return strings.Trim(fmt.Sprint(tokens), "[]") }

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// byteOrderMark can precede the text of a file.
var byteOrderMark = []byte("\ufeff")

// parseFile returns the root value of a file, or nil if the file is empty or cannot be
// parsed.
func parseFile(file string, data []byte) (*yaml.Node, Problems) {
	fail := func(line int, message string) (*yaml.Node, Problems) {
		return nil, Problems{{File: file, Line: line, Message: message}}
	}
	if len(data) > maxFileBytes {
		return fail(0, "is longer than 16 MiB")
	}
	if at := invalidUTF8(data); at >= 0 {
		return fail(lineOf(data, at), "is not UTF-8")
	}
	data = bytes.TrimPrefix(data, byteOrderMark)
	// The YAML library does not accept all of JSON, such as surrogate escapes.
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '[') && json.Valid(data) {
		return jsonNodes(data), nil
	}
	docs, err := yamlDocuments(data)
	if err != nil {
		if line, message, ok := jsonSyntax(file, data); ok {
			return fail(line, message)
		}
		line, message := yamlSyntax(data, err)
		return fail(line, "not valid YAML: "+message)
	}
	if len(docs) > 1 {
		return fail(docs[1].Line, "a second YAML document begins here: a configuration is one document")
	}
	if len(docs) == 0 {
		return nil, nil
	}
	return docs[0].Content[0], nil
}

// yamlDocuments returns the first two documents of a file.
func yamlDocuments(data []byte) ([]*yaml.Node, error) {
	var docs []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for len(docs) < 2 {
		doc := &yaml.Node{}
		if err := decoder.Decode(doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

func lineOf(data []byte, at int) int { return 1 + bytes.Count(data[:at], []byte("\n")) }

// jsonSyntax returns the first syntax error of a file that is named .json.
func jsonSyntax(file string, data []byte) (line int, message string, ok bool) {
	var syntax *json.SyntaxError
	if !strings.EqualFold(filepath.Ext(file), ".json") || !errors.As(json.Unmarshal(data, &json.RawMessage{}), &syntax) {
		return 0, "", false
	}
	return lineOf(data, min(int(syntax.Offset), len(data))), "not valid JSON: " + syntax.Error(), true
}

// yamlSyntax returns the line and the message of an error of the YAML library. The line is
// the one where the library found the error, except for errors that it finds later, such as
// a quote that is not closed: then it is the line where the value begins.
func yamlSyntax(data []byte, err error) (line int, message string) {
	var syntax *yaml.LoadError
	if !errors.As(err, &syntax) {
		return 1, err.Error()
	}
	line, message = syntax.Mark.Line, syntax.Message
	switch message {
	case "found unexpected end of stream", "could not find expected ':'":
		line = syntax.ContextMark.Line
	}
	if line == 0 { // an invalid character, for which the library reports no line
		line = lineOf(data, max(bytes.IndexFunc(data, isYAMLControl), 0))
	}
	return line, message + yamlHints[message]
}

// yamlHints are the usual causes of the errors of the library.
var yamlHints = map[string]string{
	"mapping values are not allowed in this context":               ` (wrong indentation, or a value with ": " in it that needs quotes)`,
	"found character that cannot start any token":                  " (indent with spaces, not tabs; put a value that begins with @, ` or % in quotes)",
	"did not find expected key":                                    " (wrong indentation, or a quote inside a value in quotes)",
	"did not find expected '-' indicator":                          " (wrong indentation?)",
	"found incompatible YAML document":                             " (leave the %YAML line out)",
	"found unexpected end of stream":                               " (a quote is not closed)",
	"found a tab character that violates indentation":              " (indent with spaces)",
	"found a tab character where an indentation space is expected": " (indent with spaces)",
}

// isYAMLControl reports whether a character is not printable in YAML,
// https://yaml.org/spec/1.2.2/#51-character-set.
func isYAMLControl(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff
}

// jsonNodes returns the nodes of valid JSON, as the YAML library would return them.
func jsonNodes(data []byte) *yaml.Node {
	r := &jsonReader{data: data, tokens: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.tokens.UseNumber()
	return r.value(r.next())
}

// jsonReader reads the tokens of encoding/json with their lines and columns.
type jsonReader struct {
	data         []byte
	tokens       *json.Decoder
	line         int
	lineAt, upTo int // offsets: where the line begins, and up to where lines are counted
}

// next returns the next token, and a node with its position.
func (r *jsonReader) next() (json.Token, *yaml.Node) {
	at := int(r.tokens.InputOffset())
	for at < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	for ; r.upTo < at; r.upTo++ {
		if r.data[r.upTo] == '\n' {
			r.line, r.lineAt = r.line+1, r.upTo+1
		}
	}
	token, err := r.tokens.Token()
	if err != nil { // the data is valid
		panic(err)
	}
	return token, &yaml.Node{Kind: yaml.ScalarNode, Line: r.line, Column: 1 + utf8.RuneCount(r.data[r.lineAt:at])}
}

func (r *jsonReader) value(token json.Token, n *yaml.Node) *yaml.Node {
	switch t := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, mapTag
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, seqTag
		}
		for r.tokens.More() { // the keys of an object are tokens, as its values are
			n.Content = append(n.Content, r.value(r.next()))
		}
		r.next()
	case string:
		n.Tag, n.Value, n.Style = strTag, t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = intTag, t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = floatTag
		}
	case bool:
		n.Tag, n.Value = boolTag, strconv.FormatBool(t)
	case nil:
		n.Tag, n.Value = nullTag, "null"
	}
	return n
}

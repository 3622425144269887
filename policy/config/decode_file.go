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

// byteOrderMark may be before the text of a file, and is no part of it.
var byteOrderMark = []byte("\ufeff")

// parseFile returns the root value of a file, nil where it is empty or cannot
// be read.
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
	// JSON is not quite YAML: the library refuses surrogate escapes.
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

// yamlDocuments parses the first two documents of a file.
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

// yamlSyntax returns the line that an error of the YAML library is about, and what
// it says. Most errors are where the library noticed them; where it noticed only
// later, as with a quote that is not closed, they are where the value begins.
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
	if line == 0 { // the reader knows no lines
		line = lineOf(data, max(bytes.IndexFunc(data, isYAMLControl), 0))
	}
	return line, message + yamlHints[message]
}

// yamlHints add the usual cause to a message of the library.
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

// isYAMLControl is the complement of YAML's printable characters,
// https://yaml.org/spec/1.2.2/#51-character-set.
func isYAMLControl(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff
}

// jsonNodes parses valid JSON into the nodes that the same YAML would give.
func jsonNodes(data []byte) *yaml.Node {
	r := &jsonReader{data: data, tokens: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.tokens.UseNumber()
	return r.value(r.next())
}

// jsonReader keeps the line and column of encoding/json's tokens.
type jsonReader struct {
	data         []byte
	tokens       *json.Decoder
	line         int
	lineAt, upTo int // where the line begins, and up to where lines are counted
}

// next returns a token, and a node with its position.
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
	if err != nil { // the caller knows that it is valid
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
		for r.tokens.More() { // keys of an object are tokens like its values
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

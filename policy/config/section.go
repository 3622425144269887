package config

import (
	"bytes"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Section finds a key at the top of the file, with its value, in the text that was
// decoded. It ends where the next key begins. Text that the rest of the file
// depends on, by an alias, is no section: start and end are 0 then, as for a key
// that the file does not have.
func (p *Positions) Section(data []byte, key string) (start, end int) {
	if p.root == nil || p.root.Kind != yaml.MappingNode || !onlyNewlines(data) {
		return 0, 0
	}
	for i := 0; i+1 < len(p.root.Content); i += 2 {
		name := p.root.Content[i]
		if name.Value != key || anchored(name) || anchored(p.root.Content[i+1]) {
			continue
		}
		start, ok := offset(data, name)
		if !ok {
			return 0, 0
		}
		if i+2 == len(p.root.Content) {
			return start, len(data)
		}
		if end, ok = offset(data, p.root.Content[i+2]); ok {
			return start, end
		}
		return 0, 0
	}
	return 0, 0
}

// offset returns where the key of a mapping begins in the text. It reports whether
// the key is there.
func offset(data []byte, key *yaml.Node) (at int, ok bool) {
	for range key.Line - 1 {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return 0, false
		}
		at += i + 1
	}
	if at == 0 && bytes.HasPrefix(data, byteOrderMark) {
		at = len(byteOrderMark)
	}
	for range key.Column - 1 {
		_, size := utf8.DecodeRune(data[at:])
		at += size
	}
	rest := bytes.TrimLeft(data[at:], `"'`)
	return at, bytes.HasPrefix(rest, []byte(key.Value))
}

// onlyNewlines reports whether lines are counted by newlines. YAML's also end at
// other characters.
func onlyNewlines(data []byte) bool {
	return bytes.Count(data, []byte("\r")) == bytes.Count(data, []byte("\r\n")) && !bytes.ContainsAny(data, "\u0085\u2028\u2029")
}

// anchored reports whether an alias may stand for the node, or for a part of it.
func anchored(n *yaml.Node) bool {
	if n.Anchor != "" {
		return true
	}
	for _, child := range n.Content {
		if anchored(child) {
			return true
		}
	}
	return false
}

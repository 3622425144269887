package config

import (
	"bytes"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Section returns where a top-level key and its value begin and end in the text that was
// decoded. The section ends where the next key begins. Both are 0 if the file does not have
// the key, or if an alias elsewhere refers to a part of the section.
func (p *Positions) Section(data []byte, key string) (start, end int) {
	if p.root == nil || p.root.Kind != yaml.MappingNode || !onlyNewlines(data) {
		return 0, 0
	}
	all := p.root.Content
	for i := 0; i+1 < len(all); i += 2 {
		if all[i].Value != key || needed(all[i:i+2], all[:i], all[i+2:]) {
			continue
		}
		start, ok := offset(data, all[i])
		end := len(data)
		if ok && i+2 < len(all) {
			end, ok = offset(data, all[i+2])
		}
		if ok {
			return start, end
		}
	}
	return 0, 0
}

// needed reports whether an alias in the other nodes refers to a part of a section.
func needed(section []*yaml.Node, others ...[]*yaml.Node) bool {
	anchors := map[*yaml.Node]bool{}
	visit(section, func(n *yaml.Node) {
		if n.Anchor != "" {
			anchors[n] = true
		}
	})
	out := false
	for _, nodes := range others {
		if len(anchors) > 0 {
			visit(nodes, func(n *yaml.Node) { out = out || anchors[n.Alias] })
		}
	}
	return out
}

// visit calls f for each node and all nodes below it.
func visit(nodes []*yaml.Node, f func(*yaml.Node)) {
	for _, n := range nodes {
		f(n)
		visit(n.Content, f)
	}
}

// offset returns where the key of a mapping begins in the text. It reports whether the text
// has the key there.
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

// onlyNewlines reports whether all lines end with a newline. YAML has other line breaks too.
func onlyNewlines(data []byte) bool {
	return bytes.Count(data, []byte("\r")) == bytes.Count(data, []byte("\r\n")) && !bytes.ContainsAny(data, "\u0085\u2028\u2029")
}

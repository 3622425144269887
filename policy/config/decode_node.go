package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"weir/llm"
)

// The tags of YAML's core schema, as the library resolves them, and of timestamps: no field
// is a timestamp, so that an api_version of 2024-10-21 is a string.
const (
	nullTag      = "!!null"
	boolTag      = "!!bool"
	intTag       = "!!int"
	floatTag     = "!!float"
	strTag       = "!!str"
	timestampTag = "!!timestamp"
	mergeTag     = "!!merge"
	mapTag       = "!!map"
	seqTag       = "!!seq"
)

var (
	knownTags = []string{nullTag, boolTag, intTag, floatTag, strTag, timestampTag, mergeTag, mapTag, seqTag}
	textTags  = []string{strTag, timestampTag, mergeTag}
)

// isText reports whether a node is a string.
func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && slices.Contains(textTags, n.Tag)
}

// follow returns the node that an alias refers to, or n itself.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// JoinPath returns the path of a key of a mapping.
func JoinPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// IndexPath returns the path of an item of a list.
func IndexPath(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// mapEntry is a key of a mapping, and its value.
type mapEntry struct {
	key         string
	name, value *yaml.Node
}

// entries returns the entries of a mapping in their order, then those that `<<` merges into
// it. Of equal keys, the first applies; a duplicate in one mapping is a problem.
// https://yaml.org/type/merge.html
func (d *decoder) entries(n *yaml.Node, path string) []mapEntry {
	have := map[string]bool{}
	var out []mapEntry
	d.collect(n, path, have, &out)
	return out
}

func (d *decoder) collect(n *yaml.Node, path string, have map[string]bool, out *[]mapEntry) {
	if !d.spend(n, path, len(n.Content)/2) {
		return
	}
	var merged *yaml.Node
	own := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := follow(n.Content[i]), n.Content[i+1]
		switch {
		case !isText(name):
			d.problemAt(n.Content[i], path, "a key must be a string: write it in quotes")
			continue
		case len(name.Value) > maxKeyBytes:
			d.problemAt(n.Content[i], path, "the key %q is longer than %d bytes", llm.Clip(name.Value), maxKeyBytes)
			continue
		case own[name.Value] != nil:
			d.problemAt(n.Content[i], path, "%q is set twice (first on line %d)", llm.Clip(name.Value), own[name.Value].Line)
			continue
		}
		own[name.Value] = n.Content[i]
		if name.Tag == mergeTag {
			merged = value
			continue
		}
		if !have[name.Value] {
			have[name.Value] = true
			*out = append(*out, mapEntry{name.Value, n.Content[i], value})
		}
	}
	if merged != nil {
		d.merge(merged, path, true, have, out)
	}
}

// merge adds the entries of the value of `<<`: a mapping, or a list of mappings.
func (d *decoder) merge(n *yaml.Node, path string, list bool, have map[string]bool, out *[]mapEntry) {
	at := n
	n, leave := d.enter(n, path)
	if n == nil {
		return
	}
	defer leave()
	switch {
	case n.Kind == yaml.MappingNode:
		d.collect(n, path, have, out)
	case n.Kind == yaml.SequenceNode && list:
		for _, item := range n.Content {
			d.merge(item, path, false, have, out)
		}
	default:
		d.problemAt(at, path, "<< must be a mapping, or a list of mappings")
	}
}

// Positions finds the line and the column of values in a file that was decoded. Each call
// walks the file.
type Positions struct {
	file string
	root *yaml.Node // nil if the file is empty or cannot be parsed
}

// Problem returns a problem at a path. If the file does not have the path, the line is that
// of the nearest value above it.
func (p *Positions) Problem(path, format string, args ...any) Problem {
	line, column := p.at(path)
	return Problem{File: p.file, Line: line, Column: column, Path: path, Message: fmt.Sprintf(format, args...)}
}

// at returns the line and the column of a path; for a value of a mapping, those of its key.
// A key may contain dots and brackets.
func (p *Positions) at(path string) (line, column int) {
	if p.root == nil {
		return 0, 0
	}
	line, column = p.root.Line, p.root.Column
	n, budget := p.root, maxAliased
	for rest := path; rest != ""; {
		where, value, after := step(follow(n), strings.TrimPrefix(rest, "."), &budget)
		if where == nil {
			break
		}
		line, column = where.Line, where.Column
		n, rest = value, after
	}
	return line, column
}

// step returns the child of a node that is first in a path: the node of its place, its
// value, and the rest of the path. where is nil if there is no such child.
func step(n *yaml.Node, path string, budget *int) (where, value *yaml.Node, rest string) {
	switch n.Kind {
	case yaml.SequenceNode:
		var i int
		if _, err := fmt.Sscanf(path, "[%d]", &i); err == nil && i >= 0 && i < len(n.Content) {
			_, rest, _ = strings.Cut(path, "]")
			return n.Content[i], n.Content[i], rest
		}
	case yaml.MappingNode:
		return stepKey(n, path, budget)
	}
	return nil, nil, ""
}

// stepKey is step for a mapping. It looks in merged mappings too.
func stepKey(n *yaml.Node, path string, budget *int) (where, value *yaml.Node, rest string) {
	var merged []*yaml.Node
	best := 0
	for i := 0; i+1 < len(n.Content); i += 2 {
		if *budget--; *budget < 0 {
			return nil, nil, ""
		}
		name := follow(n.Content[i])
		if name.Tag == mergeTag {
			merged = append(merged, n.Content[i+1])
		}
		after, ok := strings.CutPrefix(path, name.Value)
		if ok && len(name.Value) > best && (after == "" || after[0] == '.' || after[0] == '[') {
			best = len(name.Value)
			where, value, rest = n.Content[i], n.Content[i+1], after
		}
	}
	for len(merged) > 0 && where == nil {
		m := follow(merged[0])
		merged = merged[1:]
		if m.Kind == yaml.SequenceNode {
			merged = append(merged, m.Content...)
		} else if m.Kind == yaml.MappingNode {
			where, value, rest = stepKey(m, path, budget)
		}
		if *budget--; *budget < 0 {
			break
		}
	}
	return where, value, rest
}

package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"weir/llm"
)

// Limits on the work for a hostile file. Only aliases multiply values; everything else is
// bounded by the size of the file.
const (
	maxFileBytes = 16 << 20
	maxNesting   = 100     // depth of values, aliases included
	maxAliased   = 100_000 // values reached through aliases and merges
	maxKeyBytes  = 1024    // because the path of a value repeats its keys
	maxProblems  = 1000
)

// Decode decodes a YAML or JSON file into the struct, slice or map that into points to. The
// fields of a struct have the names of their `yaml:"name"` tags. file is the name of the
// file in problems.
//
// Decode reports all problems, and decodes all values that have none. It expands nothing in
// the file: a Template keeps its ${…}. The positions are never nil.
//
// The decoder of the YAML library is not used, because it stops at the first duplicate key,
// reports no paths and accepts 1 for a string.
func Decode(file string, data []byte, into any) (*Positions, Problems) {
	pos := &Positions{file: file}
	root, problems := parseFile(file, data)
	if root == nil {
		return pos, problems
	}
	pos.root = root
	d := &decoder{pos: pos, root: reflect.TypeOf(into).Elem(), seen: map[Problem]bool{}, open: map[*yaml.Node]bool{}, fields: map[reflect.Type]fields{}}
	if root.Tag != nullTag {
		d.value(root, "", into)
	}
	d.problems.Sort()
	return pos, d.problems
}

// nodeDecoder is a type that decodes itself from a node, which may be null (nullTag). A
// field of a struct that is null is absent: decodeNode is not called.
type nodeDecoder interface {
	decodeNode(d *decoder, n *yaml.Node, path string)
}

type decoder struct {
	pos      *Positions
	root     reflect.Type
	problems Problems
	seen     map[Problem]bool

	depth   int
	open    map[*yaml.Node]bool // anchors whose aliases are being read
	aliased int                 // values read inside these aliases

	// fields caches fieldsOf, which otherwise made half of the allocations of a load
	// with 1,000 providers.
	fields map[reflect.Type]fields
}

// fields is the result of fieldsOf.
type fields struct {
	names []string
	index map[string][]int
}

// problem reports a problem at a path.
func (d *decoder) problem(path, format string, args ...any) {
	d.add(d.pos.Problem(path, format, args...))
}

// problemAt reports a problem at a node that has no path, such as a duplicate key.
func (d *decoder) problemAt(n *yaml.Node, path, format string, args ...any) {
	d.add(Problem{File: d.pos.file, Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...)})
}

// add adds a problem, unless the same one was found at the same place: the value of an
// anchor is read again at each alias, with another path.
func (d *decoder) add(p Problem) {
	place := p
	place.Path, place.Unread = "", ""
	if d.seen[place] || len(d.problems) > maxProblems {
		return
	}
	d.seen[place] = true
	if len(d.problems) == maxProblems {
		p = Problem{File: p.File, Line: p.Line, Column: p.Column, Message: fmt.Sprintf("more than %d problems: the others are not shown", maxProblems)}
	}
	d.problems = append(d.problems, p)
}

// value decodes a node into the variable that into points to.
func (d *decoder) value(n *yaml.Node, path string, into any) {
	d.reflected(n, path, reflect.ValueOf(into).Elem())
}

var durationType = reflect.TypeFor[time.Duration]()

func (d *decoder) reflected(n *yaml.Node, path string, v reflect.Value) {
	n, leave := d.enter(n, path)
	if n == nil {
		return
	}
	defer leave()

	if custom, ok := v.Addr().Interface().(nodeDecoder); ok {
		custom.decodeNode(d, n, path)
		return
	}
	if v.Type() == durationType {
		v.SetInt(int64(d.duration(n, path)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if n.Tag == nullTag {
			d.mismatch(n, path, "have a value")
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		d.reflected(n, path, v.Elem())
	case reflect.String:
		v.SetString(d.text(n, path))
	case reflect.Bool:
		v.SetBool(d.boolean(n, path))
	case reflect.Int, reflect.Int64:
		v.SetInt(d.integer(n, path, v.Type().Bits()))
	case reflect.Float64:
		v.SetFloat(d.float(n, path))
	case reflect.Slice:
		d.slice(n, path, v)
	case reflect.Map:
		d.mapping(n, path, v)
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Interface:
		if plain := d.plain(n, path); plain != nil {
			v.Set(reflect.ValueOf(plain))
		}
	default:
		panic(fmt.Sprintf("config: decode: %s: no rule for %s", path, v.Type()))
	}
}

// enter returns the node to decode, which is n or what the alias n refers to. It bounds
// nesting and aliases, and returns nil if n must not be decoded. Otherwise, the caller calls
// leave after it has decoded the node.
func (d *decoder) enter(n *yaml.Node, path string) (_ *yaml.Node, leave func()) {
	target, alias := n, n.Kind == yaml.AliasNode
	if alias {
		target = n.Alias
	}
	switch {
	case alias && d.open[target]:
		d.problemAt(n, path, "*%s contains itself", llm.Clip(n.Value))
		return nil, nil
	case d.depth >= maxNesting:
		d.problemAt(n, path, "is nested deeper than %d levels", maxNesting)
		return nil, nil
	case !slices.Contains(knownTags, target.Tag):
		d.problem(path, "has the unknown tag %s: remove it", llm.Clip(target.Tag))
		return nil, nil
	}
	if alias {
		d.open[target] = true
	}
	if !d.spend(n, path, 1) {
		delete(d.open, target)
		return nil, nil
	}
	d.depth++
	return target, func() {
		d.depth--
		if alias {
			delete(d.open, target)
		}
	}
}

// spend counts values inside aliases, and reports whether they are within the limit.
func (d *decoder) spend(n *yaml.Node, path string, values int) bool {
	if len(d.open) == 0 {
		return true
	}
	before := d.aliased
	d.aliased += values
	if before <= maxAliased && d.aliased > maxAliased {
		d.problemAt(n, path, "the aliases in this file expand to more than %d values", maxAliased)
	}
	return d.aliased <= maxAliased
}

func (d *decoder) slice(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		if item := v.Type().Elem(); item.Kind() == reflect.Struct {
			d.notListOf(n, path, item)
		} else {
			d.notList(n, path, "be a list")
		}
		return
	}
	// An empty list differs from an absent one, which is nil: it allows nothing.
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.reflected(item, IndexPath(path, i), v.Index(i))
	}
}

func (d *decoder) mapping(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		write := ""
		if n.Kind == yaml.SequenceNode {
			write = "write `NAME: value` for each entry, without `- `"
		}
		d.mismatchWrite(n, path, "be a mapping", write)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range d.entries(n, path) {
		value := reflect.New(v.Type().Elem()).Elem()
		d.reflected(e.value, JoinPath(path, e.key), value)
		v.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), value)
	}
}

func (d *decoder) structure(n *yaml.Node, path string, v reflect.Value) {
	known, ok := d.fields[v.Type()]
	if !ok {
		known.names, known.index = fieldsOf(v.Type())
		d.fields[v.Type()] = known
	}
	if n.Kind != yaml.MappingNode {
		d.notMapping(n, path, known.names)
		return
	}
	all := d.entries(n, path)
	for _, e := range all {
		at, ok := known.index[e.key]
		if !ok {
			d.unknown(e, path, v.Type(), known.names, all)
			continue
		}
		if target := follow(e.value); target.Tag != nullTag {
			d.reflected(e.value, JoinPath(path, e.key), v.FieldByIndex(at))
		}
	}
}

// fieldsOf returns the names of the fields of a struct in their order, and their indexes.
// They include the fields of an embedded struct (",inline"), but not fields without a name
// in their tag, which a file cannot set.
func fieldsOf(t reflect.Type) (names []string, index map[string][]int) {
	index = map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		if index[name] == nil {
			names = append(names, name)
			index[name] = f.Index
		}
	}
	return names, index
}

// text decodes a string. It does not accept a number or a boolean, because readers of YAML
// differ: the id 1.10 could be "1.1" or "1.10", and no could be "no" or false.
func (d *decoder) text(n *yaml.Node, path string) string {
	switch {
	case isText(n):
		return n.Value
	case n.Tag == intTag || n.Tag == floatTag || n.Tag == boolTag:
		d.problem(path, "must be a string: write it in quotes")
	default:
		d.mismatch(n, path, "be a string")
	}
	return ""
}

func (d *decoder) boolean(n *yaml.Node, path string) bool {
	word := strings.ToLower(n.Value)
	if n.Tag != boolTag || word != "true" && word != "false" {
		d.mismatchWrite(n, path, "be true or false", boolMeant(n))
	}
	return word == "true"
}

// octal matches a number whose value depends on the version of YAML: in 1.1, 010 is eight;
// in 1.2, it is ten.
var octal = regexp.MustCompile(`^[-+]?0[0-9_]+$`)

var digits = regexp.MustCompile(`^[-+]?[0-9_]+$`)

func (d *decoder) integer(n *yaml.Node, path string, bits int) int64 {
	switch {
	case n.Tag == floatTag && !digits.MatchString(n.Value):
		d.problem(path, "must be an integer in digits")
		return 0
	case n.Tag == floatTag: // integers of more than 64 bits have this tag
		d.problem(path, "is out of range")
		return 0
	case n.Tag != intTag:
		if strings.Contains(path[strings.LastIndexByte(path, '.')+1:], "_bytes") {
			d.mismatchWrite(n, path, "be a number of bytes", bytesMeant(n))
		} else {
			d.mismatchWrite(n, path, "be an integer", numberMeant(n))
		}
		return 0
	case octal.MatchString(n.Value):
		d.problem(path, "must not begin with 0: it could be read as octal")
		return 0
	}
	i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, bits)
	if err != nil {
		d.problem(path, "is out of range")
		return 0
	}
	return i
}

func (d *decoder) float(n *yaml.Node, path string) float64 {
	if n.Tag == intTag && (octal.MatchString(n.Value) || !digits.MatchString(n.Value)) {
		return float64(d.integer(n, path, 64))
	}
	if n.Tag != intTag && n.Tag != floatTag {
		d.mismatchWrite(n, path, "be a number", numberMeant(n))
		return 0
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		d.problem(path, "must be a finite number")
		return 0
	}
	return f
}

func (d *decoder) duration(n *yaml.Node, path string) time.Duration {
	if n.Tag == intTag || n.Tag == floatTag || isText(n) && IsDecimal(n.Value) {
		d.problem(path, "must have a unit: write %s", secondsMeant(n.Value))
		return 0
	}
	if !isText(n) {
		d.mismatch(n, path, "be a duration such as "+durationExamples)
		return 0
	}
	t, err := time.ParseDuration(n.Value)
	if err != nil || t < 0 {
		d.problem(path, "%q is not a valid duration: write %s", llm.Clip(n.Value), durationMeant(n.Value))
		return 0
	}
	return t
}

// plain decodes a value of any kind to nil, bool, string, int64, uint64, float64, []any or
// map[string]any.
func (d *decoder) plain(n *yaml.Node, path string) any {
	switch {
	case n.Kind == yaml.SequenceNode:
		var list []any
		d.slice(n, path, reflect.ValueOf(&list).Elem())
		return list
	case n.Kind == yaml.MappingNode:
		var m map[string]any
		d.mapping(n, path, reflect.ValueOf(&m).Elem())
		return m
	case n.Tag == nullTag:
		return nil
	case n.Tag == boolTag:
		return d.boolean(n, path)
	case n.Tag == intTag:
		if u, err := strconv.ParseUint(n.Value, 10, 64); err == nil && u > math.MaxInt64 {
			return u
		}
		return d.integer(n, path, 64)
	case n.Tag == floatTag:
		return d.float(n, path)
	}
	return d.text(n, path)
}

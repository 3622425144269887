package expression

import (
	"fmt"
	"iter"
	"reflect"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"weir/policy/header"
)

// Request is what expressions see of a request.
type Request struct {
	Method, Path, ID, ClientIP string
	// Headers yields each header as often as it was sent, with its name in lower case. The
	// caller leaves out the client's credential; this package also leaves out headers that
	// header.Rule does not allow to read.
	Headers iter.Seq2[string, string]
	// Body has the top-level members of a JSON body. Of members with the same name the
	// last counts. What is read of it is kept there, so that it is decoded once for all
	// expressions: only one goroutine may use a Request at a time.
	Body []Member
	Key  AccessKey
}

// Member is a top-level member of a request body: its name and its JSON value.
type Member struct {
	Name, Value []byte

	decoded ref.Val // once it was read: many strategies may read it
}

// AccessKey is the client's access key.
type AccessKey struct {
	ID, Name string
	Metadata map[string]any
}

// headers is req.headers: a map from names in lower case to lists.
type headers struct {
	mapBase
	all  iter.Seq2[string, string]
	read []headerValues // what was looked up in this evaluation
}

type headerValues struct {
	name string
	list ref.Val
}

// values returns the values of a header. The list is empty if it was not sent.
func (h *headers) values(name string) ref.Val {
	name = strings.ToLower(name)
	for _, known := range h.read {
		if known.name == name {
			return known.list
		}
	}
	list := ref.Val(noHeader)
	if h.all != nil && header.RuleOf(name).Readable() {
		var vals []ref.Val
		for n, v := range h.all {
			if n == name {
				vals = append(vals, text(v))
			}
		}
		if vals != nil {
			list = headerList{listOf(vals).(traits.Lister)}
		}
	}
	h.read = append(h.read, headerValues{name, list})
	return list
}

// headerList is the list of a header's values. As text they are joined.
type headerList struct{ traits.Lister }

var noHeader = headerList{emptyList.(traits.Lister)}

func (l headerList) joined() string {
	var out []string
	for it := l.Iterator(); it.HasNext() == types.True; {
		out = append(out, string(it.Next().(types.String)))
	}
	return strings.Join(out, ", ")
}

func (h *headers) names() []string {
	var names []string
	seen := map[string]bool{}
	if h.all != nil {
		for n := range h.all {
			if !seen[n] && header.RuleOf(n).Readable() {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	return names
}

func (h *headers) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	list := h.values(string(name))
	return list, list != ref.Val(noHeader)
}

func (h *headers) Get(key ref.Val) ref.Val { v, _ := h.Find(key); return v }

func (h *headers) Contains(key ref.Val) ref.Val {
	v, found := h.Find(key)
	if types.IsError(v) {
		return v
	}
	return types.Bool(found)
}

func (h *headers) Size() ref.Val             { return types.Int(len(h.names())) }
func (h *headers) Iterator() traits.Iterator { return &nameIterator{left: h.names()} }
func (h *headers) Equal(v ref.Val) ref.Val   { return types.Bool(v == ref.Val(h)) }
func (h *headers) Value() any                { return h }

// body is req.body: the members by name. Each is decoded when it is first read.
type body struct {
	mapBase
	members []Member
}

func (b *body) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	for i := len(b.members) - 1; i >= 0; i-- {
		if string(b.members[i].Name) == string(name) {
			return b.members[i].value(), true
		}
	}
	return types.NullValue, false
}

func (m *Member) value() ref.Val {
	if m.decoded == nil {
		m.decoded = jsonOf(m.Value)
	}
	return m.decoded
}

func (b *body) Get(key ref.Val) ref.Val { v, _ := b.Find(key); return v }

// Contains does not decode the member.
func (b *body) Contains(key ref.Val) ref.Val {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key)
	}
	for _, m := range b.members {
		if string(m.Name) == string(name) {
			return types.True
		}
	}
	return types.False
}

func (b *body) names() []string {
	var names []string
	seen := make(map[string]bool, len(b.members))
	for _, m := range b.members {
		if name := string(m.Name); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

func (b *body) Size() ref.Val             { return types.Int(len(b.names())) }
func (b *body) Iterator() traits.Iterator { return &nameIterator{left: b.names()} }
func (b *body) Equal(v ref.Val) ref.Val   { return types.Bool(v == ref.Val(b)) }
func (b *body) Value() any                { return b }

// mapBase has the methods of a CEL map that do not read entries.
type mapBase struct{}

func (mapBase) Type() ref.Type { return types.MapType }

func (mapBase) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return types.MapType
	}
	return types.NewErrFromString("no such conversion")
}

func (mapBase) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a part of the request has no form of type %s", t)
}

type nameIterator struct {
	iteratorBase
	left []string
}

func (it *nameIterator) HasNext() ref.Val { return types.Bool(len(it.left) > 0) }

func (it *nameIterator) Next() ref.Val {
	name := it.left[0]
	it.left = it.left[1:]
	return text(name)
}

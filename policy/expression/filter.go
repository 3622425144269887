package expression

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// filters are the functions that keep some models of a list, by name. Each turns its
// arguments into a predicate.
var filters = map[string]func(args []ref.Val) (func(*Model) bool, error){
	"only":            byWords((*Model).is, true),
	"ignore":          byWords((*Model).is, false),
	"onlyProviders":   byWords((*Model).of, true),
	"ignoreProviders": byWords((*Model).of, false),
	"onlyAuthors":     byWords((*Model).by, true),
	"ignoreAuthors":   byWords((*Model).by, false),
	"inRegion":        byWords(inMetadata("region", "regions"), true),
	"inCountryCode":   byWords(inMetadata("country_code", "country_codes"), true),
	"underCost":       underCost,
}

func (m *Model) by(author string) bool { return strings.EqualFold(m.AuthorID, author) }

// byWords keeps (or leaves out) the models that match one of the words. The words are one
// argument: a string or a list of strings.
func byWords(means func(*Model, string) bool, keep bool) func([]ref.Val) (func(*Model) bool, error) {
	return func(args []ref.Val) (func(*Model) bool, error) {
		words, err := wordsOf(args[0])
		if err != nil {
			return nil, err
		}
		return func(m *Model) bool {
			for _, w := range words {
				if means(m, w) {
					return keep
				}
			}
			return !keep
		}, nil
	}
}

// maxWords bounds lists of ids, which may come from a request.
const maxWords = 1000

func wordsOf(v ref.Val) ([]string, error) {
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.String:
		return []string{string(v)}, nil
	case traits.Lister:
		var words []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			if len(words) == maxWords {
				return nil, safef("a list of ids is longer than %d", maxWords)
			}
			switch w := it.Next().(type) {
			case types.String:
				words = append(words, string(w))
			case types.Null:
			default:
				return nil, safef("a list of ids contains a %s", w.Type().TypeName())
			}
		}
		return words, nil
	}
	return nil, safef("ids are strings, not a %s", v.Type().TypeName())
}

// inMetadata looks for a word under two names in the metadata, and in each of its
// datacenters.
func inMetadata(one, many string) func(*Model, string) bool {
	in := func(where any, word string) bool {
		if s, ok := where.(string); ok {
			return strings.EqualFold(s, word)
		}
		list, _ := where.([]any)
		for _, e := range list {
			if s, ok := e.(string); ok && strings.EqualFold(s, word) {
				return true
			}
		}
		return false
	}
	return func(m *Model, word string) bool {
		if in(m.Metadata[one], word) || in(m.Metadata[many], word) {
			return true
		}
		datacenters, _ := m.Metadata["datacenters"].([]any)
		for _, d := range datacenters {
			if center, ok := d.(map[string]any); ok && (in(center[one], word) || in(center[many], word)) {
				return true
			}
		}
		return false
	}
}

// priceTypes are what underCost takes.
var priceTypes = map[string]func(*Pricing) Price{
	"input":       func(p *Pricing) Price { return p.Input },
	"output":      func(p *Pricing) Price { return p.Output },
	"cache_read":  func(p *Pricing) Price { return p.CacheRead },
	"cache_write": func(p *Pricing) Price { return p.CacheWrite },

	"text.input":             func(p *Pricing) Price { return p.Input },
	"text.output":            func(p *Pricing) Price { return p.Output },
	"text.input_cache_read":  func(p *Pricing) Price { return p.CacheRead },
	"text.input_cache_write": func(p *Pricing) Price { return p.CacheWrite },
}

const priceTypeNames = "input, output, cache_read, cache_write"

func underCost(args []ref.Val) (func(*Model) bool, error) {
	name, _ := args[0].(types.String)
	of := priceTypes[string(name)]
	if of == nil {
		return nil, safef("unknown type of price in underCost: write one of %s", priceTypeNames)
	}
	var limit float64
	switch v := args[1].(type) {
	case types.Double:
		limit = float64(v)
	case types.Int:
		limit = float64(v)
	case types.Null:
		limit = math.Inf(-1)
	default:
		return nil, safef("a price is a number, not a %s", v.Type().TypeName())
	}
	return func(m *Model) bool {
		p := of(&m.Pricing)
		return p.Known && p.USD < limit
	}, nil
}

// filterModels returns a filter as CEL calls it. The list of only and ignore may also
// contain providers or authors.
func filterModels(name string) func(args ...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		models, bad := modelsOf(args[0])
		if bad != nil {
			if l, ok := args[0].(traits.Lister); ok && (name == "only" || name == "ignore") {
				return filterNamed(l, args[1], name == "only")
			}
			return bad
		}
		keep, err := filters[name](args[1:])
		if err != nil {
			return types.WrapErr(err)
		}
		var kept []*Model
		for _, m := range models {
			if keep(m) {
				kept = append(kept, m)
			}
		}
		return &modelList{kept}
	}
}

func filterNamed(list traits.Lister, ids ref.Val, keep bool) ref.Val {
	words, err := wordsOf(ids)
	if err != nil {
		return types.WrapErr(err)
	}
	var kept []ref.Val
	for it := list.Iterator(); it.HasNext() == types.True; {
		v := it.Next()
		if slices.ContainsFunc(words, func(w string) bool { return isNamed(v, w) }) == keep {
			kept = append(kept, v)
		}
	}
	return listOf(kept)
}

// isNamed reports whether a word is the name of a provider or an author.
func isNamed(v ref.Val, word string) bool {
	if o, ok := v.(*object); ok {
		switch of := o.of.(type) {
		case *offer:
			return named(word, of.provider.ID, of.provider.IDAliases)
		case *author:
			return named(word, of.id, nil)
		}
	}
	return false
}

// getByID returns the first element with an id, or null. It is get(id), and
// get(provider, model) of a list of models.
func getByID(args ...ref.Val) ref.Val {
	words, err := wordsOf(listOf(args[1:]))
	if err != nil {
		return types.WrapErr(err)
	}
	list, ok := args[0].(traits.Lister)
	if !ok {
		return nullOrMismatch(args[0])
	}
	if len(words) != len(args)-1 {
		return types.NullValue // an id was missing
	}
	for it := list.Iterator(); it.HasNext() == types.True; {
		v := it.Next()
		o, _ := v.(*object)
		if o == nil {
			continue
		}
		m, isModel := o.of.(*Model)
		switch {
		case isModel && len(words) == 2:
			if m.of(words[0]) && named(words[1], m.ID, m.IDAliases) {
				return v
			}
		case isModel && m.is(words[0]), isNamed(v, words[0]):
			return v
		}
	}
	return types.NullValue
}

// getModel returns a model of a provider, or null.
func getModel(provider, id ref.Val) ref.Val {
	if o, ok := provider.(*object); ok {
		if p, ok := o.of.(*offer); ok {
			return getByID(&p.models, id)
		}
	}
	return nullOrMismatch(provider)
}

// metadataAt is getMetadata. The path is keys joined by dots.
func metadataAt(v, path ref.Val) ref.Val {
	o, ok := v.(*object)
	if !ok {
		return nullOrMismatch(v)
	}
	keys, ok := path.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(path)
	}
	at, _ := o.field("metadata")
	if whole := at.(traits.Mapper).Get(keys); !types.IsError(whole) {
		return whole // a key that itself has dots
	}
	for key := range strings.SplitSeq(string(keys), ".") {
		if at = lookup(at, types.String(key)); at == types.NullValue {
			break
		}
	}
	return at
}

func nullOrMismatch(v ref.Val) ref.Val {
	if v == types.NullValue {
		return v
	}
	return types.MaybeNoSuchOverloadErr(v)
}

// safeError is an error that is safe to log: it contains nothing of a request.
type safeError struct{ error }

func (e safeError) Unwrap() error { return e.error }

func safef(format string, args ...any) error { return safeError{fmt.Errorf(format, args...)} }

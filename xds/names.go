package xds

import (
	"maps"
	"slices"
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
)

// removeMatching removes every header whose whole name matches a pattern.
func removeMatching(pattern string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
		RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: matching(pattern)},
	}}
}

// anyOf returns a pattern that matches the names of a list. A name that ends in '*'
// matches every name that begins with the rest.
func anyOf(names []string) string { return newTrie(names).among() }

// noneOf returns a pattern that matches every name except those of a list: Envoy can
// only remove headers that match a pattern, not those that do not.
func noneOf(names []string) string { return newTrie(names).beside() }

// trie holds a list of names, character by character.
type trie struct {
	name     bool // a name ends here
	all      bool // whatever follows is a name too
	children map[byte]*trie
}

func newTrie(names []string) *trie {
	root := &trie{}
	for _, name := range names {
		prefix, all := strings.CutSuffix(name, "*")
		at := root
		for i := range len(prefix) {
			if at.children == nil {
				at.children = map[byte]*trie{}
			}
			if at.children[prefix[i]] == nil {
				at.children[prefix[i]] = &trie{}
			}
			at = at.children[prefix[i]]
		}
		at.name, at.all = at.name || !all, at.all || all
	}
	return root
}

// among returns a pattern for the rest of a name that is in the list.
func (t *trie) among() string {
	if t.all {
		return ".*"
	}
	var ways []string
	if t.name {
		ways = append(ways, "")
	}
	for _, c := range slices.Sorted(maps.Keys(t.children)) {
		ways = append(ways, escaped(c)+t.children[c].among())
	}
	return group(ways)
}

// beside returns a pattern for the rest of a name that is not in the list. If there is
// no such name, it matches nothing.
func (t *trie) beside() string {
	if t.all {
		return ""
	}
	var ways []string
	if !t.name {
		ways = append(ways, "")
	}
	letters := slices.Sorted(maps.Keys(t.children))
	if len(letters) == 0 {
		ways = append(ways, ".+")
	} else {
		var class strings.Builder
		for _, c := range letters {
			class.WriteString(escaped(c))
		}
		ways = append(ways, "[^"+class.String()+"].*")
	}
	for _, c := range letters {
		if !t.children[c].all {
			ways = append(ways, escaped(c)+t.children[c].beside())
		}
	}
	return group(ways)
}

func group(ways []string) string {
	if len(ways) == 1 {
		return ways[0]
	}
	return "(?:" + strings.Join(ways, "|") + ")"
}

// escaped returns a pattern that matches one character; it is also valid inside
// brackets.
func escaped(c byte) string {
	if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
		return string(c)
	}
	return `\` + string(c)
}

package xds

import (
	"regexp"
	"testing"

	"weir/policy"
)

// TestNamePatterns compares the patterns with a plain look-up: for every name of
// the lists, and what differs from one in a letter.
func TestNamePatterns(t *testing.T) {
	for _, list := range [][]string{
		{"a"}, {"a*"}, {"a", "ab*", "abc"}, {"x-a", "x-b*", ":*"}, {"content-type", "content-length", "x.y", "*"},
		append(policy.ReturnedHeaders(), ":*"), policy.NeverReturned(),
	} {
		has := func(name string) bool {
			for _, n := range list {
				if n == name || n[len(n)-1] == '*' && len(name) >= len(n)-1 && name[:len(n)-1] == n[:len(n)-1] {
					return true
				}
			}
			return false
		}
		among := regexp.MustCompile("^(?:" + anyOf(list) + ")$")
		all := len(list[len(list)-1]) == 1 && list[len(list)-1] == "*"
		var beside *regexp.Regexp
		if !all {
			beside = regexp.MustCompile("^(?:" + noneOf(list) + ")$")
		}
		check := func(name string) {
			if name == "" {
				return
			}
			if got := among.MatchString(name); got != has(name) {
				t.Errorf("%q: anyOf(%.60q) matches: %t", name, list, got)
			}
			if beside != nil && beside.MatchString(name) == has(name) {
				t.Errorf("%q: noneOf(%.60q) matches: %t", name, list, has(name))
			}
		}
		names := append([]string{"z", "set-cookie", ":status", "x-echo", "content-typ", "host"}, list...)
		for _, name := range names {
			stem := name
			if stem[len(stem)-1] == '*' {
				stem = stem[:len(stem)-1]
			}
			check(stem)
			check(stem + "x")
			check("x" + stem)
			for i := range stem {
				check(stem[:i])
				check(stem[:i] + "q" + stem[i+1:])
				check(stem[:i] + "-" + stem[i:])
			}
		}
	}
}

// TestReturnedIsNotNever: of the default list, nothing never passes.
func TestReturnedIsNotNever(t *testing.T) {
	never := regexp.MustCompile("^(?:" + anyOf(policy.NeverReturned()) + ")$")
	for _, name := range policy.ReturnedHeaders() {
		if name[len(name)-1] == '*' {
			name = name[:len(name)-1] + "x"
		}
		if never.MatchString(name) {
			t.Errorf("%s", name)
		}
	}
}

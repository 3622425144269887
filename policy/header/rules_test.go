package header_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/metadata"
	"weir/policy/header"
)

func TestRuleOf(t *testing.T) {
	for name, want := range map[string]header.Rule{
		":authority":        {Pseudo: true, Passes: header.Replaced},
		metadata.HopHeader:  {Reserved: true, Passes: header.Replaced},
		"connection":        {OneHop: true, Reserved: true},
		"content-type":      {Reserved: true, Passes: header.Always},
		"accept-encoding":   {Passes: header.Always},
		"anthropic-version": {Passes: header.Always},
		"x-envoy-upstream":  {Internal: true, Added: true, Reserved: true, Passes: header.Never},
		"x-weir-plan":       {Internal: true, Reserved: true, Passes: header.Never},
		"authorization":     {Credential: true, Passes: header.Never},
		"x-api-key":         {Credential: true, Passes: header.Never},
		"cookie":            {Hidden: true, Credential: true, Passes: header.Never},
		"x-real-ip":         {Passes: header.Never},
		"x-forwarded-for":   {Reserved: true, Passes: header.Never},
		"x-forwarded-proto": {Internal: true, Added: true, Reserved: true, Passes: header.Never}, // its own rule, not that of its prefix
		"x-request-id":      {Internal: true, Added: true, Passes: header.Always},
		"x-unknown":         {},
		"x-envoy":           {}, // shorter than the prefix
		"xx-weir-plan":      {},
		"":                  {},
	} {
		if got := header.RuleOf(name); got != want {
			t.Errorf("%q: %+v, want %+v", name, got, want)
		}
	}
}

// What must hold for every row, whatever is added to the table.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for name, rule := range header.All() {
		if name != strings.ToLower(name) || strings.Contains(strings.TrimSuffix(name, "*"), "*") {
			t.Errorf("%q is not a name in lower case, or a prefix", name)
		}
		if seen[name] {
			t.Errorf("%s has two rules", name)
		}
		seen[name] = true
		for _, example := range []string{strings.TrimSuffix(name, "*"), strings.Replace(name, "*", "x", 1)} {
			if strings.HasSuffix(name, "*") && seen[example] {
				continue // has a rule of its own
			}
			if got := header.RuleOf(example); got != rule {
				t.Errorf("%s: %+v, want the rule of %s, %+v", example, got, name, rule)
			}
			if got := header.IsAdded(example); got != rule.Added {
				t.Errorf("IsAdded(%q) is %v", example, got)
			}
		}
		if rule.Credential && (rule.Passes != header.Never || rule.Readable()) {
			t.Errorf("%s holds a credential, and passes to a provider or to an expression", name)
		}
		if rule.Internal && !rule.Reserved && rule.Passes == header.Never {
			t.Errorf("%s is internal, and a configuration can set it", name)
		}
		if rule.Hidden && rule.Passes != header.Never {
			t.Errorf("%s is hidden from Weir, which cannot decide whether it passes", name)
		}
		if rule.OneHop && !rule.Reserved {
			t.Errorf("%s concerns one connection, and a configuration can set it", name)
		}
	}
	if header.IsAdded("x-unknown") {
		t.Error("a header without a rule is added")
	}
}

// Every name that never passes is stripped, by its name or by a prefix, and by one only.
func TestStripped(t *testing.T) {
	names, prefixes := header.Stripped()
	covers := func(name string) (n int) {
		for _, p := range prefixes {
			if strings.HasPrefix(name, strings.TrimSuffix(p, "*")) {
				n++
			}
		}
		if slices.Contains(names, name) {
			n++
		}
		return n
	}
	for name, rule := range header.All() {
		name = strings.Replace(name, "*", "x", 1)
		want := 0
		if rule.Passes == header.Never {
			want = 1
		}
		if got := covers(name); got != want {
			t.Errorf("%s is stripped %d times, want %d", name, got, want)
		}
	}
}

// What a caller does with the lists does not change the table.
func TestListsAreCopies(t *testing.T) {
	internal := func(r header.Rule) bool { return r.Internal }
	want := fmt.Sprint(header.With(internal))
	clear(header.With(internal))
	names, prefixes := header.Stripped()
	clear(names)
	clear(prefixes)
	if got := fmt.Sprint(header.With(internal)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, _ := header.Stripped(); slices.Contains(got, "") {
		t.Errorf("stripped: %q", got)
	}
}

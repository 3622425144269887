package body

import "strings"

// NameSet is a set of names in lower case, and of prefixes of names.
type NameSet struct {
	Exact    map[string]bool
	Prefixes []string
}

// NamesOf returns the set of the names in a list, in lower case. A name that ends in '*'
// stands for all names that begin so.
func NamesOf(list []string) *NameSet {
	s := &NameSet{Exact: map[string]bool{}}
	for _, name := range list {
		if prefix, ok := strings.CutSuffix(strings.ToLower(name), "*"); ok {
			s.Prefixes = append(s.Prefixes, prefix)
		} else {
			s.Exact[strings.ToLower(name)] = true
		}
	}
	return s
}

// Has reports whether a name in lower case is in the set. The nil set is empty.
func (s *NameSet) Has(name string) bool {
	if s == nil {
		return false
	}
	if s.Exact[name] {
		return true
	}
	for _, prefix := range s.Prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// HasKey is Has for a folded body key.
func (s *NameSet) HasKey(folded []byte) bool {
	if s == nil {
		return false
	}
	if s.Exact[string(folded)] {
		return true
	}
	for _, prefix := range s.Prefixes {
		if len(folded) >= len(prefix) && string(folded[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

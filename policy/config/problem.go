package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is a mistake in a configuration: where it is and how to correct it. Decode reports
// values that cannot be read; package policy reports values that make no sense together.
type Problem struct {
	File         string
	Line, Column int    // from 1; 0 if the place is not known
	Path         string // on_http_request[0].config.providers[1].base_url
	Message      string
	// Unread is the path of the value that is not known because of this problem: a value
	// of the wrong kind, or base_url if the file has baseurl. That this value is missing
	// is not reported as another problem.
	Unread string
}

// String returns the problem on one line:
// `weir.yaml:14: on_http_request[0].config.providers[1].base_url: …`.
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where += ":" + strconv.Itoa(p.Line)
	}
	if p.Path != "" {
		where += ": " + p.Path
	}
	return oneLine(where + ": " + p.Message)
}

// oneLine replaces line breaks and characters that are not printable: paths and messages
// repeat keys of the file, and a terminal must not interpret these.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Problems are all mistakes in a configuration. As an error, they have one line each.
type Problems []Problem

// Error returns all problems in the order of the file, one per line.
func (ps Problems) Error() string {
	sorted := slices.Clone(ps)
	sorted.Sort()
	lines := make([]string, len(sorted))
	for i, p := range sorted {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns the problems as an error, or nil if there are none. An empty Problems in a
// variable of type error would not be nil.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Sort sorts the problems in the order of the file. Problems at the same place keep their
// order.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

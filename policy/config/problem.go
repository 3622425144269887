package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one mistake in a configuration, with its place.
type Problem struct {
	File         string
	Line, Column int    // from 1; 0 where the place is not known
	Path         string // on_http_request[0].config.providers[1].base_url
	Message      string
	// Unread is the path of a value that is unknown because of this problem: one of
	// the wrong kind, or base_url where the file has baseurl. That it is missing is
	// not another problem.
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

// oneLine keeps a problem on its line: keys of the file stand in paths and
// messages, and a log or a terminal must not act on what is in them.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// Problems are all mistakes in a configuration.
type Problems []Problem

// Error returns all problems, one a line, in the order of the file.
func (ps Problems) Error() string {
	sorted := slices.Clone(ps)
	sorted.Sort()
	lines := make([]string, len(sorted))
	for i, p := range sorted {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns the problems as an error, nil where there are none: an empty
// Problems in an error variable would not be nil.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Sort puts the problems in the order of the file. It is stable, so what was
// found first on a line stays first.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

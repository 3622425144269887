// Package nearest finds the known names that are similar to a misspelled one, for "did you
// mean …?". It depends on nothing else: names are compared by their edit distance alone.
package nearest

import (
	"slices"
	"strings"
)

// Bounds on the work for a word from a client: there are at most maxNames distances, and each
// takes at most maxLength rows of seven steps.
const (
	maxLength = 64   // bytes of a word or a name; longer ones are not compared
	maxNames  = 2000 // names that are compared; a catalogue has a few hundred
)

// Names returns at most n of the known names that are similar to word, the most similar
// first; equally similar ones keep their order. Case is ignored.
//
// At most a third of the word's letters may differ, at least one and at most three. A higher
// limit would suggest unrelated names of a similar length.
func Names(word string, known []string, n int) []string {
	if word == "" || len(word) > maxLength || n <= 0 {
		return nil
	}
	want := []rune(strings.ToLower(word))
	limit := min(max(len(want)/3, 1), 3)
	byDistance := make([][]string, limit+1)
	for _, name := range known[:min(len(known), maxNames)] {
		if len(name) > maxLength {
			continue
		}
		if d := editDistance(want, []rune(strings.ToLower(name)), limit); d <= limit && !slices.Contains(byDistance[d], name) {
			byDistance[d] = append(byDistance[d], name)
		}
	}
	found := slices.Concat(byDistance...)
	return found[:min(len(found), n)]
}

// editDistance returns the Damerau-Levenshtein distance in its restricted form (optimal string
// alignment): the number of insertions, deletions, replacements and swaps of neighbors. It
// returns limit+1 if the distance is over limit, and therefore computes only the band of the
// matrix that can be within the limit.
func editDistance(a, b []rune, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var rows [3][maxLength + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		low, high := max(1, i-limit), min(len(b), i+limit)
		row[low-1] = limit + 1
		if low == 1 {
			row[0] = i
		}
		if high < len(b) {
			row[high+1] = limit + 1
		}
		best := row[low-1]
		for j := low; j <= high; j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			best = min(best, row[j])
		}
		if best > limit {
			return limit + 1
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit+1)
}

// Package nearest finds the names that a misspelled word was probably meant to
// be. It imports nothing of Weir.
package nearest

import (
	"slices"
	"strings"
)

// What bounds the work for a word that a client wrote: a distance costs at
// most maxLength rows of seven steps, and there are at most maxNames
// of them.
const (
	maxLength = 64   // bytes of a word or a name; longer ones are not compared
	maxNames  = 2000 // names looked at; a catalogue has some hundreds
)

// Names returns the at most n known names that word was probably meant to be,
// the best first, equally good ones in their order. Case does not count.
//
// A third of the word's letters may be wrong, at most three: more would
// suggest names that only happen to be as short.
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

// editDistance is the Damerau-Levenshtein distance in its restricted form
// (optimal string alignment): insertions, deletions, replacements, and swaps
// of neighbours. It stops with limit+1 where the distance is over limit, and
// so looks only at the band of the matrix that can stay under it.
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

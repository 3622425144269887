package nearest

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	fields := []string{"id", "id_aliases", "base_url", "api_keys", "models", "metadata", "headers", "Base_URL"}
	for _, c := range []struct {
		word string
		n    int
		want string
	}{
		{"base_ur", 1, "base_url"},
		{"base_ur", 2, "base_url Base_URL"},
		{"baseurl", 1, "base_url"},
		{"bsae_url", 1, "base_url"}, // a swap is one step
		{"BASE_URL", 1, "base_url"},
		{"api_key", 1, "api_keys"},
		{"model", 1, "models"},
		{"metdata", 3, "metadata"},
		{"ip", 1, "id"},
		{"omdesl", 1, "models"}, // two swaps
		{"mdoxyz", 1, ""},
		{"", 1, ""},
		{"base_url", 0, ""},
		{"xxxxxxxx", 3, ""},
		{strings.Repeat("a", 65), 1, ""},
	} {
		if got := strings.Join(Names(c.word, fields, c.n), " "); got != c.want {
			t.Errorf("Names(%q, %d) = %q, want %q", c.word, c.n, got, c.want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 3, 0}, {"", "abc", 3, 3}, {"abc", "", 3, 3}, {"abc", "abc", 0, 0},
		{"abc", "acb", 3, 1}, {"abcd", "badc", 3, 2}, {"ca", "abc", 3, 3}, // restricted: not 2
		{"kitten", "sitting", 3, 3}, {"kitten", "sitting", 2, 3}, {"größe", "grosse", 3, 3}, {"abc", "xyz", 2, 3},
	} {
		if got := editDistance([]rune(c.a), []rune(c.b), c.limit); got != c.want {
			t.Errorf("editDistance(%q, %q, %d) = %d, want %d", c.a, c.b, c.limit, got, c.want)
		}
		if got := editDistance([]rune(c.b), []rune(c.a), c.limit); got != c.want {
			t.Errorf("editDistance(%q, %q, %d) = %d, want %d", c.b, c.a, c.limit, got, c.want)
		}
	}
}

// TestEditDistanceBand: for all short words, the distance is the one that the whole matrix
// gives.
func TestEditDistanceBand(t *testing.T) {
	words := [][]rune{{}}
	for i := 0; len(words) < 121; i++ { // up to four letters
		for _, r := range "abc" {
			words = append(words, append(words[i][:len(words[i]):len(words[i])], r))
		}
	}
	for _, a := range words {
		for _, b := range words {
			whole := editDistance(a, b, maxLength)
			for limit := range 4 {
				if got, want := editDistance(a, b, limit), min(whole, limit+1); got != want {
					t.Fatalf("editDistance(%q, %q, %d) = %d, want %d", string(a), string(b), limit, got, want)
				}
			}
		}
	}
}

// BenchmarkHostile compares the longest word with more names than are compared.
func BenchmarkHostile(b *testing.B) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = strings.Repeat("ab", 32)
	}
	for b.Loop() {
		Names(strings.Repeat("ba", 32), names, 3)
	}
}

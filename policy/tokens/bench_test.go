package tokens

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkExceeds tokenizes prompts of 1 MiB to their end: ordinary ones, and those that a
// hostile client would choose.
func BenchmarkExceeds(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	of := func(alphabet string) string {
		var text strings.Builder
		for runes := []rune(alphabet); text.Len() < 1<<20; {
			text.WriteRune(runes[random.IntN(len(runes))])
		}
		return text.String()
	}
	repeat := func(unit string) string { return strings.Repeat(unit, 1<<20/len(unit)) }
	var han strings.Builder
	for r := '\u4e00'; r < '\u9fff'; r++ {
		han.WriteRune(r)
	}
	for _, bb := range []struct{ name, text string }{
		{"prose", repeat("We hold these truths to be self-evident, that all men are created equal, that they are endowed by their Creator. ")},
		{"code", repeat("func add(a, b int) int {\n\t// The sum.\n\treturn a + b\n}\n\n")},
		{"Chinese", repeat("人人生而自由,在尊严和权利上一律平等。")},
		{"base64", of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")},
		{"one letter", repeat("a")},
		{"random letters", of("abcdefghijklmnopqrstuvwxyz")},
		{"random Han", of(han.String())},
		{"punctuation", repeat("!")},
		{"spaces", repeat(" ")},
		{"white space", repeat("\n \t")},
		{"marks", repeat("\u0301")},
	} {
		body, err := json.Marshal(map[string]any{"prompt": bb.text})
		if err != nil {
			b.Fatal(err)
		}
		limit := all(string(body))
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.text)))
			b.ReportAllocs()
			for b.Loop() {
				Exceeds(body, limit)
			}
		})
	}
}

// BenchmarkExceedsIsCertain: requests that are not tokenized, because the result is certain.
func BenchmarkExceedsIsCertain(b *testing.B) {
	body := []byte(`{"prompt":"` + strings.Repeat("the quick brown fox ", 50_000) + `"}`)
	for name, limit := range map[string]int{"small": len(body), "absurd": 1000} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Exceeds(body, limit)
			}
		})
	}
}

// BenchmarkEstimate estimates a request of 1 KiB.
func BenchmarkEstimate(b *testing.B) {
	body := []byte(`{"messages":[{"role":"user","content":"` + strings.Repeat("word ", 200) + `"}]}`)
	var e Estimator
	b.ReportAllocs()
	for b.Loop() {
		e.Estimate(body)
	}
}

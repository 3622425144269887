package tokens

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestVocabularyIsTiktokens: openai_public.py of tiktoken has this checksum of the file.
func TestVocabularyIsTiktokens(t *testing.T) {
	const want = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
	v, sum := load(), sha256.New()
	for rank := range v.at {
		fmt.Fprintf(sum, "%s %d\n", base64.StdEncoding.EncodeToString(v.token(rank)), rank)
	}
	if got := fmt.Sprintf("%x", sum.Sum(nil)); got != want {
		t.Errorf("the vocabulary has checksum %s, want %s", got, want)
	}
}

func TestVocabularyFindsEveryToken(t *testing.T) {
	v := load()
	for want := range v.at {
		if got := v.rank(v.token(want)); got != uint32(want) {
			t.Fatalf("%q has rank %d, want %d", v.token(want), got, want)
		}
	}
	for i := range 256 {
		if v.rank([]byte{byte(i)}) == noRank {
			t.Errorf("byte %#x is not a token: not all text can be tokenized", i)
		}
	}
}

func TestVocabularyThatIsBroken(t *testing.T) {
	for _, packed := range [][]byte{nil, []byte("no gzip"), packed[:len(packed)/2]} {
		if _, err := unpack(packed); err == nil {
			t.Errorf("%d bytes were unpacked without an error", len(packed))
		}
	}
}

// The counts are those of tiktoken 0.14.0, encode_ordinary.
func TestCountsAreTiktokens(t *testing.T) {
	file, err := os.Open("testdata/tiktoken.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	for lines := bufio.NewScanner(file); lines.Scan(); n++ {
		var want int
		var text string
		if err := json.Unmarshal(lines.Bytes(), &[]any{&want, &text}); err != nil {
			t.Fatal(err)
		}
		if got := load().count([]byte(text)); got != want {
			t.Errorf("%q has %d tokens, want %d", text, got, want)
		}
	}
	if n < 500 {
		t.Errorf("compared %d texts", n)
	}
}

// TestLongWords: words longer than maxWord are split, which adds few tokens. The counts are
// those of tiktoken.
func TestLongWords(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int
	}{
		{strings.Repeat("a", 10_000), 1250},
		{strings.Repeat("ab", 5_000), 2500},
		{strings.Repeat("Pneumonoultramicroscopicsilicovolcanoconiosis", 200), 3000},
		{strings.Repeat("人人生而自由在尊严和权利上一律平等", 300), 4200},
		{strings.Repeat("มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน", 100), 2000},
		{strings.Repeat(" ", 10_000), 79},
		{strings.Repeat("\n \t", 3_000), 3001},
	} {
		got := load().count([]byte(tt.text))
		if got < tt.want || got > tt.want+tt.want/100 {
			t.Errorf("%.30q… has %d tokens, want %d or 1 %% more", tt.text, got, tt.want)
		}
	}
}

// FuzzWord: all bytes are in a word, and no word is too long.
func FuzzWord(f *testing.F) {
	f.Add([]byte("it's a\xff\u0301 12345 \n\n x  y"))
	f.Add(bytes.Repeat([]byte("A"), 3*maxWord))
	f.Add(bytes.Repeat([]byte("\u0301"), maxWord))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, words, tokens := load(), 0, 0
		for rest := text; len(rest) > 0; words++ {
			n := v.word(rest)
			if n < 1 || n > maxWord || n > len(rest) {
				t.Fatalf("%q starts with a word of %d bytes", rest, n)
			}
			tokens += v.merge(rest[:n])
			rest = rest[n:]
		}
		if tokens < words || tokens > len(text) {
			t.Errorf("%q: %d words, %d tokens", text, words, tokens)
		}
	})
}

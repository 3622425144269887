package tokens

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"hash/maphash"
	"io"
	"math"
	"sync"
)

// packed is o200k_base, the vocabulary of OpenAI's models since gpt-4o: its tokens in the
// order of their ranks, each after a byte with its length. A test compares it with the
// checksum of the file that tiktoken loads. Its license is LICENSE.o200k_base.
//
//go:embed o200k_base.gz
var packed []byte

// noRank is the rank of text that is not a token.
const noRank = math.MaxUint32

// vocabulary has the ranks of tokens and the classes of characters. It does not change after
// unpack.
type vocabulary struct {
	seed  maphash.Seed
	all   []byte   // the tokens with their lengths
	at    []uint32 // by rank, the offset in all of a token's length
	slots []uint32 // by hash, rank + 1 or 0, with linear probing
	class [1 << 16]class
}

// load returns the vocabulary. It unpacks it at the first call.
var load = sync.OnceValue(func() *vocabulary {
	v, err := unpack(packed)
	if err != nil {
		panic("tokens: the vocabulary in this binary: " + err.Error())
	}
	return v
})

func unpack(packed []byte) (*vocabulary, error) {
	const (
		size  = 1598 << 10 // of all, rounded up
		count = 199_998
		slots = 1 << 19 // 40 % are used
	)
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	all := bytes.NewBuffer(make([]byte, 0, size))
	if _, err := io.Copy(all, r); err != nil {
		return nil, err
	}
	v := &vocabulary{
		seed:  maphash.MakeSeed(),
		all:   all.Bytes(),
		at:    make([]uint32, 0, count),
		slots: make([]uint32, slots),
	}
	for at := 0; at < len(v.all); at += 1 + int(v.all[at]) {
		v.at = append(v.at, uint32(at))
		slot := v.slot(v.token(len(v.at) - 1))
		for v.slots[slot] != 0 {
			slot = (slot + 1) % slots
		}
		v.slots[slot] = uint32(len(v.at))
	}
	v.classify()
	return v, nil
}

func (v *vocabulary) token(rank int) []byte {
	at := v.at[rank]
	return v.all[at+1:][:v.all[at]]
}

func (v *vocabulary) slot(text []byte) int {
	return int(maphash.Bytes(v.seed, text) % uint64(len(v.slots)))
}

// rank returns the rank of a token, or noRank if text is not a token.
func (v *vocabulary) rank(text []byte) uint32 {
	for slot := v.slot(text); v.slots[slot] != 0; slot = (slot + 1) % len(v.slots) {
		if r := v.slots[slot] - 1; bytes.Equal(v.token(int(r)), text) {
			return r
		}
	}
	return noRank
}

// count tokenizes text and returns the number of its tokens.
func (v *vocabulary) count(text []byte) (n int) {
	for len(text) > 0 {
		end := v.word(text)
		n += v.merge(text[:end])
		text = text[end:]
	}
	return n
}

// merge returns the number of tokens of a word of at most maxWord bytes. Beginning with its
// bytes, it joins the two neighbors that together are the token of the lowest rank, the
// leftmost first, until no two neighbors are a token (byte pair encoding).
func (v *vocabulary) merge(word []byte) int {
	if len(word) == 1 || v.rank(word) != noRank {
		return 1
	}
	var starts [maxWord + 2]uint16 // of each token; then the end, twice
	var ranks [maxWord]uint32      // of each token joined with the next one
	n := len(word)
	for i := range n - 1 {
		starts[i] = uint16(i)
		ranks[i] = v.rank(word[i : i+2])
	}
	starts[n-1], starts[n], starts[n+1] = uint16(n-1), uint16(n), uint16(n)
	ranks[n-1] = noRank
	for {
		best, lowest := 0, uint32(noRank)
		for i, r := range ranks[:n] {
			if r < lowest {
				best, lowest = i, r
			}
		}
		if lowest == noRank {
			return n
		}
		copy(starts[best+1:n+1], starts[best+2:n+2])
		copy(ranks[best+1:n-1], ranks[best+2:n])
		n--
		for i := max(0, best-1); i <= best; i++ {
			ranks[i] = noRank
			if i+1 < n {
				ranks[i] = v.rank(word[starts[i]:starts[i+2]])
			}
		}
	}
}

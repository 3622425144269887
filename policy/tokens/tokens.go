package tokens

// maxTokenBytes is the most text that one token is taken to stand for, on
// average over a piece. Prose and code have 3 to 10 bytes for a token in any
// script; what has more is padding and lines of dashes.
const maxTokenBytes = 16

// Preload unpacks the vocabulary, so that the first request need not wait.
// Call it where a limit is configured.
func Preload() { load() }

// Exceeds tells whether the estimate of body's input is over limit. It stops
// as soon as that is certain, so atLeast is no more than a lower bound: over
// limit if the body is, and else at most limit.
//
// The body must be a JSON object that has been read without an error. It is
// not kept. Of anything else, what looks like JSON is counted.
func Exceeds(body []byte, limit int) (over bool, atLeast int) {
	if len(body) <= limit {
		return false, 0 // no token has less than a byte of the body
	}
	b := bounds{limit: limit}
	w := walk{cursor: cursor{body: body}}
	w.fixed = func(n int) bool {
		b.lo += n
		b.hi += n
		return b.lo <= limit
	}
	w.piece = func(text []byte) bool {
		b.lo += fewest(text)
		b.hi += len(text)
		return b.lo <= limit
	}
	w.request()
	if b.certain() {
		return b.lo > limit, b.lo
	}
	w = walk{cursor: cursor{body: body}}
	w.fixed = func(int) bool { return true } // known from the first walk
	w.piece = func(text []byte) bool {
		n := estimate(text)
		b.lo += n - fewest(text)
		b.hi -= len(text) - n
		return !b.certain()
	}
	w.request()
	return b.lo > limit, b.lo
}

// bounds closes in on an estimate from both sides.
type bounds struct{ limit, lo, hi int }

func (b *bounds) certain() bool { return b.lo > b.limit || b.hi <= b.limit }

// estimate is the number of tokens of a piece.
func estimate(piece []byte) int {
	least := fewest(piece)
	if least == len(piece) {
		return least
	}
	return max(load().count(piece), least)
}

// fewest is a lower bound of estimate that needs no vocabulary. No token spans
// the place before a space that follows something else.
func fewest(piece []byte) int {
	if len(piece) == 0 {
		return 0
	}
	words := 1
	for i := 1; i < len(piece); i++ {
		if piece[i] == ' ' && isASCIIGraphic(piece[i-1]) {
			words++
		}
	}
	return max(words, (len(piece)+maxTokenBytes-1)/maxTokenBytes)
}

func isASCIIGraphic(c byte) bool { return ' ' < c && c < 0x7F }

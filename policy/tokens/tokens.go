package tokens

// maxTokenBytes is the maximum number of bytes for which one token counts, on average over a
// chunk. Prose and code have 3 to 10 bytes per token in any script; padding and lines of
// dashes have more.
const maxTokenBytes = 16

// Preload unpacks the vocabulary, so that the first request does not wait for it. Call it
// when a limit is configured.
func Preload() { load() }

// Exceeds reports whether the estimate for a request is over limit. It stops as soon as this
// is certain. Therefore atLeast is only a lower bound of the estimate: more than limit if the
// estimate is over limit, otherwise at most limit.
//
// The body must be a valid JSON object. In any other body, what looks like JSON is counted.
// The body is not kept.
func Exceeds(body []byte, limit int) (over bool, atLeast int) {
	if len(body) <= limit {
		return false, 0 // a token needs at least one byte of the body
	}
	b := bounds{limit: limit}
	w := walk{cursor: cursor{body: body}}
	w.fixed = func(n int) bool {
		b.lo += n
		b.hi += n
		return b.lo <= limit
	}
	w.chunk = func(text []byte) bool {
		b.lo += fewest(text)
		b.hi += len(text)
		return b.lo <= limit
	}
	w.request()
	if b.certain() {
		return b.lo > limit, b.lo
	}
	w = walk{cursor: cursor{body: body}}
	w.fixed = func(int) bool { return true } // counted in the first walk
	w.chunk = func(text []byte) bool {
		n := estimate(text)
		b.lo += n - fewest(text)
		b.hi -= len(text) - n
		return !b.certain()
	}
	w.request()
	return b.lo > limit, b.lo
}

// bytesPerToken is how many bytes of text Estimate takes for a token: about as many as in
// English, and in Chinese.
const bytesPerToken = 4

// Estimator estimates the tokens of requests, one after the other. It keeps memory for the
// next one.
type Estimator struct {
	walk        walk
	fixed, text int
}

// Estimate returns about as many tokens as Exceeds counts. It reads the same parts of the
// request, but counts the bytes of text instead of tokenizing it: it is made for every
// request. The body must be a valid JSON object. It is not kept.
func (e *Estimator) Estimate(body []byte) int {
	w := &e.walk
	if w.chunk == nil {
		w.fixed = func(n int) bool {
			e.fixed += n
			return true
		}
		w.chunk = func(text []byte) bool {
			e.text += len(text)
			return true
		}
	}
	e.fixed, e.text = 0, 0
	w.cursor, w.stopped, w.depth, w.used = cursor{body: body}, false, 0, 0
	w.request()
	w.cursor = cursor{}
	return e.fixed + (e.text+bytesPerToken-1)/bytesPerToken
}

// bounds are a lower and an upper bound of an estimate.
type bounds struct{ limit, lo, hi int }

func (b *bounds) certain() bool { return b.lo > b.limit || b.hi <= b.limit }

// estimate returns the number of tokens of a chunk.
func estimate(chunk []byte) int {
	least := fewest(chunk)
	if least == len(chunk) {
		return least
	}
	return max(load().count(chunk), least)
}

// fewest returns a lower bound of estimate without the vocabulary: a token always ends before
// a space that follows another character.
func fewest(chunk []byte) int {
	if len(chunk) == 0 {
		return 0
	}
	words := 1
	for i := 1; i < len(chunk); i++ {
		if chunk[i] == ' ' && isASCIIGraphic(chunk[i-1]) {
			words++
		}
	}
	return max(words, (len(chunk)+maxTokenBytes-1)/maxTokenBytes)
}

func isASCIIGraphic(c byte) bool { return ' ' < c && c < 0x7F }

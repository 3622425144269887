package body

import (
	"bytes"
	"math"
)

// Rebase appends to dst the edits that turn the body of the first attempt (body with the
// edits first) into that of a later attempt (body with the edits later). They cover only
// the bytes in which the two differ.
func Rebase(dst []Edit, body []byte, first, later []Edit) []Edit {
	shift := 0
	for len(first) > 0 || len(later) > 0 {
		// The next region that either of them touches, with all that overlaps or
		// adjoins it, is n edits of the first and m of the later.
		r, n, m := region(first, later)
		was, becomes := within(body, r, first[:n]), within(body, r, later[:m])
		if !bytes.Equal(was, becomes) {
			dst = append(dst, Edit{At: r.Start + shift, Len: len(was), With: becomes})
		}
		shift += len(was) - (r.End - r.Start)
		first, later = first[n:], later[m:]
	}
	return dst
}

// region returns the first range of body that edits of either list cover without a gap,
// and the number of edits in it.
func region(first, later []Edit) (r Span, n, m int) {
	r.Start = math.MaxInt
	for _, list := range [2][]Edit{first, later} {
		if len(list) > 0 && list[0].At < r.Start {
			r = Span{list[0].At, list[0].At}
		}
	}
	for grown := true; grown; {
		grown = false
		for ; n < len(first) && first[n].At <= r.End; n++ {
			r.End, grown = max(r.End, first[n].At+first[n].Len), true
		}
		for ; m < len(later) && later[m].At <= r.End; m++ {
			r.End, grown = max(r.End, later[m].At+later[m].Len), true
		}
	}
	return r, n, m
}

// within returns the part r of body after the edits, all of which are in it. It
// copies only where it must.
func within(body []byte, r Span, edits []Edit) []byte {
	switch {
	case len(edits) == 0:
		return body[r.Start:r.End]
	case len(edits) == 1 && edits[0].At == r.Start && edits[0].Len == r.End-r.Start:
		return edits[0].With
	}
	out := make([]byte, 0, EditedLen(r.End-r.Start, edits))
	at := r.Start
	for _, e := range edits {
		out = append(out, body[at:e.At]...)
		out = append(out, e.With...)
		at = e.At + e.Len
	}
	return append(out, body[at:r.End]...)
}

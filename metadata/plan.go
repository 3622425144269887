package metadata

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"weir/llm/body"
)

// HeaderChange is what a later attempt does to a header of the request as the
// first attempt sent it. An empty value removes it.
type HeaderChange struct{ Name, Value string }

// MaxAttempts is the longest plan.
const MaxAttempts = 10

// encodedPlan is what Encode writes.
type encodedPlan struct {
	Deadline int64            `json:"deadline"` // Unix milliseconds
	Length   int              `json:"length"`   // of the first attempt's body
	Attempts []encodedAttempt `json:"attempts"` // from the second on
}

type encodedAttempt struct {
	Cluster   string        `json:"cluster"`
	Model     string        `json:"model"`
	Path      string        `json:"path"`
	Authority string        `json:"authority"`
	Edits     []encodedEdit `json:"edits"`
	// Headers are those that change; values are base64, as they need not be UTF-8.
	Headers []encodedHeader `json:"headers"`
}

type encodedHeader struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

type encodedEdit struct {
	At   int    `json:"at"`
	Len  int    `json:"len"`
	With string `json:"with"`
}

// Retry is a later attempt as an encoded plan tells it.
type Retry struct {
	Model     string
	Path      string
	Authority string
	Edits     []body.Edit
	Length    int // of the body after the edits
	// Headers are the changes to the headers of the request.
	Headers []HeaderChange
	// Expired says that the time for all attempts is over, Last that no attempt
	// is left after this one.
	Expired, Last bool
}

// DecodeRetry reads attempt n (counted from 1, as Envoy counts) of an encoded
// plan. It refuses when the plan does not fit what Envoy is about to do:
// another cluster than planned, or a body of another length.
func DecodeRetry(encoded string, n int, cluster string, length int, now time.Time) (Retry, error) {
	var e encodedPlan
	if err := json.Unmarshal([]byte(encoded), &e); err != nil {
		return Retry{}, fmt.Errorf("plan: %w", err)
	}
	if n < 2 || n-2 >= len(e.Attempts) {
		return Retry{}, fmt.Errorf("plan has no attempt %d", n)
	}
	a := e.Attempts[n-2]
	if a.Cluster != cluster {
		return Retry{}, fmt.Errorf("attempt %d is planned for cluster %q, Envoy chose %q", n, a.Cluster, cluster)
	}
	if e.Length != length {
		return Retry{}, fmt.Errorf("attempt %d has a body of %d bytes, the plan was made for %d", n, length, e.Length)
	}
	r := Retry{Model: a.Model, Path: a.Path, Authority: a.Authority, Expired: now.UnixMilli() > e.Deadline, Last: n-1 == len(e.Attempts)}
	at := 0
	for _, ed := range a.Edits {
		if ed.At < at || ed.At > length || ed.Len < 0 || ed.Len > length-ed.At {
			return Retry{}, fmt.Errorf("attempt %d has an edit outside of its body", n)
		}
		at = ed.At + ed.Len
		r.Edits = append(r.Edits, body.Edit{At: ed.At, Len: ed.Len, With: []byte(ed.With)})
	}
	r.Length = body.EditedLen(length, r.Edits)
	for _, h := range a.Headers {
		r.Headers = append(r.Headers, HeaderChange{h.Name, string(h.Value)})
	}
	return r, nil
}

// HeaderList writes names that clients sent as the value of one header: a
// list, with everything escaped that could end a name or the header.
func HeaderList(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		for j := 0; j < len(name); j++ {
			if c := name[j]; c <= ' ' || c >= 0x7f || c == ',' || c == '%' || c == '"' {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

package accesslog

import (
	"fmt"
	"slices"
	"testing"

	"weir/metadata"
)

type followed []string

func (f *followed) Running(id, keyID, clientIP string, bytes int64) {
	*f = append(*f, fmt.Sprintf("running %s %s %s %d", id, keyID, clientIP, bytes))
}

// Begun is for the tests that embed a followed.
func (f *followed) Begun(string) {}

func (f *followed) Ended(id string) { *f = append(*f, "ended "+id) }

func TestFollower(t *testing.T) {
	c := metadata.LogContext{ID: "a", Operation: "chat", KeyID: "k", Attempts: []metadata.LoggedAttempt{{Cluster: "c", Model: "m"}}}
	planned := c.Encode()
	for name, c := range map[string]struct {
		entry entry
		want  []string
	}{
		"ended":                    {entry{requestID: "a", context: planned}, []string{"ended a"}},
		"with another id by now":   {entry{requestID: "b", context: planned}, []string{"ended a"}},
		"refused":                  {entry{requestID: "a", context: planned, refused: true}, []string{"ended a"}},
		"ended before a decision":  {entry{requestID: "a"}, []string{"ended a"}},
		"running":                  {entry{requestID: "b", running: true, context: planned, clientIP: "192.0.2.1", bytesIn: 9}, []string{"running a k 192.0.2.1 9"}},
		"a refusal is being read":  {entry{requestID: "a", running: true, context: planned, refused: true}, nil},
		"a body is being uploaded": {entry{requestID: "a", running: true}, nil},
	} {
		for _, log := range []string{metadata.RequestLog, metadata.AttemptLog} {
			t.Run(name+", "+log, func(t *testing.T) {
				var got followed
				records := &sink{}
				r := New(records, &got, func() Names { return noNames{} })
				e := c.entry
				r.take(log, &e)
				r.Flush()
				want := c.want
				if log == metadata.AttemptLog {
					want = nil
				}
				if !slices.Equal(got, want) {
					t.Errorf("told %q, want %q", got, want)
				}
			})
		}
	}
}

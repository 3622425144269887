package accesslog

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	logv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"weir/policy"
)

// noNames knows every model by its own name.
type noNames struct{}

func (noNames) AskedLabel(s string) string        { return s }
func (noNames) ServedLabel(_, sent string) string { return sent }
func (noNames) ProviderKeyOf(string) string       { return "" }

// sink notes records as "attempt id number model status final" and "request id
// attempts status".
type sink struct{ got []string }

func (s *sink) Attempt(a *Attempt) {
	note := fmt.Sprintf("attempt %s %d %s %d", a.RequestID, a.Number, a.ModelLabel, a.Status)
	if a.Final {
		note += " final"
	}
	s.got = append(s.got, note)
}

func (s *sink) Request(q *Request) {
	s.got = append(s.got, fmt.Sprintf("request %s %d %d", q.RequestID, q.Attempts, q.Status))
}

// told is an entry as Envoy sends it: "attempt id status", "running id
// attempts" or "request id attempts status", of a plan of the models m1, m2, ….
func told(t testing.TB, s string) (log string, e *logv3.HTTPAccessLogEntry) {
	t.Helper()
	words := strings.Fields(s)
	number := func(i int) uint32 {
		n, err := strconv.Atoi(words[i])
		if err != nil {
			t.Fatal(err)
		}
		return uint32(n)
	}
	e = &logv3.HTTPAccessLogEntry{
		CommonProperties: &logv3.AccessLogCommon{TimeToLastUpstreamRxByte: durationpb.New(time.Millisecond)},
		Request:          &logv3.HTTPRequestProperties{RequestId: words[1]},
		Response:         &logv3.HTTPResponseProperties{},
	}
	if words[0] == "attempt" {
		e.Response.ResponseCode = wrapperspb.UInt32(number(2))
		return policy.AttemptLog, e
	}
	c := policy.LogContext{Operation: "chat", Asked: "m"}
	for i := range policy.MaxAttempts {
		c.Attempts = append(c.Attempts, policy.LoggedAttempt{Cluster: "c", Model: "m" + strconv.Itoa(i+1)})
	}
	e.CommonProperties.Metadata = metadata(map[string]any{policy.LogField: c.Encode()})
	e.CommonProperties.UpstreamRequestAttemptCount = number(2)
	if words[0] == "running" {
		e.CommonProperties.AccessLogType = logv3.AccessLogType_DownstreamPeriodic
	} else {
		e.Response.ResponseCode = wrapperspb.UInt32(number(3))
	}
	return policy.RequestLog, e
}

// later is when nothing is waited for any more.
const later = "later"

// Whatever the order in which the two logs arrive, each entry becomes one
// record, as soon as it can be told.
func TestPairing(t *testing.T) {
	first, second := "attempt a 1 m1 500", "attempt a 2 m2 200 final"
	for _, c := range []struct {
		name       string
		told, want []string
	}{
		{"attempt first", []string{"attempt a 200", "request a 1 200"}, []string{"request a 1 200", "attempt a 1 m1 200 final"}},
		{"request first", []string{"request a 1 200", "attempt a 200"}, []string{"request a 1 200", "attempt a 1 m1 200 final"}},
		{"two attempts first", []string{"attempt a 500", "attempt a 200", "request a 2 200"}, []string{"request a 2 200", first, second}},
		{"request between", []string{"attempt a 500", "request a 2 200", "attempt a 200"}, []string{"request a 2 200", first, second}},
		{"request before two", []string{"request a 2 200", "attempt a 500", "attempt a 200"}, []string{"request a 2 200", first, second}},
		{"no attempt was made", []string{"request a 0 404"}, []string{"request a 0 404"}},
		{"others between", []string{"attempt a 500", "attempt b 200", "request b 1 200", "attempt a 200", "request a 2 200"},
			[]string{"request b 1 200", "attempt b 1 m1 200 final", "request a 2 200", first, second}},

		{"a running request tells of a failure", []string{"attempt a 500", "running a 2"}, []string{first}},
		{"and then ends", []string{"attempt a 500", "running a 2", "attempt a 200", "running a 2", "request a 2 200"}, []string{first, "request a 2 200", second}},
		{"a running request says nothing of its last attempt", []string{"running a 1", "attempt a 200"}, nil},
		{"a second attempt tells of the first", []string{"running a 1", "attempt a 500", "attempt a 200"}, []string{first}},

		{"request missing", []string{"attempt a 500", "attempt a 200", later}, []string{"attempt a 1 other 500", "attempt a 2 other 200 final"}},
		{"request missing, but known", []string{"running a 1", "attempt a 200", later}, []string{"attempt a 1 m1 200 final"}},
		{"attempts missing", []string{"request a 2 200", later}, []string{"request a 2 200"}},
		{"the second attempt missing", []string{"attempt a 500", "request a 2 200", later}, []string{"request a 2 200", first}},
		{"an attempt that is late", []string{"request a 1 200", later, "attempt a 200", later}, []string{"request a 1 200", "attempt a 1 other 200 final"}},
		{"a request that is late", []string{"attempt a 200", later, "request a 1 200"}, []string{"attempt a 1 other 200 final", "request a 1 200"}},
		{"more attempts than were said", []string{"attempt a 500", "attempt a 200", "request a 1 200"}, []string{"request a 1 200", first, second}},

		{"one id, one after the other", []string{"attempt a 200", "request a 1 200", "attempt a 200", "request a 1 201"},
			[]string{"request a 1 200", "attempt a 1 m1 200 final", "request a 1 201", "attempt a 1 m1 200 final"}},
		{"one id, at the same time", []string{"attempt a 500", "attempt a 200", "request a 1 200", "request a 1 500", later},
			[]string{"request a 1 200", first, second, "request a 1 500"}},
		{"one id, requests first", []string{"request a 1 200", "request a 1 500", "attempt a 200", "attempt a 500", later},
			[]string{"request a 1 200", "request a 1 500", "attempt a 1 m1 200 final", "attempt a 1 other 500 final"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, now := &sink{}, time.Unix(1_800_000_000, 0)
			r := New(out, func() Names { return noNames{} })
			r.now = func() time.Time { return now }
			for _, s := range c.told {
				if s == later {
					now = now.Add(patience + 1)
					r.Sweep()
					continue
				}
				log, e := told(t, s)
				m := message{take: r.take}
				if err := m.ReadMessage(encode(t, logMessage(log, e))); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.want, out.got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			r.Flush()
			if len(r.open) != 0 {
				t.Errorf("%d requests are still waited for", len(r.open))
			}
			attempts, requests := 0, 0
			for _, s := range c.told {
				if strings.HasPrefix(s, "attempt") {
					attempts++
				}
				if strings.HasPrefix(s, "request") {
					requests++
				}
			}
			if n := attempts + requests; len(out.got) != n {
				t.Errorf("%d records of %d entries: %q", len(out.got), n, out.got)
			}
		})
	}
}

// What is waited for is bounded, in requests and in the attempts of each; what
// is more is handed on as it is.
func TestWaitingIsBounded(t *testing.T) {
	out := &sink{}
	r := New(out, func() Names { return noNames{} })
	for i := range maxOpen + 10 {
		r.take(policy.AttemptLog, &entry{requestID: strconv.Itoa(i)})
	}
	if len(r.open) != maxOpen || len(out.got) != 10 {
		t.Errorf("%d requests are waited for, %d attempts handed on", len(r.open), len(out.got))
	}
	out.got = nil
	for range 10 * maxHeld {
		r.take(policy.AttemptLog, &entry{requestID: "0"})
	}
	if held := len(r.open["0"].held); held >= maxHeld || held+len(out.got) != 10*maxHeld+1 {
		t.Errorf("%d attempts are held, %d handed on", held, len(out.got))
	}
	r.take("another log", &entry{requestID: "x"})
	if r.open["x"] != nil {
		t.Error("an entry of another log is taken")
	}
}

// Whatever bytes come, they are read or refused; what is kept of them is no
// more than they are, and a request that was logged whole is told of.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{"attempt a 200", "running a 1", "request a 1 200"} {
		log, e := told(f, s)
		f.Add(encode(f, logMessage(log, e)))
	}
	f.Add([]byte("\x0a\x10\x12\x0cweir.attempt\x12\x06\x0a\x00\x0a\x00\x0a\x00"))
	f.Add([]byte("\x12\x04\x0a\x02\x0a\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out := &sink{}
		r := New(out, func() Names { return noNames{} })
		n, kept := 0, 0
		m := message{log: policy.RequestLog, take: func(log string, e *entry) {
			n++
			kept += len(e.requestID) + len(e.clientIP) + len(e.details) + len(e.context) + len(e.rejected)
			for _, q := range e.quota {
				kept += len(q)
			}
			r.take(log, e)
			r.take(policy.AttemptLog, e)
		}}
		_ = m.ReadMessage(b)
		if 2*n > len(b) || kept > len(b) {
			t.Errorf("%d entries and %d bytes of text in a message of %d bytes", n, kept, len(b))
		}
		r.Flush()
		if len(r.open) != 0 {
			t.Errorf("%d requests are still waited for", len(r.open))
		}
		m.log = policy.AttemptLog
		log, e := told(t, "request whole 0 404")
		before := len(out.got)
		if err := m.ReadMessage(encode(t, logMessage(log, e))); err != nil || len(out.got) <= before {
			t.Errorf("after that, a request is not logged: %v", err)
		}
	})
}

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

	"weir/metadata"
	"weir/policy"
)

// noNames knows every model by its own name.
type noNames struct{}

func (noNames) AskedLabel(s string) string { return s }

func (noNames) ServedLabel(_, sent string) string { return sent }

func (noNames) ProviderKeyOf(string) string { return "" }

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
// After a status, "cut" says that the answer broke off.
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
	if words[len(words)-1] == "cut" {
		e.CommonProperties.ResponseFlags = &logv3.ResponseFlags{UpstreamRemoteReset: true}
	}
	if words[0] == "attempt" {
		e.Response.ResponseCode = wrapperspb.UInt32(number(2))
		return metadata.AttemptLog, e
	}
	c := metadata.LogContext{Operation: "chat", Asked: "m"}
	for i := range metadata.MaxAttempts {
		c.Attempts = append(c.Attempts, metadata.LoggedAttempt{Cluster: "c", Model: "m" + strconv.Itoa(i+1)})
	}
	e.CommonProperties.Metadata = metadataOf(map[string]any{metadata.LogField: c.Encode()})
	e.CommonProperties.UpstreamRequestAttemptCount = number(2)
	if words[0] == "running" {
		e.CommonProperties.AccessLogType = logv3.AccessLogType_DownstreamPeriodic
	} else {
		e.Response.ResponseCode = wrapperspb.UInt32(number(3))
	}
	return metadata.RequestLog, e
}

// later is when nothing is waited for any more.
const later = "later"

// Whatever the order in which the two logs arrive, each entry becomes one
// record, as soon as it can be told; that of a request whose last attempt
// answered it, which has no entry of its own, becomes two.
func TestPairing(t *testing.T) {
	first, second := "attempt a 1 m1 500", "attempt a 2 m2 200 final"
	for _, c := range []struct {
		name       string
		told, want []string
	}{
		{"answered", []string{"request a 1 200"}, []string{"request a 1 200", "attempt a 1 m1 200 final"}},
		{"answered by the second, told after the first", []string{"attempt a 500", "request a 2 200"}, []string{"request a 2 200", first, second}},
		{"answered by the second, told before the first", []string{"request a 2 200", "attempt a 500"}, []string{"request a 2 200", first, second}},
		{"answered by the third", []string{"attempt a 500", "request a 3 200", "attempt a 503"}, []string{"request a 3 200", first, "attempt a 2 m2 503", "attempt a 3 m3 200 final"}},
		{"others between", []string{"attempt a 500", "request b 1 200", "request a 2 200"},
			[]string{"request b 1 200", "attempt b 1 m1 200 final", "request a 2 200", first, second}},
		{"the attempt is told all the same", []string{"attempt a 200", "request a 1 200"}, []string{"request a 1 200", "attempt a 1 m1 200 final"}},

		{"failed", []string{"attempt a 400", "request a 1 400"}, []string{"request a 1 400", "attempt a 1 m1 400 final"}},
		{"failed, request first", []string{"request a 1 400", "attempt a 400"}, []string{"request a 1 400", "attempt a 1 m1 400 final"}},
		{"both failed", []string{"attempt a 500", "attempt a 502", "request a 2 502"}, []string{"request a 2 502", first, "attempt a 2 m2 502 final"}},
		{"both failed, request between", []string{"attempt a 500", "request a 2 502", "attempt a 502"}, []string{"request a 2 502", first, "attempt a 2 m2 502 final"}},
		{"both failed, request first", []string{"request a 2 502", "attempt a 500", "attempt a 502"}, []string{"request a 2 502", first, "attempt a 2 m2 502 final"}},
		{"cut", []string{"attempt a 200 cut", "request a 1 200 cut"}, []string{"request a 1 200", "attempt a 1 m1 200 final"}},
		{"cut, request first", []string{"request a 2 200 cut", "attempt a 500", "attempt a 200 cut"}, []string{"request a 2 200", first, second}},
		{"no attempt was made", []string{"request a 0 404"}, []string{"request a 0 404"}},
		{"no attempt was made, and answered", []string{"request a 0 200"}, []string{"request a 0 200"}},

		{"a running request tells of a failure", []string{"attempt a 500", "running a 2"}, []string{first}},
		{"and then ends", []string{"attempt a 500", "running a 2", "running a 2", "request a 2 200"}, []string{first, "request a 2 200", second}},
		{"a running request says nothing of its last attempt", []string{"running a 1", "attempt a 400"}, nil},
		{"a second attempt tells of the first", []string{"running a 1", "attempt a 500", "attempt a 503"}, []string{first}},

		{"request missing", []string{"attempt a 500", "attempt a 503", later}, []string{"attempt a 1 other 500", "attempt a 2 other 503 final"}},
		{"request missing, but known", []string{"running a 1", "attempt a 400", later}, []string{"attempt a 1 m1 400 final"}},
		{"attempts missing", []string{"request a 2 502", later}, []string{"request a 2 502"}},
		{"the first attempt missing", []string{"request a 2 200", later}, []string{"request a 2 200", second}},
		{"the second attempt missing", []string{"attempt a 500", "request a 2 502", later}, []string{"request a 2 502", first}},
		{"an attempt that is late", []string{"request a 1 400", later, "attempt a 400", later}, []string{"request a 1 400", "attempt a 1 other 400 final"}},
		{"a request that is late", []string{"attempt a 500", later, "request a 1 500"}, []string{"attempt a 1 other 500 final", "request a 1 500"}},
		{"more attempts than were said", []string{"attempt a 500", "attempt a 200", "request a 1 200"}, []string{"request a 1 200", first, second}},

		{"one id, one after the other", []string{"request a 1 200", "request a 1 201"},
			[]string{"request a 1 200", "attempt a 1 m1 200 final", "request a 1 201", "attempt a 1 m1 201 final"}},
		{"one id, at the same time", []string{"attempt a 500", "attempt a 502", "request a 1 502", "request a 1 500", later},
			[]string{"request a 1 502", first, "attempt a 2 m2 502 final", "request a 1 500"}},
		{"one id, requests first", []string{"request a 1 502", "request a 1 500", "attempt a 502", "attempt a 500", later},
			[]string{"request a 1 502", "request a 1 500", "attempt a 1 m1 502 final", "attempt a 1 other 500 final"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, now := &sink{}, time.Unix(1_800_000_000, 0)
			r := New(out, nofollow{}, func() Names { return noNames{} })
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
			requests := 0
			for _, s := range c.told {
				if strings.HasPrefix(s, "request") {
					requests++
				}
			}
			seen := map[string]bool{}
			for _, s := range out.got {
				if strings.HasPrefix(s, "request") {
					requests--
				} else if seen[s] {
					t.Errorf("%q twice", s)
				}
				seen[s] = true
			}
			if requests != 0 {
				t.Errorf("%q", out.got)
			}
		})
	}
}

// What is waited for is bounded, in requests and in the attempts of each; what
// is more is handed on as it is.
func TestWaitingIsBounded(t *testing.T) {
	out := &sink{}
	r := New(out, nofollow{}, func() Names { return noNames{} })
	for i := range maxOpen + 10 {
		r.take(metadata.AttemptLog, &entry{requestID: strconv.Itoa(i)})
	}
	if len(r.open) != maxOpen || len(out.got) != 10 {
		t.Errorf("%d requests are waited for, %d attempts handed on", len(r.open), len(out.got))
	}
	out.got = nil
	for range 10 * maxHeld {
		r.take(metadata.AttemptLog, &entry{requestID: "0"})
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
		r := New(out, nofollow{}, func() Names { return noNames{} })
		n, kept := 0, 0
		m := message{log: metadata.RequestLog, take: func(log string, e *entry) {
			n++
			kept += len(e.requestID) + len(e.clientIP) + len(e.details) + len(e.context) + len(e.rejected)
			for _, q := range e.quota {
				kept += len(q)
			}
			r.take(log, e)
			r.take(metadata.AttemptLog, e)
		}}
		_ = m.ReadMessage(b)
		if 2*n > len(b) || kept > len(b) {
			t.Errorf("%d entries and %d bytes of text in a message of %d bytes", n, kept, len(b))
		}
		r.Flush()
		if len(r.open) != 0 {
			t.Errorf("%d requests are still waited for", len(r.open))
		}
		m.log = metadata.AttemptLog
		log, e := told(t, "request whole 0 404")
		before := len(out.got)
		if err := m.ReadMessage(encode(t, logMessage(log, e))); err != nil || len(out.got) <= before {
			t.Errorf("after that, a request is not logged: %v", err)
		}
	})
}

// twoAttempts is what was planned for the requests of the tests below.
var twoAttempts = &metadata.LogContext{
	ID: "a", Operation: "chat", Asked: "m", Attempts: []metadata.LoggedAttempt{{Cluster: "c1", Model: "m1"}, {Cluster: "c2", Model: "m2"}},
}

// The record of an attempt that has no entry begins where the one before ended,
// and says of the provider's answer what the request's entry says.
func TestRespondingAttempt(t *testing.T) {
	const ms = time.Millisecond
	start := time.Unix(1_800_000_000, 0)
	failed := &entry{requestID: "a", start: start.Add(20 * ms), duration: 80 * ms, status: 500}
	answer := entry{
		requestID: "a", start: start, status: 200, attempts: 1, context: twoAttempts.Encode(),
		received: 10 * ms, sent: 110 * ms, firstByte: 150 * ms, lastByte: 300 * ms, duration: 301 * ms,
		quota: quota("retry-after", "1"),
	}
	second, gone, late, unheard := answer, answer, answer, answer
	second.attempts = 2
	unheard.attempts = 2
	gone.flags, gone.lastByte = 1<<clientReset, 0
	late.flags, late.lastByte = 1<<streamIdleTimeout, 0
	want := func(n int, from, first, length time.Duration, cause string) Attempt {
		cluster, model := "c"+strconv.Itoa(n), "m"+strconv.Itoa(n)
		return Attempt{
			RequestID: "a", Start: start.Add(from), Number: n, Operation: "chat", Asked: "m", AskedLabel: "m",
			Model: model, ModelLabel: model, Cluster: cluster, Provider: policy.ProviderOf(cluster),
			Status: 200, Cause: cause, Duration: length, FirstByte: first, Final: true, Quota: answer.quota,
		}
	}
	for _, c := range []struct {
		name    string
		attempt *entry
		request entry
		want    Attempt
	}{
		{"the first", nil, answer, want(1, 10*ms, 140*ms, 290*ms, "")},
		{"the second", failed, second, want(2, 100*ms, 50*ms, 200*ms, "")},
		{"the second, the first is lost", nil, unheard, want(2, 110*ms, 40*ms, 190*ms, "")},
		{"the client left", nil, gone, want(1, 10*ms, 140*ms, 291*ms, CauseClientGone)},
		{"silent for too long", nil, late, want(1, 10*ms, 140*ms, 291*ms, CauseTimeout)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []Attempt
			r := New(keep{&got}, nofollow{}, func() Names { return noNames{} })
			if c.attempt != nil {
				r.take(metadata.AttemptLog, c.attempt)
			}
			r.take(metadata.RequestLog, &c.request)
			r.Flush()
			if len(got) == 0 {
				t.Fatal("no record")
			}
			if diff := cmp.Diff(c.want, got[len(got)-1]); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Of an answer that goes on it is told whose it is.
func TestProgress(t *testing.T) {
	var got []string
	r := New(progress{keep{new([]Attempt)}, &got}, nofollow{}, func() Names { return noNames{} })
	running := entry{requestID: "a", running: true, status: 200, attempts: 2, context: twoAttempts.Encode()}
	failing := running
	failing.status = 429
	r.take(metadata.RequestLog, &running)
	r.take(metadata.RequestLog, &failing)
	if diff := cmp.Diff([]string{"c2 m2"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// progress keeps what answers go on.
type progress struct {
	keep
	answers *[]string
}

func (p progress) Responding(cluster, _, model string, _ time.Time) {
	*p.answers = append(*p.answers, cluster+" "+model)
}

// keep keeps attempts.
type keep struct{ got *[]Attempt }

func (k keep) Attempt(a *Attempt) { *k.got = append(*k.got, *a) }

func (k keep) Request(*Request) {}

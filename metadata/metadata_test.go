package metadata

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"weir/llm"
	"weir/llm/body"
)

// random makes values of every length, with whatever could end a field.
type random struct{ *rand.Rand }

func (r random) text() string {
	pieces := []string{"", "a", ":", "1:", "\n", " ", "ü", "\x00", `"`, "1;", "gpt-4o", strings.Repeat("x", 300), "-1", "9223372036854775808"}
	var b strings.Builder
	for range r.IntN(4) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func (r random) flag() bool { return r.IntN(2) == 1 }

func (r random) plan() Plan {
	p := Plan{Deadline: time.UnixMilli(r.Int64N(1 << 45)), Length: r.IntN(1 << 30)}
	for range r.IntN(MaxAttempts + 1) {
		a := Attempt{Cluster: r.text(), Model: r.text(), Path: r.text(), Authority: r.text()}
		for range r.IntN(3) {
			a.Edits = append(a.Edits, body.Edit{At: r.IntN(1000), Len: r.IntN(1000), With: []byte(r.text())})
		}
		for range r.IntN(3) {
			a.Headers = append(a.Headers, HeaderChange{r.text(), r.text() + string([]byte{byte(r.IntN(256))})})
		}
		p.Attempts = append(p.Attempts, a)
	}
	return p
}

func (r random) gate() Gate {
	return Gate{
		Response: llm.ResponseKind(r.text()), Stream: r.flag(), MayStream: r.flag(), Hold: r.flag(), Strict: r.flag(), Faults: llm.Fault(r.IntN(64)), Wider: r.IntN(1 << MaxAttempts),
		Idle: time.Duration(r.IntN(1e9)) * time.Millisecond, Attempt: time.Duration(r.IntN(1e9)) * time.Millisecond, Deadline: time.UnixMilli(r.Int64N(1 << 45)),
	}
}

func (r random) logContext() LogContext {
	l := LogContext{ID: r.text(), Operation: r.text(), Asked: r.text(), KeyID: r.text(), Key: r.text(), Stream: r.flag(), Path: r.text(), ClientID: r.text()}
	for range r.IntN(MaxAttempts + 1) {
		l.Attempts = append(l.Attempts, LoggedAttempt{r.text(), r.text()})
	}
	return l
}

// values are each kind of value that crosses Envoy, encoded, with how it is decoded
// and whether that succeeded.
func (r random) values() map[string]struct {
	value   any
	encoded string
	decode  func(string) (any, error)
} {
	type value = struct {
		value   any
		encoded string
		decode  func(string) (any, error)
	}
	plan, gate, context, cause := r.plan(), r.gate(), r.logContext(), Cause{r.text(), r.IntN(600)}
	return map[string]value{
		"plan": {plan, plan.Encode(), func(s string) (any, error) {
			var p Plan
			c := newReader(s)
			p.fields(&c)
			return p, c.end()
		}},
		"gate": {gate, gate.Encode(), func(s string) (any, error) {
			var g Gate
			c := newReader(s)
			g.fields(&c)
			return g, c.end()
		}},
		"log context": {context, context.Encode(), func(s string) (any, error) {
			var l LogContext
			c := newReader(s)
			l.fields(&c)
			return l, c.end()
		}},
		"cause": {cause, cause.Encode(), func(s string) (any, error) {
			var w Cause
			c := newReader(s)
			w.fields(&c)
			return w, c.end()
		}},
	}
}

// Every value is read as it was written, and as text that metadata can carry.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(500) {
		r := random{rand.New(rand.NewPCG(seed, 1))}
		for name, v := range r.values() {
			if !utf8.ValidString(v.encoded) {
				t.Fatalf("%s: not UTF-8: %q", name, v.encoded)
			}
			got, err := v.decode(v.encoded)
			if diff := cmp.Diff(v.value, got); err != nil || diff != "" {
				t.Fatalf("%s %q: %v (-want +got)\n%s", name, v.encoded, err, diff)
			}
		}
	}
}

// A value that lost its end, or has something behind it, is refused: no part of it is
// taken for the whole.
func TestDamaged(t *testing.T) {
	for seed := range uint64(100) {
		r := random{rand.New(rand.NewPCG(seed, 2))}
		for name, v := range r.values() {
			for i := range len(v.encoded) {
				if _, err := v.decode(v.encoded[:i]); err == nil {
					t.Fatalf("%s: %q of %q was accepted", name, v.encoded[:i], v.encoded)
				}
			}
			for _, s := range []string{v.encoded + "0:,", v.encoded + "x", "2;" + v.encoded[len(version):], " " + v.encoded, ""} {
				if _, err := v.decode(s); err == nil {
					t.Fatalf("%s: %q was accepted", name, s)
				}
			}
		}
	}
	damaged := []string{"", "-", "x", "1;", "1;1:a,", "1;1:a", "1;1:a;1:b,", "1;99:a,", "1;-1:a", "1;4294967296:a", "1;:a", "1; 1:a", "1;1:a,1:b,1:c,1:d,1:e,0:,2:11,"}
	for _, s := range damaged {
		if c := DecodeLogContext(s); !cmp.Equal(c, LogContext{}) {
			t.Errorf("%q: log context %+v", s, c)
		}
		if g := DecodeGate(s); g != (Gate{}) {
			t.Errorf("%q: gate %+v", s, g)
		}
		if c := DecodeCause(s); c != (Cause{}) {
			t.Errorf("%q: cause %+v", s, c)
		}
	}
}

func TestLoggedID(t *testing.T) {
	for _, c := range []struct{ context, want string }{
		{(&LogContext{ID: "id", Operation: "chat"}).Encode(), "id"}, {(&LogContext{}).Encode(), ""}, {"", ""}, {"-", ""}, {"1;9:id", ""},
	} {
		if got := LoggedID(c.context); got != c.want {
			t.Errorf("%q: %q, want %q", c.context, got, c.want)
		}
	}
}

func TestHeaderList(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"a:b/c-d.e_f"}, "a:b/c-d.e_f"},
		{[]string{"a", "b"}, "a, b"},
		{[]string{"a, b", "100%"}, "a%2C%20b, 100%25"},
		{[]string{"a\r\nx: y", "\x00\x7f", "ü", `"`}, "a%0D%0Ax:%20y, %00%7F, %C3%BC, %22"},
	} {
		if got := HeaderList(c.names); got != c.want {
			t.Errorf("%q: got %s, want %s", c.names, got, c.want)
		}
	}
}

// encodedPlan is a plan with two later attempts, the first with some edits.
func encodedPlan(edits ...body.Edit) string {
	p := Plan{Deadline: time.UnixMilli(1000), Length: 10, Attempts: []Attempt{{Cluster: "c2", Model: "m", Path: "/", Authority: "h", Edits: edits}, {Cluster: "c3"}}}
	return p.Encode()
}

func TestDecodeRetryRefuses(t *testing.T) {
	encode := encodedPlan
	f := func(encoded string, n int, cluster string, length int, want string) {
		t.Helper()
		_, err := DecodeRetry(encoded, n, cluster, length, time.UnixMilli(0))
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%s\n got %s\nwant %s", encoded, got, want)
		}
	}
	fine := body.Edit{At: 0, Len: 10, With: []byte("x")}
	f(encode(fine), 2, "c2", 10, "<nil>")
	f(encode(), 3, "c3", 10, "<nil>")
	f(encode(body.Edit{At: 10, With: []byte("x")}), 2, "c2", 10, "<nil>")
	f(encode(body.Edit{Len: 5}, body.Edit{At: 5, Len: 5}), 2, "c2", 10, "<nil>")

	f("", 2, "c2", 10, "plan: written by another version of Weir")
	f(`{"deadline":1000}`, 2, "c2", 10, "plan: written by another version of Weir")
	f("1;", 2, "c2", 10, "plan: truncated")
	f(encode(fine)+"x", 2, "c2", 10, "plan: more than its fields")
	f("1;x:1,", 2, "c2", 10, "plan: malformed")
	f("1;1:1,1:1,2:11,", 2, "c2", 10, "plan: malformed")
	f((&Plan{}).Encode(), 2, "c2", 10, "plan has no attempt 2")
	f(encode(fine), 1, "c2", 10, "plan has no attempt 1")
	f(encode(fine), 0, "c2", 10, "plan has no attempt 0")
	f(encode(fine), -1, "c2", 10, "plan has no attempt -1")
	f(encode(fine), 4, "c2", 10, "plan has no attempt 4")
	f(encode(fine), 2, "c3", 10, `attempt 2 is planned for cluster "c2", Envoy chose "c3"`)
	f(encode(fine), 3, "c2", 10, `attempt 3 is planned for cluster "c3", Envoy chose "c2"`)
	f(encode(fine), 2, "c2", 11, "attempt 2 has a body of 11 bytes, the plan was made for 10")
	outside := "attempt 2 has an edit outside of its body"
	f(encode(body.Edit{At: -1, Len: 1}), 2, "c2", 10, outside)
	f(encode(body.Edit{At: 0, Len: -1}), 2, "c2", 10, outside)
	f(encode(body.Edit{At: 0, Len: 11}), 2, "c2", 10, outside)
	f(encode(body.Edit{At: 11, Len: 0}), 2, "c2", 10, outside)
	f(encode(body.Edit{At: 9223372036854775807, Len: 1}), 2, "c2", 10, outside)
	f(encode(body.Edit{At: 5, Len: 9223372036854775807}), 2, "c2", 10, outside)
	f(encode(body.Edit{At: 5, Len: 1}, body.Edit{At: 5, Len: 1}), 2, "c2", 10, outside)
}

// Whatever the metadata says, what is decoded fits the body.
func FuzzDecodeRetry(f *testing.F) {
	f.Add(encodedPlan(body.Edit{At: 0, Len: 3, With: []byte("x")}), 2, 10)
	f.Add(encodedPlan(body.Edit{At: 1 << 62, Len: 1}, body.Edit{At: -1, Len: -1}), 2, 10)
	f.Add("1;1:0,1:3,1:1,", 2, 3)
	f.Fuzz(func(t *testing.T, encoded string, n, length int) {
		if length < 0 || length > 1<<16 {
			return
		}
		r, err := DecodeRetry(encoded, n, "c2", length, time.UnixMilli(0))
		if err != nil {
			return
		}
		if got := body.Apply(nil, make([]byte, length), r.Edits); len(got) != r.Length {
			t.Errorf("%d bytes, said are %d", len(got), r.Length)
		}
	})
}

// FuzzDecode: no text makes a reader fail, and what is accepted is written again as it
// was, except for numbers with a sign or leading zeros.
func FuzzDecode(f *testing.F) {
	r := random{rand.New(rand.NewPCG(1, 3))}
	for range 5 {
		for _, v := range r.values() {
			f.Add(v.encoded)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		again := DecodeLogContext(s)
		if encoded := again.Encode(); again.ID != "" && !cmp.Equal(DecodeLogContext(encoded), again) {
			t.Errorf("%q became %q", s, encoded)
		}
		g := DecodeGate(s)
		if !cmp.Equal(DecodeGate(g.Encode()), g) {
			t.Errorf("gate of %q", s)
		}
		DecodeCause(s)
		LoggedID(s)
	})
}

func BenchmarkLogContext(b *testing.B) {
	l := LogContext{ID: "3fa85f64-5717-4562-b3fc-2c963f66afa6", Operation: "chat", Asked: "gpt-4o", KeyID: "0123456789abcdef", Key: "team-a", Attempts: []LoggedAttempt{{"openai-0123456789abcdef", "gpt-4o"}}}
	encoded := l.Encode()
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Encode()
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			DecodeLogContext(encoded)
		}
	})
}

// The request path encodes a context for each request: one allocation.
func TestAllocations(t *testing.T) {
	r := random{rand.New(rand.NewPCG(5, 5))}
	l, g := r.logContext(), r.gate()
	if n := testing.AllocsPerRun(100, func() { l.Encode() }); n > 1 {
		t.Errorf("LogContext.Encode: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { g.Encode() }); n > 1 {
		t.Errorf("Gate.Encode: %v allocations", n)
	}
	encoded := g.Encode()
	if n := testing.AllocsPerRun(100, func() { DecodeGate(encoded) }); n > 0 {
		t.Errorf("DecodeGate: %v allocations", n)
	}
}

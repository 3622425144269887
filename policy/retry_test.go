package policy

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/llm"
	"weir/llm/body"
	"weir/metadata"
	"weir/policy/config"
)

const two = `
providers:
  - {id: a, base_url: http://a.internal}
  - {id: b, base_url: http://b.internal}
`

func TestEncode(t *testing.T) {
	p := newWorld().load(t, two)
	plan := planned(t, p, &llm.Endpoints()[0], "", nil, `{"model":"a:m","models":["b:say \"ü\\"],"n":1}`)
	b := plan.Attempts[1].Cluster.Name
	want := `{"deadline":1767323405000,"length":` + fmt.Sprint(len(`{"model":"m","n":1}`)) + `,"attempts":[{"cluster":"` + b + `","model":"say \"ü\\","path":"/v1/chat/completions","authority":"b.internal",` +
		`"edits":[{"at":9,"len":3,"with":"\"say \\\"ü\\\\\""}]}]}`
	if diff := cmp.Diff(want, plan.Encode()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	checkRetries(t, plan)
}

func TestDecodeRetryRefuses(t *testing.T) {
	encode := func(edits string) string {
		return `{"deadline":1000,"length":10,"attempts":[{"cluster":"c2","model":"m","path":"/","authority":"h","edits":[` + edits + `]},{"cluster":"c3"}]}`
	}
	f := func(encoded string, n int, cluster string, length int, want string) {
		t.Helper()
		_, err := metadata.DecodeRetry(encoded, n, cluster, length, testNow)
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%s\n got %s\nwant %s", encoded, got, want)
		}
	}
	fine := `{"at":0,"len":10,"with":"x"}`
	f(encode(fine), 2, "c2", 10, "<nil>")
	f(encode(""), 3, "c3", 10, "<nil>")
	f(encode(`{"at":10,"len":0,"with":"x"}`), 2, "c2", 10, "<nil>")
	f(encode(`{"at":0,"len":5,"with":""},{"at":5,"len":5,"with":""}`), 2, "c2", 10, "<nil>")

	f("", 2, "c2", 10, "plan: unexpected end of JSON input")
	f("{", 2, "c2", 10, "plan: unexpected end of JSON input")
	f(encode(fine)+"x", 2, "c2", 10, "plan: invalid character 'x' after top-level value")
	f(`{"attempts":1}`, 2, "c2", 10, "plan: json: cannot unmarshal number into Go struct field encodedPlan.attempts of type []metadata.encodedAttempt")
	f("{}", 2, "c2", 10, "plan has no attempt 2")
	f(encode(fine), 1, "c2", 10, "plan has no attempt 1")
	f(encode(fine), 0, "c2", 10, "plan has no attempt 0")
	f(encode(fine), -1, "c2", 10, "plan has no attempt -1")
	f(encode(fine), 4, "c2", 10, "plan has no attempt 4")
	f(encode(fine), 2, "c3", 10, `attempt 2 is planned for cluster "c2", Envoy chose "c3"`)
	f(encode(fine), 3, "c2", 10, `attempt 3 is planned for cluster "c3", Envoy chose "c2"`)
	f(encode(fine), 2, "c2", 11, "attempt 2 has a body of 11 bytes, the plan was made for 10")
	outside := "attempt 2 has an edit outside of its body"
	f(encode(`{"at":-1,"len":1}`), 2, "c2", 10, outside)
	f(encode(`{"at":0,"len":-1}`), 2, "c2", 10, outside)
	f(encode(`{"at":0,"len":11}`), 2, "c2", 10, outside)
	f(encode(`{"at":11,"len":0}`), 2, "c2", 10, outside)
	f(encode(`{"at":9223372036854775807,"len":1}`), 2, "c2", 10, outside)
	f(encode(`{"at":5,"len":9223372036854775807}`), 2, "c2", 10, outside)
	f(encode(`{"at":5,"len":1},{"at":5,"len":1}`), 2, "c2", 10, outside)
}

func TestDeadline(t *testing.T) {
	plan := planned(t, newWorld().load(t, two), &llm.Endpoints()[0], "", nil, `{"models":["a:m","b:m"]}`)
	if !plan.Deadline.Equal(testNow.Add(config.DefaultTotalTimeout)) {
		t.Errorf("deadline %v", plan.Deadline)
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {config.DefaultTotalTimeout, false}, {config.DefaultTotalTimeout + time.Millisecond, true}} {
		r, err := metadata.DecodeRetry(plan.Encode(), 2, plan.Attempts[1].Cluster.Name, plan.Attempts[0].Length, testNow.Add(c.after))
		if err != nil || r.Expired != c.want {
			t.Errorf("after %v: %v, %v", c.after, r.Expired, err)
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
		if got := metadata.HeaderList(c.names); got != c.want {
			t.Errorf("%q: got %s, want %s", c.names, got, c.want)
		}
	}
}

// checkRetries holds that Encode and DecodeRetry tell the later attempts as
// they were planned.
func checkRetries(t testing.TB, plan *Plan) {
	t.Helper()
	encoded := plan.Encode()
	if (encoded == "") != (len(plan.Attempts) == 1) {
		t.Errorf("%d attempts are encoded as %q", len(plan.Attempts), encoded)
	}
	for i, a := range plan.Attempts {
		if i == 0 {
			continue
		}
		r, err := metadata.DecodeRetry(encoded, i+1, a.Cluster.Name, plan.Attempts[0].Length, testNow)
		if err != nil {
			t.Errorf("attempt %d: %v\n%s", i+1, err, encoded)
			continue
		}
		got := []any{r.Model, r.Path, r.Authority, r.Length, r.Expired, len(r.Edits)}
		want := []any{a.Model, a.Path, a.Authority, a.Length, false, len(a.Edits)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempt %d: (-want +got)\n%s", i+1, diff)
		}
		for j, e := range r.Edits {
			if w := a.Edits[j]; e.At != w.At || e.Len != w.Len || !bytes.Equal(e.With, w.With) {
				t.Errorf("attempt %d: edit %v, want %v", i+1, e, w)
			}
		}
	}
}

// Whatever the metadata says, what is decoded fits the body.
func FuzzDecodeRetry(f *testing.F) {
	f.Add(`{"deadline":1,"length":3,"attempts":[{"cluster":"c","model":"m","path":"/","authority":"h","edits":[{"at":0,"len":3,"with":"x"}]}]}`, 2, 3)
	f.Add(`{"length":3,"attempts":[{"cluster":"c","edits":[{"at":9223372036854775807,"len":1},{"at":-1,"len":-1}]}]}`, 2, 3)
	f.Fuzz(func(t *testing.T, encoded string, n, length int) {
		if length < 0 || length > 1<<16 {
			return
		}
		r, err := metadata.DecodeRetry(encoded, n, "c", length, testNow)
		if err != nil {
			return
		}
		if got := body.Apply(nil, make([]byte, length), r.Edits); len(got) != r.Length {
			t.Errorf("%d bytes, said are %d", len(got), r.Length)
		}
	})
}

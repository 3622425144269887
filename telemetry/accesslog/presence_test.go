package accesslog

import (
	"slices"
	"strings"
	"testing"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"

	"weir/metadata"
)

// export is what Envoy sends for these lines: two groups of them, with fields
// that are not read. An ExportLogsServiceRequest has the fields of LogsData.
func export(lines ...string) *logsv1.LogsData {
	scope := func(lines []string) *logsv1.ScopeLogs {
		s := &logsv1.ScopeLogs{Scope: &commonv1.InstrumentationScope{Name: "envoy"}}
		for _, line := range lines {
			s.LogRecords = append(s.LogRecords, &logsv1.LogRecord{
				TimeUnixNano: 1_800_000_000_000_000_000,
				Body:         &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: line}},
				Attributes:   []*commonv1.KeyValue{{Key: "a", Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: "DownstreamEnd 200 0 ::1 other"}}}},
			})
		}
		return s
	}
	half := len(lines) / 2
	return &logsv1.LogsData{ResourceLogs: []*logsv1.ResourceLogs{
		{ScopeLogs: []*logsv1.ScopeLogs{scope(lines[:half])}},
		{ScopeLogs: []*logsv1.ScopeLogs{scope(lines[half:])}},
	}}
}

func TestPresence(t *testing.T) {
	c := metadata.LogContext{ID: "a", Operation: "chat", KeyID: "k", Asked: "a model", Attempts: []metadata.LoggedAttempt{{Cluster: "c", Model: "m"}}}
	planned := c.Encode()
	for name, c := range map[string]struct {
		line string
		want []string
	}{
		"ended":              {"DownstreamEnd 200 9 192.0.2.1 " + planned, []string{"ended a"}},
		"ended unanswered":   {"DownstreamEnd 0 9 192.0.2.1 " + planned, []string{"ended a"}},
		"waits":              {"DownstreamPeriodic 0 9 192.0.2.1 " + planned, []string{"running a k 192.0.2.1 9"}},
		"without a status":   {"DownstreamPeriodic - 9 192.0.2.1 " + planned, []string{"running a k 192.0.2.1 9"}},
		"answers":            {"DownstreamPeriodic 200 9 2001:db8::1 " + planned, []string{"running a k 2001:db8::1 9", "begun a"}},
		"without a decision": {"DownstreamEnd 200 9 192.0.2.1 -", nil},
		"of another kind":    {"DownstreamStart 0 9 192.0.2.1 " + planned, nil},
		"cut":                {"DownstreamEnd 200 9", nil},
		"empty":              {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := &begun{}
			r := New(&sink{}, got, func() Names { return noNames{} })
			if err := (presence{r}).ReadMessage(encode(t, export(c.line))); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.followed, c.want) {
				t.Errorf("told %q, want %q", got.followed, c.want)
			}
		})
	}
}

// begun is told of responses that have begun, too.
type begun struct{ followed }

func (b *begun) Begun(id string) { b.followed = append(b.followed, "begun "+id) }

// The entries of a message are told of in their order.
func TestPresenceInOrder(t *testing.T) {
	var got followed
	r := New(&sink{}, &got, func() Names { return noNames{} })
	running, ended := "DownstreamPeriodic 0 1 ::1 ", "DownstreamEnd 200 1 ::1 "
	of := func(id string) string { return (&metadata.LogContext{ID: id, Operation: "chat"}).Encode() }
	b := encode(t, export(running+of("a"), running+of("b"), ended+of("a"), ended+of("b")))
	if err := (presence{r}).ReadMessage(b); err != nil {
		t.Fatal(err)
	}
	if want := []string{"running a  ::1 1", "running b  ::1 1", "ended a", "ended b"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// Whatever bytes come, what is told of them is no more than they are.
func FuzzPresence(f *testing.F) {
	f.Add(encode(f, export("DownstreamEnd 200 9 192.0.2.1 a\nchat", "DownstreamPeriodic - 9 ::1 b\nchat\nm\nk")))
	f.Add([]byte("\x0a\x08\x12\x06\x12\x04\x2a\x02\x0a\x00"))
	f.Add([]byte("\x0a\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got followed
		r := New(&sink{}, &got, func() Names { return noNames{} })
		_ = (presence{r}).ReadMessage(b)
		told := strings.Join(got, "")
		// "running" and "ended" are shorter than the kinds of Envoy's entries.
		if len(got) > len(b)/20 || len(told) > len(b)+len(got)*20 {
			t.Errorf("%d bytes led to %q", len(b), got)
		}
	})
}

func BenchmarkPresence(b *testing.B) {
	b.ReportAllocs()
	c := metadata.LogContext{ID: "6f1c1a52-1111-4222-8333-444455556666", Operation: "chat", Asked: "p:m", KeyID: "0123456789abcdef", Key: "team", Attempts: []metadata.LoggedAttempt{{Cluster: "weir/p/0123456789abcdef", Model: "m"}}}
	encoded := encode(b, export("DownstreamEnd 200 1024 192.0.2.1 "+c.Encode()))
	r := New(nowhere{}, nofollow{}, func() Names { return noNames{} })
	for b.Loop() {
		if err := (presence{r}).ReadMessage(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

package telemetry

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"weir/telemetry/accesslog"
)

func TestLines(t *testing.T) {
	f := newFixture()
	f.Attempt(failed())
	f.Attempt(served())
	f.Request(request())
	f.Request(refused())

	rejected := &accesslog.Request{RequestID: "r3", Start: start, Cause: accesslog.CauseRejected, Rejected: "headers_too_large", Status: 431, ClientGone: true}
	f.Request(rejected)

	hostile := request()
	hostile.Asked = "a\"b\\c\r\n\x1b[2J\x7f\u0085\u2028\u202eé世\U000e0001\xff" + strings.Repeat("x", 300)
	hostile.RequestID = strings.Repeat("世", 100)
	f.Request(hostile)
	f.Request(truncated())
	unconnected := failed()
	unconnected.Status, unconnected.Cause, unconnected.ConnectFailure = 0, accesslog.CauseConnectFailure, accesslog.ConnectDNS
	f.Attempt(unconnected)

	f.Close()
	golden(t, "lines.jsonl", f.log.String())
	for line := range strings.Lines(f.log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if _, err := time.Parse(time.RFC3339, fields["time"].(string)); err != nil {
			t.Error(err)
		}
	}
}

func TestMS(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0.000", 0: "0.000", 999: "0.000", 1000: "0.001", 12345678: "12.345", time.Second: "1000.000", time.Hour + 70*time.Microsecond: "3600000.070",
	} {
		if got := string(appendMS(nil, d)); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}

// A string comes back as it was, cut and with what is not UTF-8 replaced; and
// the line has nothing in it that a terminal or a line reader would act on.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "gpt-4o", "a\"b\\c\n", "\x00\x1f\x7f\u0080\u009f\u2028\u2029", "é世🜁", "\u202e\ufeff\U000e0001", "\xff\xc3(", strings.Repeat("世", 100), strings.Repeat("\xbf", 300), "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := appendText(nil, "", s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		want := ""
		for _, r := range s { // what is not UTF-8 is U+FFFD, byte by byte
			want += string(r)
		}
		if len(s) > maxText {
			if !strings.HasSuffix(got, "…") || len(b) > 6*maxText+5 || len(want) == len(s) && len(got) < maxText-utf8.UTFMax {
				t.Errorf("%d bytes become %d: %q", len(s), len(got), b)
			}
			got = strings.TrimSuffix(got, "…")
			if !strings.HasPrefix(want, got) {
				t.Errorf("%q does not begin with %q", want, got)
			}
			want = got
		}
		if got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
		for _, r := range string(b) {
			if !unicode.IsPrint(r) || r == utf8.RuneError && !strings.ContainsRune(s, utf8.RuneError) {
				t.Errorf("%q holds %U", b, r)
			}
		}
	})
}

func BenchmarkRequestLine(b *testing.B) {
	r, buf := request(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendRequest(buf[:0], r)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkAttemptLine(b *testing.B) {
	a, buf := served(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendAttempt(buf[:0], a)
	}
	b.SetBytes(int64(len(buf)))
}

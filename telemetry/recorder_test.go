package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/internal/sample"
	"weir/llm"
	"weir/telemetry/accesslog"
	"weir/telemetry/rolling"
)

var update = flag.Bool("update", false, "write the golden files anew")

var start = time.Date(2026, 11, 2, 10, 0, 0, 123456789, time.FixedZone("", 3600))

const msec = time.Millisecond

// failed and served are two attempts at one request, streamed.
func failed() *accesslog.Attempt {
	a := &accesslog.Attempt{
		RequestID: "0f6b7f2e-9f7c-4a57-8a4e-5b3a6f8d1c11", Start: start, Number: 1, Key: "team-a", KeyID: "aigk_1", Operation: "chat",
		Asked: "gpt-x", AskedLabel: "gpt-x", Provider: "openai", ProviderKey: "main", Model: "gpt-x", ModelLabel: "gpt-x", Cluster: "c1",
		Status: 429, Cause: accesslog.CauseRateLimit, Duration: 12*msec + 3456*time.Microsecond, FirstByte: 12 * msec, Stream: true,
	}
	a.Quota.Set("retry-after", "20")
	return a
}

func served() *accesslog.Attempt {
	a := &accesslog.Attempt{
		RequestID: "0f6b7f2e-9f7c-4a57-8a4e-5b3a6f8d1c11", Start: start.Add(13 * msec), Number: 2, Key: "team-a", KeyID: "aigk_1", Operation: "chat",
		Asked: "gpt-x", AskedLabel: "gpt-x", Provider: "azure", ProviderKey: "west", Model: "gpt-x-2026", ModelLabel: "gpt-x-2026", Cluster: "c2",
		Status: 200, Duration: 2 * time.Second, FirstByte: 300 * msec, Stream: true, Final: true,
	}
	a.Quota.Set("x-ratelimit-remaining-requests", "59")
	a.Quota.Set("x-ratelimit-reset-requests", "30s")
	return a
}

func request() *accesslog.Request {
	return &accesslog.Request{
		RequestID: "0f6b7f2e-9f7c-4a57-8a4e-5b3a6f8d1c11", Start: start, ClientID: "client-7f3a", Method: "POST", Path: "/v1/chat/completions", Key: "team-a", KeyID: "aigk_1", ClientIP: "203.0.113.9", Operation: "chat",
		Asked: "gpt-x", AskedLabel: "gpt-x", Provider: "azure", Model: "gpt-x-2026", ModelLabel: "gpt-x-2026", Status: 200, Attempts: 2,
		Stream: true, Duration: 2016 * msec, FirstByte: 316 * msec, LastByte: 2015 * msec, BytesIn: 812, BytesOut: 20480,
		Tokens: llm.Tokens{Known: true, OutputKnown: true, Input: 100, Output: 51, Total: 151, CachedInput: 64, Reasoning: 20},
	}
}

func refused() *accesslog.Request {
	return &accesslog.Request{
		RequestID: "r2", Start: start, ClientIP: "2001:db8::1", Operation: "embeddings", Asked: "nope", AskedLabel: accesslog.OtherLabel,
		Status: 404, Code: "model_not_found", Cause: accesslog.CauseRefused, Duration: msec, BytesIn: 30, BytesOut: 99,
	}
}

type fixture struct {
	*Recorder
	registry *prometheus.Registry
	store    *rolling.Store
	log      *bytes.Buffer
}

func newFixture() *fixture {
	f := &fixture{registry: prometheus.NewRegistry(), store: rolling.New(time.Minute), log: new(bytes.Buffer)}
	f.Recorder = New(Config{Registerer: f.registry, Rolling: f.store, Log: f.log, Now: func() time.Time { return start }})
	return f
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = "testdata/" + file
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", file, diff)
	}
}

// exposed renders what /metrics shows, as far as it is not zero buckets.
func (f *fixture) exposed(t *testing.T) string {
	t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, family := range families {
		for _, m := range family.GetMetric() {
			b.WriteString(family.GetName() + "{")
			for i, l := range m.GetLabel() {
				if i > 0 {
					b.WriteString(",")
				}
				b.WriteString(l.GetName() + "=" + strconv.Quote(l.GetValue()))
			}
			b.WriteString("} ")
			if h := m.GetHistogram(); h != nil {
				b.WriteString("count " + strconv.FormatUint(h.GetSampleCount(), 10) + " sum " + strconv.FormatFloat(h.GetSampleSum(), 'g', 9, 64))
			} else {
				b.WriteString(strconv.FormatFloat(m.GetCounter().GetValue(), 'g', -1, 64))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// truncated is a stream that ended too early, and told its input.
func truncated() *accesslog.Request {
	r := request()
	r.Cause, r.Truncated = accesslog.CauseTruncated, true
	r.Tokens = llm.Tokens{Known: true, OutputKnown: true, OutputEstimated: true, Input: 100, Output: 20, Total: 120, CachedInput: 64}
	return r
}

func TestMetrics(t *testing.T) {
	f := newFixture()
	f.Attempt(failed())
	f.Attempt(served())
	f.Request(request())
	f.Request(refused())

	unknown := request()
	unknown.Tokens, unknown.Stream = llm.Tokens{}, false
	f.Request(unknown)

	gone := request()
	gone.Tokens, gone.Cause, gone.ClientGone = llm.Tokens{}, accesslog.CauseClientGone, true
	f.Request(gone)

	broken := request()
	broken.Cause, broken.Status, broken.Tokens, broken.FirstByte = accesslog.CauseConnectFailure, 502, llm.Tokens{}, 0
	broken.Code = "provider_unreachable"
	f.Request(broken)

	embed := request()
	embed.Operation, embed.Stream, embed.Tokens = "embeddings", false, llm.Tokens{Known: true, Input: 8, Total: 8}
	f.Request(embed)

	f.Request(truncated())

	silent := &accesslog.Request{Operation: "chat", ClientGone: true, Cause: accesslog.CauseClientGone}
	f.Request(silent)

	golden(t, "metrics.txt", f.exposed(t))

	problems, err := testutil.GatherAndLint(f.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestRolling(t *testing.T) {
	f := newFixture()
	f.Attempt(failed())
	f.Attempt(served())

	gone := served() // after the answer began
	gone.Cause, gone.Duration = accesslog.CauseClientGone, msec
	f.Attempt(gone)
	gone = served() // before
	gone.Cause, gone.Status = accesslog.CauseClientGone, 0
	f.Attempt(gone)

	unconfigured := served()
	unconfigured.ModelLabel = accesslog.OtherLabel
	f.Attempt(unconfigured)

	f.store.Tick(start)
	near := cmp.Comparer(func(a, b float64) bool { return a >= b*.95 && a <= b*1.05 })
	if diff := cmp.Diff(&rolling.Numbers{RequestCount: 1, Errors: rolling.Errors{ErrorTotal: 1, ErrorRateLimit: 1}}, f.store.Model("openai", "gpt-x").Read(), near); diff != "" {
		t.Error(diff)
	}
	want := &rolling.Numbers{RequestCount: 2, UpstreamAvg: 2000, UpstreamP95: 2000, TTFTAvg: 300, TTFTP95: 300}
	if diff := cmp.Diff(want, f.store.Model("azure", "gpt-x-2026").Read(), near); diff != "" {
		t.Error(diff)
	}
	if got := f.store.Model("azure", accesslog.OtherLabel).Read(); got != nil {
		t.Errorf("a model that is not configured has %+v", got)
	}
	k := f.store.Key("main").Read()
	if k.ErrorRateLimit != 1 || k.RemainingRequests != (rolling.Remaining{Value: 0, Known: true}) || k.RemainingTokens.Known {
		t.Errorf("key main: %+v", k)
	}
	k = f.store.Key("west").Read()
	if k.RequestCount != 3 || k.ErrorTotal != 0 || k.RemainingRequests != (rolling.Remaining{Value: 59, Known: true}) {
		t.Errorf("key west: %+v", k)
	}
}

func TestClasses(t *testing.T) {
	for cause, want := range map[string]rolling.Class{
		"": rolling.OK, accesslog.CauseTimeout: rolling.Timeout, accesslog.CauseRateLimit: rolling.RateLimit, accesslog.CauseAuth: rolling.Client,
		accesslog.CauseStatus4xx: rolling.Client, accesslog.CauseStatus5xx: rolling.Server, accesslog.CauseConnectFailure: rolling.Server,
		accesslog.CauseReset: rolling.Server, accesslog.CauseOther: rolling.Server,
	} {
		if o, ok := outcomeOf(&accesslog.Attempt{Cause: cause, Status: 200}); !ok || o.Class != want {
			t.Errorf("%q is class %d, want %d", cause, o.Class, want)
		}
	}
}

// The memory of a record may be used again.
func TestKeepsNothing(t *testing.T) {
	f := newFixture()
	memory := []byte("openai")
	a := failed()
	a.Provider = unsafe.String(&memory[0], len(memory))
	a.ModelLabel, a.ProviderKey = a.Provider, a.Provider
	f.Attempt(a)
	copy(memory, "XXXXXX")
	f.store.Tick(start)
	if got := f.store.Model("openai", "openai").Read().RequestCount; got != 1 {
		t.Errorf("%d attempts at openai", got)
	}
	if got := f.store.Key("openai").Read().RequestCount; got != 1 {
		t.Errorf("%d attempts with the key openai", got)
	}
	copy(memory, "openai")
	f.Attempt(a)
	if got := f.exposed(t); !strings.Contains(got, `weir_attempts_total{model="openai",outcome="rate_limit",provider="openai"} 2`) || strings.Contains(got, "XX") {
		t.Error(got)
	}
}

func TestConcurrent(t *testing.T) {
	f := newFixture()
	ctx, stop := context.WithCancel(context.Background())
	var writers, runner sync.WaitGroup
	runner.Go(func() { _ = f.Run(ctx) })
	for i := range 4 {
		writers.Go(func() {
			for j := range 500 {
				a, r := served(), request()
				a.Provider = strconv.Itoa((i + j) % 7)
				r.Provider = a.Provider
				f.Attempt(a)
				f.Request(r)
			}
		})
	}
	writers.Wait()
	stop()
	runner.Wait()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got := strings.Count(f.log.String(), "\n"); got != 4000 {
		t.Errorf("%d lines, want 4000", got)
	}
	if got := testutil.ToFloat64(f.metrics.dropped); got != 0 {
		t.Errorf("%v lines dropped", got)
	}
}

func TestAllocations(t *testing.T) {
	f := newFixture()
	f.Recorder.log = newLines(io.Discard, f.metrics.dropped)
	a, r := served(), request()
	a.Quota = llm.QuotaHeaders{}
	record := func() {
		f.Attempt(a)
		f.Request(r)
		f.log.Reset()
		f.Recorder.log.flush()
	}
	record()
	record()
	if n := testing.AllocsPerRun(1000, record); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func benchmark(b *testing.B, log io.Writer) {
	f := New(Config{Registerer: prometheus.NewRegistry(), Rolling: rolling.New(time.Minute), Log: log, Now: time.Now})
	a, r := served(), request()
	b.ReportAllocs()
	for b.Loop() {
		f.Attempt(a)
		f.Request(r)
		if log != nil && len(f.log.pending) > flushAt {
			f.log.flush()
		}
	}
}

func BenchmarkRecords(b *testing.B) { benchmark(b, nil) }

func BenchmarkRecordsAndLog(b *testing.B) { benchmark(b, io.Discard) }

// Lines of refused requests without a key are bounded, whatever comes; those of
// requests with a key, and the metrics, are complete.
func TestRefusalsAreSampled(t *testing.T) {
	f := newFixture()
	now := start
	f.now = func() time.Time { return now }
	without := func(code, rejected string) *accesslog.Request {
		q := refused()
		q.Code, q.Rejected = code, rejected
		return q
	}
	keyed := refused()
	keyed.Key, keyed.KeyID = "team-a", "aigk_1"
	attempted := refused()
	attempted.Attempts, attempted.Cause = 1, accesslog.CauseConnectFailure
	away := &accesslog.Request{Cause: accesslog.CauseRejected, Rejected: "ext_proc_error_gRPC_error_14", Status: 503}
	gone := &accesslog.Request{Cause: accesslog.CauseClientGone, ClientGone: true}
	const n = 500
	for range n {
		f.Request(without("invalid_api_key", ""))
		f.Request(without("unknown_path", ""))
		f.Request(without("", "http1.codec_error"))
		f.Request(gone)
		f.Request(keyed)
		f.Request(attempted)
		f.Request(away)
		f.Request(request())
	}
	count := func(part string) int { f.Recorder.log.flush(); return strings.Count(f.log.String(), part) }
	if got, want := count(`"kind":"request"`), 4*n+4*sample.Burst; got != want {
		t.Errorf("%d lines, want %d", got, want)
	}
	f.Sweep()
	if got := count(`"suppressed":`); got != 0 {
		t.Errorf("%d lines tell of suppressed ones while more may follow", got)
	}
	now = now.Add(sample.Every)
	f.Request(without("invalid_api_key", ""))
	f.Sweep()
	left := strconv.Itoa(n - sample.Burst)
	for _, want := range []string{
		`"code":"invalid_api_key","rejected":"","duration_ms":1.000,"first_byte_ms":null,"last_byte_ms":null,"stream":false,"client_gone":false,"truncated":false,"tokens":null,"usage_estimated":false,"client_ip":"2001:db8::1","bytes_in":30,"bytes_out":99,"suppressed":` + left + "}\n",
		`"kind":"suppressed","cause":"refused","code":"unknown_path","rejected":"","suppressed":` + left + "}\n",
		`"kind":"suppressed","cause":"refused","code":"","rejected":"http1.codec_error","suppressed":` + left + "}\n",
		`"kind":"suppressed","cause":"client_gone","code":"","rejected":"","suppressed":` + left + "}\n",
	} {
		if got := count(want); got != 1 {
			t.Errorf("%d times in the log: %s", got, want)
		}
	}
	for range 2 {
		f.Request(without("invalid_api_key", ""))
	}
	f.Close()
	if got := count(`"code":"invalid_api_key","rejected":"","suppressed":2}`); got != 1 {
		t.Error("the end does not tell of the last ones")
	}
	for line := range strings.Lines(f.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if got := testutil.ToFloat64(f.metrics.suppressed); got != 4*(n-sample.Burst)+2 {
		t.Errorf("%v lines counted as suppressed", got)
	}
	if got := testutil.ToFloat64(f.metrics.requestRecords); got != 8*n+3 {
		t.Errorf("%v records counted", got)
	}
}

// Whatever Envoy gives as a reason, the kinds are bounded.
func TestRefusalKindsAreBounded(t *testing.T) {
	var r refusals
	passed := 0
	for i := range 10 * maxReasons {
		if _, ok := r.take(&accesslog.Request{Rejected: strconv.Itoa(i)}, start); ok {
			passed++
		}
	}
	if len(r.samplers) > maxReasons+1 || passed > maxReasons+sample.Burst {
		t.Errorf("%d kinds, %d lines", len(r.samplers), passed)
	}
}

package extproc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/structpb"

	"weir/extproc"
	"weir/extproc/admit"
	"weir/extproc/wire"
	"weir/identity"
	"weir/metadata"
	"weir/policy"
	"weir/telemetry/limits"
)

var update = flag.Bool("update", false, "write the messages that Weir sends into testdata; read the difference before you keep it")

// TestTranscripts compares Weir's replies to messages of Envoy. Each file in
// testdata has a configuration (weir.yaml) and sections; a section is a
// conversation over a gRPC server in memory. Lines of a section:
//
//	# text                        a comment
//	request [NAME=VALUE]…         a new request and its stream, with attributes
//	decided PATH BODY             a request whose messages are not shown
//	retry N CLUSTER               the stream of attempt N of the request
//	gate | watch | failed CLUSTER the stream of its response, from one of three filters
//	stream [NAME=VALUE]…          a stream with no other attributes than these
//	metadata NAMESPACE FIELD TEXT changes what Envoy keeps for the request
//	on N                          what follows is about the N-th stream again
//	> KIND [end] [TEXT]           a message to Weir; TEXT is a body; indented lines are headers,
//	                              those of METHOD PATH or STATUS TYPE come before them
//	> closes | > leaves           Envoy closes its side, or cancels the stream
//	< …                           what Weir sends, or how it ends the stream, until it waits
//	after DURATION                time passes
//	ended ID                      Envoy's log reports the end of a request
//	unreported N                  Envoy's log reports nothing for N ticks of the limiter
//	past TEXT                     a credential that requests in flight may have
//	retired                       the clusters of the configuration are gone
//	= …                           at the end: metrics, log lines, and what still counts
//
// TEXT in double quotes is a Go string; {*3 x*} in it is xxx. Envoy's metadata is kept from stream to
// stream, as Envoy does, and each filter sees the namespaces that it sees in Envoy.
// Names of clusters end in a number instead of their hash, and the name of the
// gateway in cdn-loop is weir-own. Time is that of testing/synctest: it begins on
// 1 January 2000, and passes only where a line says so.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var config []byte
			for i := range archive.Files {
				section := &archive.Files[i]
				if strings.HasSuffix(section.Name, ".yaml") {
					config = section.Data
					continue
				}
				t.Run(section.Name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						got := newConversation(t, config).run(string(section.Data))
						if diff := cmp.Diff(string(section.Data), got); diff != "" && !*update {
							t.Errorf("(-want +got)\n%s", diff)
						}
						section.Data = []byte(got)
					})
				})
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// conversation is Envoy's side of one section.
type conversation struct {
	t       *testing.T
	policy  *policy.Policy
	keys    *identity.Index
	client  extprocv3.ExternalProcessorClient
	names   *strings.Replacer // from the names of a policy to those of a transcript
	read    *strings.Replacer // and back
	streams []*stream
	current *stream
	// metadata is what Envoy keeps for the request.
	metadata map[string]*structpb.Struct

	limiter  *admit.Limiter
	registry *prometheus.Registry
	log      bytes.Buffer
	plans    plans
	past     []string
	out      strings.Builder
}

// stream is one gRPC stream.
type stream struct {
	number     int
	messages   extprocv3.ExternalProcessor_ProcessClient
	cancel     context.CancelFunc
	attributes map[string]any // until the first message
	forwarded  []string       // namespaces of metadata
	received   chan received
	over       bool // told of
}

// received is a message of Weir, or how it ended the stream.
type received struct {
	message *extprocv3.ProcessingResponse
	err     error
}

// plans stands for the record of which clusters requests need.
type plans struct {
	mu      sync.Mutex
	entered int
	needed  map[string][]string
	retired bool
}

func (p *plans) Enter(*policy.Policy) { p.locked(func() { p.entered++ }) }

func (p *plans) Leave(*policy.Policy) { p.locked(func() { p.entered-- }) }

func (p *plans) Done(id string) { p.locked(func() { delete(p.needed, id) }) }

func (p *plans) locked(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *plans) Plan(id string, _ *policy.Policy, attempts []policy.Attempt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range attempts {
		p.needed[id] = append(p.needed[id], a.Cluster.Name)
	}
	if p.retired {
		delete(p.needed, id)
	}
	return !p.retired
}

func newConversation(t *testing.T, config []byte) *conversation {
	t.Helper()
	current, keys, problems := policy.Load(policy.Source{
		File: "weir.yaml", Data: config,
		Getenv: func(string) string { return "" },
		ReadFile: func(name string) ([]byte, error) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
	})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	c := &conversation{t: t, policy: current, keys: keys.Index, limiter: admit.New(), registry: prometheus.NewRegistry(), plans: plans{needed: map[string][]string{}}}
	c.names, c.read = names(t, current)
	c.limiter.Configure(admit.Settings{Total: admit.Limits(current.Limits.Total), MaxWait: current.Limits.MaxWait})
	log := slog.New(slog.NewTextHandler(&c.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	reached := limits.New(slog.New(slog.DiscardHandler), time.Now)
	c.registry.MustRegister(reached)
	processor := extproc.New(
		func() extproc.Current { return extproc.Current{Policy: current, Keys: keys.Index} }, log, extproc.NewMetrics(c.registry),
		c.limiter, extproc.NewReached(reached, c.limiter.Usage), &c.plans, nil, func(string) []string { return c.past },
	)
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(wire.ServerOptions(16 << 20)...)
	wire.Register(server, processor)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range c.streams {
			s.cancel()
		}
		if err := errors.Join(conn.Close(), listener.Close()); err != nil {
			t.Error(err)
		}
		server.Stop()
		<-served
	})
	c.client = extprocv3.NewExternalProcessorClient(conn)
	return c
}

// names replaces what depends on hashes by names that do not.
func names(t *testing.T, p *policy.Policy) (written, read *strings.Replacer) {
	t.Helper()
	hop, err := p.Hop("")
	if err != nil {
		t.Fatal(err)
	}
	w, r := []string{hop, "weir-own"}, []string{"weir-own", hop}
	numbers := map[string]int{}
	clusters := slices.SortedFunc(slices.Values(p.Clusters), func(a, b *policy.Cluster) int {
		return strings.Compare(a.Provider+" "+a.Base.String()+" "+a.Key, b.Provider+" "+b.Base.String()+" "+b.Key)
	})
	for _, cluster := range clusters {
		numbers[cluster.Provider]++
		name := "weir/" + cluster.Provider + "/" + strconv.Itoa(numbers[cluster.Provider])
		w, r = append(w, cluster.Name, name), append(r, name, cluster.Name)
	}
	return strings.NewReplacer(w...), strings.NewReplacer(r...)
}

const indent = "    "

// inputs are the lines of a section without what Weir said.
func inputs(section string) []string {
	var out []string
	said := false
	for line := range strings.Lines(section) {
		if line = strings.TrimRight(line, "\n"); !strings.HasPrefix(line, indent) {
			said = strings.HasPrefix(line, "<") || strings.HasPrefix(line, "=")
		}
		if !said {
			out = append(out, line)
		}
	}
	return out
}

// run plays a section and returns it with what Weir says.
func (c *conversation) run(section string) string {
	lines := inputs(section)
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		c.out.WriteString(line + "\n")
		var indented []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], indent) {
			i++
			c.out.WriteString(lines[i] + "\n")
			indented = append(indented, c.read.Replace(strings.TrimPrefix(lines[i], indent)))
		}
		c.step(c.read.Replace(line), indented)
		synctest.Wait()
		c.collect()
	}
	c.state()
	return c.names.Replace(c.out.String())
}

func (c *conversation) step(line string, headers []string) {
	c.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	switch words := strings.Fields(rest); verb {
	case "", "#":
	case "request":
		c.metadata = map[string]*structpb.Struct{}
		c.open(nil, attributes(words, map[string]any{"source.address": "203.0.113.7:50000", "request.protocol": "HTTP/1.1"}))
	case "decided":
		path, body, _ := strings.Cut(rest, " ")
		c.step("request", nil)
		c.send("request_headers POST "+path, nil)
		c.send("request_body end "+body, nil)
		synctest.Wait()
		for r := range c.current.received {
			if r.err == nil {
				c.written(r.message) // which keeps the metadata
			}
		}
		c.current.over = true
	case "retry":
		n, err := strconv.Atoi(words[0])
		c.check(err)
		c.open([]string{metadata.PlanNamespace, metadata.GateNamespace}, map[string]any{"upstream.request_attempt_count": n, "xds.cluster_name": words[1]})
	case "gate":
		c.open([]string{metadata.GateNamespace}, nil)
	case "watch":
		c.open([]string{metadata.GateNamespace}, map[string]any{metadata.WatchAttribute: "HTTP/1.1"})
	case "failed":
		c.open([]string{metadata.PlanNamespace}, map[string]any{"xds.cluster_name": words[0]})
	case "stream":
		c.open([]string{metadata.PlanNamespace, metadata.GateNamespace}, attributes(words, map[string]any{}))
	case "metadata":
		namespace, rest, _ := strings.Cut(rest, " ")
		field, value, _ := strings.Cut(rest, " ")
		c.keep(namespace, field, structpb.NewStringValue(text(value)))
	case "on":
		n, err := strconv.Atoi(words[0])
		c.check(err)
		c.current = c.streams[n-1]
	case ">":
		c.send(rest, headers)
	case "after":
		d, err := time.ParseDuration(words[0])
		c.check(err)
		time.Sleep(d)
	case "ended":
		c.limiter.Ended(words[0])
	case "unreported":
		n, err := strconv.Atoi(words[0])
		c.check(err)
		for range n {
			c.limiter.Tick()
		}
	case "past":
		c.past = append(c.past, text(rest))
	case "retired":
		c.plans.retired = true
	default:
		c.t.Fatalf("line %q", line)
	}
}

func (c *conversation) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func attributes(words []string, out map[string]any) map[string]any {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		if out[name] = value; value == "" {
			delete(out, name)
		}
	}
	return out
}

var repeated = regexp.MustCompile(`\{\*(\d+) (.*?)\*\}`)

// text reads a text of a transcript.
func text(s string) string {
	s = repeated.ReplaceAllStringFunc(s, func(found string) string {
		m := repeated.FindStringSubmatch(found)
		n, _ := strconv.Atoi(m[1])
		return strings.Repeat(m[2], n)
	})
	if unquoted, err := strconv.Unquote(s); err == nil {
		return unquoted
	}
	return s
}

// quoted writes a text so that text reads it.
func quoted(s string) string {
	plain := strconv.Quote(s)
	if len(plain) == len(s)+2+strings.Count(s, `"`)+strings.Count(s, `\`) && text(s) == s && strings.TrimSpace(s) == s && s != "" {
		return s
	}
	return plain
}

func (c *conversation) keep(namespace, field string, value *structpb.Value) {
	if c.metadata == nil {
		c.metadata = map[string]*structpb.Struct{}
	}
	if c.metadata[namespace] == nil {
		c.metadata[namespace] = &structpb.Struct{Fields: map[string]*structpb.Value{}}
	}
	c.metadata[namespace].Fields[field] = value
}

func (c *conversation) open(forwarded []string, attributes map[string]any) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	messages, err := c.client.Process(ctx)
	c.check(err)
	s := &stream{number: len(c.streams) + 1, messages: messages, cancel: cancel, attributes: attributes, forwarded: forwarded, received: make(chan received, 100)}
	c.streams, c.current = append(c.streams, s), s
	go func() {
		defer close(s.received)
		for {
			m, err := messages.Recv()
			s.received <- received{m, err}
			if err != nil {
				return
			}
		}
	}()
}

// send sends what a line that begins with '>' says.
func (c *conversation) send(line string, headers []string) {
	c.t.Helper()
	s := c.current
	kind, rest, _ := strings.Cut(line, " ")
	body, end := strings.CutPrefix(rest, "end")
	body = text(strings.TrimSpace(body))
	headers = append(s.usual(kind, strings.Fields(body)), headers...)
	m := &extprocv3.ProcessingRequest{}
	switch kind {
	case "closes":
		c.check(s.messages.CloseSend())
		return
	case "leaves":
		s.cancel()
		return
	case "request_headers":
		m.Request = &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{Headers: headerMap(headers), EndOfStream: end}}
	case "response_headers":
		m.Request = &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extprocv3.HttpHeaders{Headers: headerMap(headers), EndOfStream: end}}
	case "request_body":
		m.Request = &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte(body), EndOfStream: end}}
	case "response_body":
		m.Request = &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: []byte(body), EndOfStream: end}}
	case "request_trailers":
		m.Request = &extprocv3.ProcessingRequest_RequestTrailers{RequestTrailers: &extprocv3.HttpTrailers{Trailers: headerMap(headers)}}
	case "response_trailers":
		m.Request = &extprocv3.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extprocv3.HttpTrailers{Trailers: headerMap(headers)}}
	case "nothing":
	default:
		c.t.Fatalf("kind of message %q", kind)
	}
	if len(s.attributes) > 0 {
		values, err := structpb.NewStruct(s.attributes)
		c.check(err)
		m.Attributes = map[string]*structpb.Struct{"envoy.filters.http.ext_proc": values}
		s.attributes = nil
	}
	for _, namespace := range s.forwarded {
		if fields := c.metadata[namespace]; fields != nil {
			if m.MetadataContext == nil {
				m.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
			}
			m.MetadataContext.FilterMetadata[namespace] = fields
		}
	}
	if err := s.messages.Send(m); err != nil && !errors.Is(err, io.EOF) {
		c.t.Fatal(err)
	}
}

// usual are the headers that the line of a message with headers stands for:
// METHOD PATH of a request, STATUS [TYPE] of a response.
func (s *stream) usual(kind string, words []string) []string {
	switch {
	case kind == "request_headers" && len(words) == 2:
		return []string{":method: " + words[0], ":path: " + words[1], ":authority: localhost", "x-request-id: request-" + strconv.Itoa(s.number)}
	case kind == "response_headers" && len(words) == 1:
		return []string{":status: " + words[0]}
	case kind == "response_headers" && len(words) > 1:
		return []string{":status: " + words[0], "content-type: " + strings.Join(words[1:], " ")}
	}
	return nil
}

func headerMap(lines []string) *corev3.HeaderMap {
	out := &corev3.HeaderMap{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		out.Headers = append(out.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(text(value))})
	}
	return out
}

// collect writes what has arrived.
func (c *conversation) collect() {
	for _, s := range c.streams {
		prefix := "< "
		if s != c.current {
			prefix = "< (" + strconv.Itoa(s.number) + ") "
		}
		for waiting := !s.over; waiting; {
			select {
			case got, ok := <-s.received:
				if s.over = !ok; ok {
					c.out.WriteString(prefix + c.said(got))
				}
				waiting = ok
			default:
				waiting = false
			}
		}
	}
}

func (c *conversation) said(r received) string {
	switch {
	case r.err == nil:
		return c.written(r.message)
	case errors.Is(r.err, io.EOF):
		return "ends\n"
	}
	return fmt.Sprintf("ends with %s: %s\n", status.Code(r.err), quoted(status.Convert(r.err).Message()))
}

// written is a message as a transcript has it: every field, in the order of the
// protocol.
func (c *conversation) written(m *extprocv3.ProcessingResponse) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, indent+format+"\n", args...) }
	var common *extprocv3.CommonResponse
	switch r := m.GetResponse().(type) {
	case *extprocv3.ProcessingResponse_RequestHeaders:
		fmt.Fprintln(&b, "request_headers")
		common = r.RequestHeaders.GetResponse()
	case *extprocv3.ProcessingResponse_ResponseHeaders:
		fmt.Fprintln(&b, "response_headers")
		common = r.ResponseHeaders.GetResponse()
	case *extprocv3.ProcessingResponse_RequestBody:
		fmt.Fprintln(&b, "request_body")
		common = r.RequestBody.GetResponse()
	case *extprocv3.ProcessingResponse_ResponseBody:
		fmt.Fprintln(&b, "response_body")
		common = r.ResponseBody.GetResponse()
	case *extprocv3.ProcessingResponse_ResponseTrailers:
		fmt.Fprintln(&b, "response_trailers")
		common = &extprocv3.CommonResponse{HeaderMutation: r.ResponseTrailers.GetHeaderMutation()}
	case *extprocv3.ProcessingResponse_ImmediateResponse:
		i := r.ImmediateResponse
		fmt.Fprintf(&b, "immediate_response %d %s\n", i.GetStatus().GetCode(), i.GetDetails())
		common = &extprocv3.CommonResponse{HeaderMutation: i.GetHeaders()}
		if len(i.GetBody()) > 0 {
			common.BodyMutation = &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: i.GetBody()}}
		}
	default:
		fmt.Fprintln(&b, "nothing")
	}
	for _, h := range common.GetHeaderMutation().GetSetHeaders() {
		verb := "set"
		if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			verb = h.GetAppendAction().String()
		}
		line("%s %s: %s", verb, h.GetHeader().GetKey(), quoted(h.GetHeader().GetValue()+string(h.GetHeader().GetRawValue())))
	}
	for _, name := range common.GetHeaderMutation().GetRemoveHeaders() {
		line("remove %s", name)
	}
	if common.GetClearRouteCache() {
		line("clear_route_cache")
	}
	if mutation := common.GetBodyMutation(); mutation != nil {
		line("body %s", quoted(string(mutation.GetBody())))
	}
	if common.GetStatus() != extprocv3.CommonResponse_CONTINUE {
		line("%s", common.GetStatus())
	}
	if mode := m.GetModeOverride(); mode != nil {
		options := prototext.Format(mode)
		line("mode_override %s", strings.Join(strings.Fields(options), " "))
	}
	for _, namespace := range slices.Sorted(maps.Keys(m.GetDynamicMetadata().GetFields())) {
		fields := m.GetDynamicMetadata().GetFields()[namespace].GetStructValue().GetFields()
		if len(fields) == 0 {
			line("metadata %s", namespace)
		}
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			c.keep(namespace, field, fields[field])
			if _, ok := fields[field].GetKind().(*structpb.Value_StringValue); ok {
				line("metadata %s %s %s", namespace, field, quoted(fields[field].GetStringValue()))
				continue
			}
			value, err := json.Marshal(fields[field].AsInterface())
			c.check(err)
			line("metadata %s %s %s", namespace, field, value)
		}
	}
	if m.GetOverrideMessageTimeout() != nil || len(m.ProtoReflect().GetUnknown()) > 0 {
		line("more: %s", prototext.Format(m))
	}
	return b.String()
}

// state writes what the section leaves behind: metrics that are not zero, lines of
// the log, what counts as running, and which clusters are needed.
func (c *conversation) state() {
	families, err := c.registry.Gather()
	c.check(err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := strings.TrimSuffix(family.GetName()+" "+strings.Join(labels, " "), " ")
			if h := m.GetHistogram(); h.GetSampleCount() > 0 {
				fmt.Fprintf(&c.out, "= %s %d in %gs\n", name, h.GetSampleCount(), h.GetSampleSum())
			}
			if n := m.GetCounter().GetValue(); n > 0 {
				fmt.Fprintf(&c.out, "= %s %g\n", name, n)
			}
		}
	}
	if usage := c.limiter.Usage(); usage.Requests > 0 {
		fmt.Fprintf(&c.out, "= running %d with %d bytes\n", usage.Requests, usage.BodyBytes)
	}
	for _, id := range slices.Sorted(maps.Keys(c.plans.needed)) {
		fmt.Fprintf(&c.out, "= %s needs %s\n", id, strings.Join(c.plans.needed[id], " "))
	}
	if c.plans.entered != 0 {
		fmt.Fprintf(&c.out, "= decisions that have not ended: %d\n", c.plans.entered)
	}
	for line := range strings.Lines(c.log.String()) {
		fmt.Fprint(&c.out, "= log ", line)
	}
}

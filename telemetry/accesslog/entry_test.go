package accesslog

import (
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	logv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"weir/llm"
	"weir/metadata"
)

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func logMessage(log string, entries ...*logv3.HTTPAccessLogEntry) *alsv3.StreamAccessLogsMessage {
	m := &alsv3.StreamAccessLogsMessage{LogEntries: &alsv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &alsv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries},
	}}
	if log != "" {
		m.Identifier = &alsv3.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{Id: "n", Cluster: "c"}, LogName: log}
	}
	return m
}

func decode(t *testing.T, e *logv3.HTTPAccessLogEntry) (out entry) {
	t.Helper()
	n := 0
	m := message{take: func(_ string, e *entry) { n, out = n+1, *e }}
	if err := m.ReadMessage(encode(t, logMessage("", e))); err != nil || n != 1 {
		t.Fatalf("%d entries, %v", n, err)
	}
	return out
}

func metadataOf(fields map[string]any) *corev3.Metadata {
	s, err := structpb.NewStruct(fields)
	if err != nil {
		panic(err)
	}
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		metadata.PlanNamespace: s,
		"another":              {Fields: map[string]*structpb.Value{metadata.LogField: structpb.NewStringValue("not ours")}},
	}}
}

func inNamespace(name string, fields map[string]any) *logv3.AccessLogCommon {
	m := metadataOf(fields)
	return &logv3.AccessLogCommon{Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{name: m.FilterMetadata[metadata.PlanNamespace]}}}
}

// Each field is read from where Envoy's own types put it.
func TestEntryFields(t *testing.T) {
	start := time.Unix(1_800_000_000, 123_456_789)
	for name, c := range map[string]struct {
		common   *logv3.AccessLogCommon
		request  *logv3.HTTPRequestProperties
		response *logv3.HTTPResponseProperties
		want     entry
	}{
		"nothing":    {},
		"request id": {request: &logv3.HTTPRequestProperties{RequestId: "r", UserAgent: "ua"}, want: entry{requestID: "r"}},
		"path":       {request: &logv3.HTTPRequestProperties{RequestMethod: corev3.RequestMethod_DELETE, Path: "/x?key=secret"}, want: entry{method: "DELETE", path: "/x"}},
		"long path":  {request: &logv3.HTTPRequestProperties{RequestMethod: 99, Path: strings.Repeat("/x", maxPath)}, want: entry{path: strings.Repeat("/x", maxPath/2)}},
		"connect failure": {common: &logv3.AccessLogCommon{UpstreamCluster: "weir/refusing", UpstreamTransportFailureReason: "delayed connect error: Connection refused"},
			want: entry{upstream: "weir/refusing", transport: "delayed connect error: Connection refused"}},
		"bytes in": {request: &logv3.HTTPRequestProperties{RequestBodyBytes: 1 << 40, RequestHeadersBytes: 7}, want: entry{bytesIn: 1 << 40}},
		"client": {common: &logv3.AccessLogCommon{
			DownstreamRemoteAddress: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: "2001:db8::1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 9},
			}}},
			DownstreamDirectRemoteAddress: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "192.0.2.1"}}},
		}, want: entry{clientIP: "2001:db8::1", clientPort: 9}},
		"client without address": {common: &logv3.AccessLogCommon{DownstreamRemoteAddress: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/x"}}}}},
		"start":                  {common: &logv3.AccessLogCommon{StartTime: timestamppb.New(start)}, want: entry{start: start}},
		"duration":               {common: &logv3.AccessLogCommon{Duration: durationpb.New(90*time.Second + 5)}, want: entry{duration: 90*time.Second + 5}},
		"first byte":             {common: &logv3.AccessLogCommon{TimeToFirstUpstreamRxByte: durationpb.New(7), TimeToFirstUpstreamTxByte: durationpb.New(1)}, want: entry{firstByte: 7, sent: 1}},
		"received":               {common: &logv3.AccessLogCommon{TimeToLastRxByte: durationpb.New(6)}, want: entry{received: 6}},
		"judged": {response: &logv3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(502), ResponseHeaders: map[string]string{metadata.CauseHeader: metadata.Cause{Name: CauseEmptyResponse, Status: 204}.Encode()}},
			want: entry{status: 204, judged: CauseEmptyResponse, judgedStatus: 204}},
		"judged by another": {response: &logv3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(502), ResponseHeaders: map[string]string{metadata.CauseHeader: metadata.Cause{Name: "x", Status: 204}.Encode()}}, want: entry{status: 502}},
		"last byte":         {common: &logv3.AccessLogCommon{TimeToLastUpstreamRxByte: durationpb.New(8), TimeToLastUpstreamTxByte: durationpb.New(1)}, want: entry{lastByte: 8}},
		"attempts":          {common: &logv3.AccessLogCommon{UpstreamRequestAttemptCount: 3}, want: entry{attempts: 3}},
		"periodic":          {common: &logv3.AccessLogCommon{AccessLogType: logv3.AccessLogType_DownstreamPeriodic}, want: entry{running: true}},
		"end":               {common: &logv3.AccessLogCommon{AccessLogType: logv3.AccessLogType_DownstreamEnd}},
		"end of an attempt": {common: &logv3.AccessLogCommon{AccessLogType: logv3.AccessLogType_UpstreamEnd}},
		"status":            {response: &logv3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(529)}, want: entry{status: 529}},
		"bytes out":         {response: &logv3.HTTPResponseProperties{ResponseBodyBytes: 1 << 41, ResponseHeadersBytes: 3}, want: entry{bytesOut: 1 << 41}},
		"details":           {response: &logv3.HTTPResponseProperties{ResponseCodeDetails: "weir_x"}, want: entry{details: "weir_x"}},
		"quota": {response: &logv3.HTTPResponseProperties{ResponseHeaders: map[string]string{"retry-after": "20", "x-other": "y"}},
			want: entry{quota: quota("retry-after", "20")}},
		"quota in a trailer": {response: &logv3.HTTPResponseProperties{ResponseTrailers: map[string]string{"retry-after": "20"}}},
		"context":            {common: &logv3.AccessLogCommon{Metadata: metadataOf(map[string]any{metadata.LogField: "a\nb"})}, want: entry{context: "a\nb"}},
		"rejected":           {common: &logv3.AccessLogCommon{Metadata: metadataOf(map[string]any{metadata.RejectedField: "m", "plan": "p"})}, want: entry{rejected: "m"}},
		"refused":            {common: &logv3.AccessLogCommon{Metadata: metadataOf(map[string]any{metadata.RefusedField: true})}, want: entry{refused: true}},
		"found": {common: inNamespace(metadata.ResponseNamespace, map[string]any{
			llm.StatedField: `{"output_tokens":3}`, llm.BegunField: `{"input_tokens":3}`, metadata.SampleField: "1 2 3 4", metadata.EndedField: 1, "x": "y",
		}), want: entry{usage: llm.Usage{Stated: `{"output_tokens":3}`, Begun: `{"input_tokens":3}`, Sample: "1 2 3 4"}, ended: true}},
		"truncated": {common: inNamespace(metadata.ResponseNamespace, map[string]any{metadata.TruncatedField: 1}), want: entry{truncated: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got := decode(t, &logv3.HTTPAccessLogEntry{CommonProperties: c.common, Request: c.request, Response: c.response})
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(entry{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// The numbers of flags are those of Envoy's type, which may grow.
func TestFlags(t *testing.T) {
	fields := (&logv3.ResponseFlags{}).ProtoReflect().Descriptor().Fields()
	for name, number := range map[protoreflect.Name]protowire.Number{
		"no_healthy_upstream": noHealthyUpstream, "upstream_request_timeout": upstreamTimeout, "local_reset": localReset,
		"upstream_remote_reset": upstreamReset, "upstream_connection_failure": connectionFailure,
		"upstream_connection_termination": connectionTermination, "downstream_connection_termination": clientConnectionClosed,
		"stream_idle_timeout": streamIdleTimeout, "upstream_max_stream_duration_reached": maxDurationReached,
		"duration_timeout": durationTimeout, "upstream_protocol_error": upstreamProtocolError,
		"dns_resolution_failure": dnsFailure, "downstream_remote_reset": clientReset,
		"overload_manager": overloadManager,
	} {
		field := fields.ByName(name)
		if field == nil {
			t.Errorf("Envoy has no flag %s", name)
			continue
		}
		f := &logv3.ResponseFlags{}
		f.ProtoReflect().Set(field, protoreflect.ValueOfBool(true))
		got := decode(t, &logv3.HTTPAccessLogEntry{CommonProperties: &logv3.AccessLogCommon{ResponseFlags: f}}).flags
		if got != 1<<number {
			t.Errorf("%s is %b, want bit %d", name, got, number)
		}
	}
	for i := range fields.Len() {
		if n := fields.Get(i).Number(); n >= 64 {
			t.Errorf("flag %s has the number %d", fields.Get(i).Name(), n)
		}
	}
}

// The name comes once for each stream; entries of any number with it or after.
func TestMessages(t *testing.T) {
	one := &logv3.HTTPAccessLogEntry{Request: &logv3.HTTPRequestProperties{RequestId: "1"}}
	two := &logv3.HTTPAccessLogEntry{Request: &logv3.HTTPRequestProperties{RequestId: "2"}}
	var got []string
	m := message{take: func(log string, e *entry) { got = append(got, log+" "+e.requestID) }}
	for _, sent := range []*alsv3.StreamAccessLogsMessage{
		logMessage("a", one, two), logMessage("", one), {},
		{LogEntries: &alsv3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &alsv3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: []*logv3.TCPAccessLogEntry{{}}}}},
		logMessage("b", two),
	} {
		if err := m.ReadMessage(encode(t, sent)); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"a 1", "a 2", "a 1", "b 2"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := m.ReadMessage([]byte{0xff}); err == nil {
		t.Error("what is no message is read without an error")
	}
}

// quota returns the headers of a response with one of them.
func quota(name, value string) (h llm.QuotaHeaders) {
	h.Set(name, value)
	return h
}

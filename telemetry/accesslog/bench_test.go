package accesslog

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	logv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"weir/metadata"
)

// logged is an entry of a request that one attempt answered, with what Envoy
// 1.40 sends of it.
func logged() *logv3.HTTPAccessLogEntry {
	address := func(ip string, port uint32) *corev3.Address {
		return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
		}}}
	}
	c := metadata.LogContext{Operation: "chat", Asked: "p:m", KeyID: "0123456789abcdef", Key: "team", Attempts: []metadata.LoggedAttempt{{Cluster: "weir/p/0123456789abcdef", Model: "m"}}}
	return &logv3.HTTPAccessLogEntry{
		CommonProperties: &logv3.AccessLogCommon{
			DownstreamRemoteAddress: address("192.0.2.1", 50123), DownstreamLocalAddress: address("192.0.2.2", 10000),
			DownstreamDirectRemoteAddress: address("192.0.2.1", 50123), UpstreamRemoteAddress: address("192.0.2.3", 443), UpstreamLocalAddress: address("192.0.2.2", 41234),
			StartTime: timestamppb.New(time.Unix(1_800_000_000, 0)), Duration: durationpb.New(time.Second),
			TimeToLastRxByte: durationpb.New(1), TimeToFirstUpstreamTxByte: durationpb.New(2), TimeToLastUpstreamTxByte: durationpb.New(3),
			TimeToFirstUpstreamRxByte: durationpb.New(4), TimeToLastUpstreamRxByte: durationpb.New(5),
			TimeToFirstDownstreamTxByte: durationpb.New(6), TimeToLastDownstreamTxByte: durationpb.New(7),
			UpstreamCluster: "weir/p/0123456789abcdef", UpstreamRequestAttemptCount: 1, AccessLogType: logv3.AccessLogType_DownstreamEnd,
			Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{metadata.PlanNamespace: {Fields: map[string]*structpb.Value{
				metadata.ModelField: structpb.NewStringValue("m"), metadata.LogField: structpb.NewStringValue(c.Encode()),
			}}}},
		},
		Request: &logv3.HTTPRequestProperties{
			RequestId: "6f1c1a52-1111-4222-8333-444455556666", Path: "/v1/chat/completions", Authority: "api.example.com", Scheme: "https",
			UserAgent: "a client/1.0", RequestMethod: corev3.RequestMethod_POST, RequestHeadersBytes: 300, RequestBodyBytes: 1024,
		},
		Response: &logv3.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(200), ResponseHeadersBytes: 200, ResponseBodyBytes: 1000, ResponseCodeDetails: "via_upstream",
			ResponseHeaders: map[string]string{"x-ratelimit-remaining-requests": "99"},
		},
	}
}

type nowhere struct{}

func (nowhere) Attempt(*Attempt) {}

func (nowhere) Request(*Request) {}

// nofollow counts nothing.
type nofollow struct{}

func (nofollow) Running(_, _, _ string, _ int64) {}

func (nofollow) Ended(string) {}

func (nofollow) Begun(string) {}

func BenchmarkRequest(b *testing.B) {
	b.ReportAllocs()
	encoded := encode(b, logMessage(metadata.RequestLog, logged()))
	r := New(nowhere{}, nofollow{}, func() Names { return noNames{} })
	m := message{take: r.take}
	for b.Loop() {
		if err := m.ReadMessage(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

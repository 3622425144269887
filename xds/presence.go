package xds

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	otelv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"

	"weir/metadata"
)

// presenceBuffer is how much is sent at once before LogFlush has passed.
const presenceBuffer = 256 << 10

// presenceLog sends an entry for each request that went to a provider, at its
// end and while it runs, with nothing but what counting requests needs: see
// metadata.PresenceFormat. It takes the place of requestLog where there is no
// telemetry. An HTTP log entry holds a copy of everything that Envoy knows of a
// request, which costs more.
//
// Entries go through the control cluster. Envoy does not keep entries of this
// kind while Weir is not running, and a new Weir does not need them: it counts only
// requests that it has planned or that still run. The log cluster would lose entries,
// because it has no host for up to 250 ms after Weir has started.
func (b *builder) presenceLog() []*accesslogv3.AccessLog {
	config := &otelv3.OpenTelemetryAccessLogConfig{
		DisableBuiltinLabels: true,
		Body:                 &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: metadata.PresenceFormat}},
	}
	// Where it exports by gRPC, Envoy 1.40.0 ignores buffer_flush_interval outside
	// of common_config, and flushes every second.
	//lint:ignore SA1019 see above
	config.CommonConfig = &alsv3.CommonGrpcAccessLogConfig{
		LogName:             metadata.PresenceLog,
		GrpcService:         b.weir(),
		TransportApiVersion: corev3.ApiVersion_V3,
		BufferFlushInterval: duration(LogFlush),
		BufferSizeBytes:     number(presenceBuffer),
	}
	return []*accesslogv3.AccessLog{{
		Name:       "envoy.access_loggers.open_telemetry",
		Filter:     withMetadata(metadata.ModelField),
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(config)},
	}}
}

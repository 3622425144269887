package xds

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	decompressv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/decompressor/v3"
	decompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/decompressor/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"weir/llm"
	"weir/metadata"
)

// LogFlush is the longest time that Envoy holds a log entry before it sends it.
const LogFlush = 20 * time.Millisecond

const (
	// logBuffer is how much each logger of each of Envoy's workers keeps while Weir is not
	// running or does not read. Beyond that, Envoy drops entries and counts them. A
	// logger with that much sends before LogFlush has passed.
	logBuffer = 4 << 20
	// maxInflateRatio is the highest ratio of deflate. With its default bound, 100,
	// Envoy drops the rest of a response without an error.
	maxInflateRatio = 1032
)

// requestLog sends Weir an entry for each request. The entry also describes the
// attempt that succeeded, if any. Without telemetry Weir only learns which requests
// are running and which have ended.
func (b *builder) requestLog() []*accesslogv3.AccessLog {
	if !b.policy.Telemetry {
		return b.presenceLog()
	}
	return b.accessLog(metadata.RequestLog, nil, llm.QuotaHeaderNames())
}

// attemptLog sends Weir an entry for each attempt without a response, without a good
// status, or whose response Envoy knows to be broken. The receiver recognizes the
// attempts without an entry from the entry of the request.
func (b *builder) attemptLog() []*accesslogv3.AccessLog {
	if !b.policy.Telemetry {
		return nil
	}
	return b.accessLog(metadata.AttemptLog, either(statusTo(199), statusFrom(300), flags()), append([]string{metadata.CauseHeader}, llm.QuotaHeaderNames()...))
}

func (b *builder) accessLog(name string, filter *accesslogv3.AccessLogFilter, headers []string) []*accesslogv3.AccessLog {
	return []*accesslogv3.AccessLog{{
		Name:   "envoy.access_loggers.http_grpc",
		Filter: filter,
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(&alsv3.HttpGrpcAccessLogConfig{
			CommonConfig:                   b.toLog(name),
			AdditionalResponseHeadersToLog: headers,
		})},
	}}
}

// toLog configures where Envoy sends a log: to Weir, through the log cluster.
func (b *builder) toLog(name string) *alsv3.CommonGrpcAccessLogConfig {
	return &alsv3.CommonGrpcAccessLogConfig{
		LogName:             name,
		GrpcService:         grpcTo(b.options.LogCluster),
		TransportApiVersion: corev3.ApiVersion_V3,
		BufferFlushInterval: duration(LogFlush),
		BufferSizeBytes:     number(logBuffer),
	}
}

// logInterval is how often Envoy reports a running request. A failed attempt thus
// becomes known before the stream that follows it has ended.
const logInterval = 2 * time.Second

func (b *builder) accessLogOptions() *hcmv3.HttpConnectionManager_HcmAccessLogOptions {
	return &hcmv3.HttpConnectionManager_HcmAccessLogOptions{AccessLogFlushInterval: duration(logInterval)}
}

// decompressor decompresses the responses of a provider that compresses although it
// was asked not to: usage is read from plain text.
func (b *builder) decompressor() *decompressorv3.Decompressor {
	return &decompressorv3.Decompressor{
		DecompressorLibrary: b.extension("gzip", &decompressv3.Gzip{MaxInflateRatio: number(maxInflateRatio)}),
		RequestDirectionConfig: &decompressorv3.Decompressor_RequestDirectionConfig{
			CommonConfig:            &decompressorv3.Decompressor_CommonDirectionConfig{Enabled: &corev3.RuntimeFeatureFlag{DefaultValue: boolean(false), RuntimeKey: "weir.decompress_requests"}},
			AdvertiseAcceptEncoding: boolean(false),
		},
		// The provider was asked for plain text, so a proxy's no-transform cannot mean this.
		ResponseDirectionConfig: &decompressorv3.Decompressor_ResponseDirectionConfig{
			CommonConfig: &decompressorv3.Decompressor_CommonDirectionConfig{IgnoreNoTransformHeader: true},
		},
	}
}

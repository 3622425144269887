package xds

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	decompressv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/decompressor/v3"
	aiv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ai_protocol_manager/v3"
	decompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/decompressor/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	llmv3 "github.com/envoyproxy/go-control-plane/envoy/type/ai/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"weir/llm"
	"weir/metadata"
)

// usageFilter is the name by which routes configure the filter that reads token usage.
const usageFilter = "weir.usage"

// LogFlush is the longest time that Envoy holds a log entry before it sends it.
const LogFlush = 20 * time.Millisecond

const (
	// logBuffer is how much each logger of each of Envoy's workers keeps while Weir is not
	// running or does not read. Beyond that, Envoy drops entries and counts them. A
	// logger with that much sends before LogFlush has passed.
	logBuffer = 4 << 20
	// maxUsageJSON and maxUsageEvent bound what Envoy buffers of a response to find
	// the token usage in it. Embeddings are the largest responses with usage.
	maxUsageJSON  = 10 << 20
	maxUsageEvent = 4 << 20
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

// usage makes Envoy read the token usage of responses, so that Weir does not have to
// see them. Envoy 1.40 marks the filter as work in progress: only this function and
// the receiver's reading of envoy.data.ai.v3.TokenUsage depend on it.
func (b *builder) usage() *aiv3.AiProtocolManager {
	return &aiv3.AiProtocolManager{ResponseHandling: &aiv3.ResponseHandling{TokenUsage: &aiv3.TokenUsageExtraction{
		IncludeUnconfiguredRoutes: true,
		MetadataNamespace:         metadata.UsageNamespace,
		Limits: &aiv3.TokenUsageExtractionLimits{
			MaxJsonBodySize: number(maxUsageJSON),
			MaxSseEventSize: number(maxUsageEvent),
		},
	}}}
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
	}
}

// chatUsage marks a route whose responses have the usage object of chat completions
// but not their shape.
func (b *builder) chatUsage(r *routev3.Route) {
	if r.TypedPerFilterConfig == nil {
		r.TypedPerFilterConfig = map[string]*anypb.Any{}
	}
	r.TypedPerFilterConfig[usageFilter] = b.pack(&aiv3.AiProtocolManagerPerRoute{
		Response: &aiv3.ResponsePerRoute{LlmProtocol: llmv3.LLMProtocol_OPENAI_CHAT_COMPLETIONS},
	})
}

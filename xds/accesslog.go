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

	"weir/metadata"
)

// usageFilter is the name under which routes find the filter that reads usage.
const usageFilter = "weir.usage"

// LogFlush is the longest that Envoy keeps a log entry before it sends it.
const LogFlush = 20 * time.Millisecond

const (
	// logBuffer is how much each logger of each of Envoy's workers keeps while
	// Weir is gone or does not read; what is more, Envoy drops and counts.
	// Otherwise it is how much is sent before LogFlush has passed.
	logBuffer = 4 << 20
	// maxUsageJSON and maxUsageEvent bound what Envoy keeps of an answer to find
	// the token usage in it. Embeddings are the largest answers that have one.
	maxUsageJSON  = 10 << 20
	maxUsageEvent = 4 << 20
	// maxInflateRatio is what deflate can reach. At its own bound, 100, Envoy
	// leaves out the rest of an answer and tells nobody.
	maxInflateRatio = 1032
)

// requestLog sends an entry for each request to Weir. It tells all that there
// is to tell of an attempt that answered the request well. Without telemetry
// Weir learns only that a request has ended, or still runs.
func (b *builder) requestLog() []*accesslogv3.AccessLog {
	if !b.policy.Telemetry {
		return b.presenceLog()
	}
	return b.accessLog(metadata.RequestLog, nil, b.options.QuotaHeaders)
}

// attemptLog sends an entry for each attempt that had no answer, or one that is
// no success, or whose answer Envoy knows to be broken. The receiver knows
// which of them have none from the entry of the request.
func (b *builder) attemptLog() []*accesslogv3.AccessLog {
	if !b.policy.Telemetry {
		return nil
	}
	return b.accessLog(metadata.AttemptLog, either(statusTo(199), statusFrom(300), flags()), append([]string{metadata.CauseHeader}, b.options.QuotaHeaders...))
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

// toLog leads a log to Weir.
func (b *builder) toLog(name string) *alsv3.CommonGrpcAccessLogConfig {
	return &alsv3.CommonGrpcAccessLogConfig{
		LogName:             name,
		GrpcService:         grpcTo(b.options.LogCluster),
		TransportApiVersion: corev3.ApiVersion_V3,
		BufferFlushInterval: duration(LogFlush),
		BufferSizeBytes:     number(logBuffer),
	}
}

// logInterval is how often Envoy tells of a request that still runs: a failed
// attempt becomes known before a long stream after it has ended.
const logInterval = 2 * time.Second

func (b *builder) accessLogOptions() *hcmv3.HttpConnectionManager_HcmAccessLogOptions {
	return &hcmv3.HttpConnectionManager_HcmAccessLogOptions{AccessLogFlushInterval: duration(logInterval)}
}

// usage lets Envoy read the token usage of answers, so that Weir need not see
// them. The filter is marked as work in progress by Envoy 1.40: this function
// and the receiver's reading of envoy.data.ai.v3.TokenUsage are all that knows
// of it.
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

// decompressor undoes the compression of a provider that compresses although
// it was asked not to: usage is read from plain text.
func (b *builder) decompressor() *decompressorv3.Decompressor {
	return &decompressorv3.Decompressor{
		DecompressorLibrary: b.extension("gzip", &decompressv3.Gzip{MaxInflateRatio: number(maxInflateRatio)}),
		RequestDirectionConfig: &decompressorv3.Decompressor_RequestDirectionConfig{
			CommonConfig:            &decompressorv3.Decompressor_CommonDirectionConfig{Enabled: &corev3.RuntimeFeatureFlag{DefaultValue: boolean(false), RuntimeKey: "weir.decompress_requests"}},
			AdvertiseAcceptEncoding: boolean(false),
		},
	}
}

// chatUsage marks a route whose answers have the usage object of chat
// completions but not their shape.
func (b *builder) chatUsage(r *routev3.Route) {
	if r.TypedPerFilterConfig == nil {
		r.TypedPerFilterConfig = map[string]*anypb.Any{}
	}
	r.TypedPerFilterConfig[usageFilter] = b.pack(&aiv3.AiProtocolManagerPerRoute{
		Response: &aiv3.ResponsePerRoute{LlmProtocol: llmv3.LLMProtocol_OPENAI_CHAT_COMPLETIONS},
	})
}

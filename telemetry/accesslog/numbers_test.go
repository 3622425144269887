package accesslog

import (
	"testing"

	_ "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield/fieldtest"
)

// TestNumbers compares each number with its descriptor.
func TestNumbers(t *testing.T) {
	const als = "envoy.service.accesslog.v3.StreamAccessLogsMessage."
	const log = "envoy.data.accesslog.v3."
	const core = "envoy.config.core.v3."
	const otel = "opentelemetry.proto."
	fieldtest.Numbers(t, map[string]protowire.Number{
		als + "identifier":                     messageIdentifier,
		als + "http_logs":                      messageHTTPLogs,
		als + "tcp_logs":                       messageTCPLogs,
		als + "Identifier.log_name":            identifierLogName,
		als + "HTTPAccessLogEntries.log_entry": entriesLogEntry,
		als + "TCPAccessLogEntries.log_entry":  entriesLogEntry,

		log + "HTTPAccessLogEntry.common_properties": entryCommonProperties,
		log + "TCPAccessLogEntry.common_properties":  entryCommonProperties,
		log + "HTTPAccessLogEntry.request":           entryRequest,
		log + "HTTPAccessLogEntry.response":          entryResponse,

		log + "AccessLogCommon.downstream_remote_address":      commonDownstreamRemoteAddress,
		log + "AccessLogCommon.start_time":                     commonStartTime,
		log + "AccessLogCommon.time_to_last_rx_byte":           commonLastReceived,
		log + "AccessLogCommon.time_to_first_upstream_tx_byte": commonFirstSent,
		log + "AccessLogCommon.time_to_first_upstream_rx_byte": commonFirstUpstream,
		log + "AccessLogCommon.time_to_last_upstream_rx_byte":  commonLastUpstream,
		log + "AccessLogCommon.response_flags":                 commonResponseFlags,
		log + "AccessLogCommon.metadata":                       commonMetadata,
		log + "AccessLogCommon.duration":                       commonDuration,
		log + "AccessLogCommon.upstream_request_attempt_count": commonAttempts,
		log + "AccessLogCommon.access_log_type":                commonType,
		log + "DownstreamPeriodic":                             periodic,

		log + "ResponseFlags.no_healthy_upstream":                  noHealthyUpstream,
		log + "ResponseFlags.upstream_request_timeout":             upstreamTimeout,
		log + "ResponseFlags.local_reset":                          localReset,
		log + "ResponseFlags.upstream_remote_reset":                upstreamReset,
		log + "ResponseFlags.upstream_connection_failure":          connectionFailure,
		log + "ResponseFlags.upstream_connection_termination":      connectionTermination,
		log + "ResponseFlags.upstream_overflow":                    upstreamOverflow,
		log + "ResponseFlags.downstream_connection_termination":    clientConnectionClosed,
		log + "ResponseFlags.stream_idle_timeout":                  streamIdleTimeout,
		log + "ResponseFlags.upstream_max_stream_duration_reached": maxDurationReached,
		log + "ResponseFlags.duration_timeout":                     durationTimeout,
		log + "ResponseFlags.upstream_protocol_error":              upstreamProtocolError,
		log + "ResponseFlags.overload_manager":                     overloadManager,
		log + "ResponseFlags.dns_resolution_failure":               dnsFailure,
		log + "ResponseFlags.downstream_remote_reset":              clientReset,

		log + "HTTPRequestProperties.request_id":             requestID,
		log + "HTTPRequestProperties.request_body_bytes":     requestBodyBytes,
		log + "HTTPResponseProperties.response_code":         responseCode,
		log + "HTTPResponseProperties.response_body_bytes":   responseBodyBytes,
		log + "HTTPResponseProperties.response_headers":      responseHeaders,
		log + "HTTPResponseProperties.response_code_details": responseCodeDetails,

		core + "Address.socket_address":   addressSocketAddress,
		core + "SocketAddress.address":    socketAddressAddress,
		core + "SocketAddress.port_value": socketAddressPort,
		core + "Metadata.filter_metadata": metadataFilterMetadata,

		// ExportLogsServiceRequest has the field of LogsData (opentelemetry-proto,
		// logs_service.proto), but its package needs another module.
		otel + "logs.v1.LogsData.resource_logs":  exportResourceLogs,
		otel + "logs.v1.ResourceLogs.scope_logs": resourceScopeLogs,
		otel + "logs.v1.ScopeLogs.log_records":   scopeLogRecords,
		otel + "logs.v1.LogRecord.body":          recordBody,
		otel + "common.v1.AnyValue.string_value": bodyString,
	})
}

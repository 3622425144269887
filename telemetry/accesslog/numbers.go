package accesslog

import "google.golang.org/protobuf/encoding/protowire"

// The field numbers of the messages that this package reads, those of Envoy and, of
// opentelemetry.proto, those in which Envoy sends metadata.PresenceLog. Those of
// google.protobuf are in protofield.
const (
	// envoy.service.accesslog.v3.StreamAccessLogsMessage
	messageIdentifier protowire.Number = 1
	messageHTTPLogs   protowire.Number = 2
	messageTCPLogs    protowire.Number = 3

	// envoy.service.accesslog.v3.StreamAccessLogsMessage.Identifier
	identifierLogName protowire.Number = 2

	// HTTPAccessLogEntries and TCPAccessLogEntries of the same message
	entriesLogEntry protowire.Number = 1

	// envoy.data.accesslog.v3.HTTPAccessLogEntry; of TCPAccessLogEntry, the first
	entryCommonProperties protowire.Number = 1
	entryRequest          protowire.Number = 3
	entryResponse         protowire.Number = 4

	// envoy.data.accesslog.v3.AccessLogCommon
	commonDownstreamRemoteAddress protowire.Number = 2
	commonStartTime               protowire.Number = 5
	commonLastReceived            protowire.Number = 6
	commonFirstSent               protowire.Number = 7
	commonFirstUpstream           protowire.Number = 9
	commonLastUpstream            protowire.Number = 10
	commonUpstreamCluster         protowire.Number = 15
	commonResponseFlags           protowire.Number = 16
	commonMetadata                protowire.Number = 17
	commonTransportFailure        protowire.Number = 18
	commonDuration                protowire.Number = 23
	commonAttempts                protowire.Number = 24
	commonType                    protowire.Number = 33

	// envoy.data.accesslog.v3.ResponseFlags
	noHealthyUpstream      protowire.Number = 2
	upstreamTimeout        protowire.Number = 3
	localReset             protowire.Number = 4
	upstreamReset          protowire.Number = 5
	connectionFailure      protowire.Number = 6
	connectionTermination  protowire.Number = 7
	upstreamOverflow       protowire.Number = 8
	clientConnectionClosed protowire.Number = 15
	streamIdleTimeout      protowire.Number = 17
	maxDurationReached     protowire.Number = 20
	durationTimeout        protowire.Number = 23
	upstreamProtocolError  protowire.Number = 24
	overloadManager        protowire.Number = 26
	dnsFailure             protowire.Number = 27
	clientReset            protowire.Number = 28

	// envoy.data.accesslog.v3.HTTPRequestProperties
	requestMethod    protowire.Number = 1
	requestPath      protowire.Number = 5
	requestID        protowire.Number = 9
	requestBodyBytes protowire.Number = 12

	// envoy.data.accesslog.v3.HTTPResponseProperties
	responseCode        protowire.Number = 1
	responseBodyBytes   protowire.Number = 3
	responseHeaders     protowire.Number = 4
	responseCodeDetails protowire.Number = 6

	// envoy.config.core.v3.Address
	addressSocketAddress protowire.Number = 1

	// envoy.config.core.v3.SocketAddress
	socketAddressAddress protowire.Number = 2
	socketAddressPort    protowire.Number = 3

	// envoy.config.core.v3.Metadata
	metadataFilterMetadata protowire.Number = 1

	// opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest
	exportResourceLogs protowire.Number = 1

	// opentelemetry.proto.logs.v1
	resourceScopeLogs protowire.Number = 2 // ResourceLogs
	scopeLogRecords   protowire.Number = 2 // ScopeLogs
	recordBody        protowire.Number = 5 // LogRecord

	// opentelemetry.proto.common.v1.AnyValue
	bodyString protowire.Number = 1
)

// The values of enums.
const (
	// periodic is the AccessLogType of an entry about a request that still runs.
	periodic = 5
)

package metadata

// The names that the control plane, the request path and telemetry must agree on.
// Clients cannot set x-weir-* headers: those of a client are removed first.

// Where a request goes: Envoy chooses the route and the cluster by these.
const (
	// ChainNamespace is the dynamic metadata with the clusters of a request's attempts,
	// from which Envoy's priority_group cluster specifier chooses one for each attempt
	// (envoy.extensions.router.cluster_specifiers.priority_group.v3).
	ChainNamespace = "weir.chain"

	// DirectHeader names the cluster of a request with one attempt. Such a request has
	// no chain, because Envoy copies metadata into each entry of its log.
	DirectHeader = "x-weir-cluster"

	// StreamHeader marks a request whose response is a stream. The value is the
	// class that selects its route's idle timeout. Its route has no total timeout.
	StreamHeader = "x-weir-stream"

	// ClientIDHeader has the id that the client gave the request in x-request-id, which
	// Envoy replaces. SentIDHeader is where it goes on: to OpenAI and Azure, it is the
	// client's id (https://platform.openai.com/docs/api-reference/debugging-requests).
	ClientIDHeader = "x-weir-client-request-id"
	SentIDHeader   = "x-client-request-id"

	// RefusingCluster is the cluster that stands in for a host whose name does not resolve.
	RefusingCluster = "weir/refusing"

	// HopHeader names the gateways that a request has passed, as RFC 8586 specifies for
	// content delivery networks: other proxies must not remove it. See policy.Policy.Hop.
	HopHeader = "cdn-loop"
)

// What was decided for a request, for its later attempts and for the log.
const (
	// PlanNamespace is the dynamic metadata with the decision.
	PlanNamespace = "weir"

	// The fields of PlanNamespace.
	PlanField     = "plan"     // an encoded Plan, if there is a second attempt
	ModelField    = "model"    // the model of the current attempt, as a HeaderText
	FormatField   = "format"   // the llm.Format of the client's API, if it is not OpenAI
	RejectedField = "rejected" // requested models that were not available
	RefusedField  = "refused"  // set if Weir itself sent the response
	LogField      = "log"      // an encoded LogContext
)

// How Weir follows the response of an attempt.
const (
	// GateNamespace is the dynamic metadata for the response of the current attempt.
	GateNamespace = "weir.gate"
	// GateField is the field of GateNamespace with the encoded Gate.
	GateField = "gate"
	// GateHeader with the value GateOn marks a request whose response Weir judges before
	// the client receives any of it.
	GateHeader = "x-weir-gate"
	GateOn     = "on"

	// WatchField, in GateNamespace, with the value GateOn marks a request whose response
	// Weir follows to its end. It is not a header, because Envoy also evaluates it where
	// there is no request: in its response to a malformed one.
	WatchField = "watch"
	// WatchAttribute is an attribute that only the filter which follows responses sends.
	// It tells the streams of that filter from those of the gate.
	WatchAttribute = "request.protocol"

	// CauseHeader is added to a response that the gate judged to be a failure, so that
	// Envoy makes the next attempt. Its value is an encoded Cause. JudgedStatus replaces
	// the status of the response.
	CauseHeader  = "x-weir-cause"
	JudgedStatus = "502"
)

// What Envoy finds in a response.
const (
	// StreamKindHeader tells Envoy the kind of a stream that has a last event. Its values
	// are those of llm.ResponseKind.Stream.
	StreamKindHeader = "x-weir-answer"

	// ResponseNamespace is the dynamic metadata with what Envoy found in a response: the
	// usage objects in the fields of llm.UsagePlaces, and the fields below.
	ResponseNamespace = "weir.response"
	// SampleField is a sample of the response's text (llm.ReadSample).
	SampleField = "text"
	// EndedField is set at the last event of a stream.
	EndedField = "ended"
	// TruncatedField is set if a stream ended without its last event.
	TruncatedField = "truncated"
)

// What the client receives in addition to the provider's response.
const (
	// RequestIDHeader is Weir's own id of the request, as in its logs. x-request-id is
	// that of the provider, if it sent one.
	RequestIDHeader = "x-weir-request-id"
	AttemptsHeader  = "x-weir-attempts"
	ProviderHeader  = "x-weir-provider"
	ModelHeader     = "x-weir-model"
	RejectedHeader  = "x-weir-rejected-models"
)

// What Envoy reports to Weir.
const (
	// RequestLog and AttemptLog are the names of Envoy's access logs with an entry for
	// each request and for each attempt.
	RequestLog = "weir.request"
	AttemptLog = "weir.attempt"

	// DetailsPrefix begins Envoy's response code details of a response that Weir itself
	// sent. The code of the error follows.
	DetailsPrefix = "weir_"

	// PresenceLog is the log of requests where telemetry is off. Its entries are lines in
	// PresenceFormat, a format of Envoy: the type of the entry, the status or 0, the bytes
	// of the body so far, the client's address, and the encoded LogContext.
	PresenceLog    = "weir.presence"
	PresenceFormat = "%ACCESS_LOG_TYPE% %RESPONSE_CODE% %BYTES_RECEIVED% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DYNAMIC_METADATA(" + PlanNamespace + ":" + LogField + ")%"

	// ConnectionLog is the log of the connections of clients that have ended.
	ConnectionLog = "weir.connection"

	// PeerDomain and PeerKey are the domain and the key with which Envoy asks whether
	// a client may open one more connection. The value is the client's address and port.
	PeerDomain = "weir.peers"
	PeerKey    = "peer"

	// ClusterMetadata is the namespace of a cluster's own metadata, ProviderField the
	// field with the id of the provider.
	ClusterMetadata = "weir"
	ProviderField   = "provider"
)

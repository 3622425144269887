package metadata

// What the control plane and the request path must agree on.
const (
	// ChainNamespace is the dynamic metadata from which Envoy's
	// priority_group cluster specifier takes the chain of clusters
	// (envoy.extensions.router.cluster_specifiers.priority_group.v3).
	ChainNamespace = "weir.chain"

	// DirectHeader names the cluster of a request that has one attempt, and no
	// chain: Envoy copies metadata into each entry of its log.
	DirectHeader = "x-weir-cluster"

	// PlanNamespace is the dynamic metadata that carries a request's plan
	// from the first decision to its later attempts.
	PlanNamespace = "weir"

	// The fields of PlanNamespace.
	PlanField     = "plan"     // Plan.Encode, only where there is a second attempt
	ModelField    = "model"    // the model of the current attempt
	FormatField   = "format"   // the Format of the client's API, if it is not OpenAI
	RejectedField = "rejected" // names that the client asked for in vain
	RefusedField  = "refused"  // set when weir itself answered
	LogField      = "log"      // LogContext.Encode

	// StreamHeader marks a request whose answer is a stream, with the number of
	// its attempts, so that a route without a total timeout takes it. Clients
	// cannot set it: every x-weir-* header of theirs is removed first.
	StreamHeader = "x-weir-stream"

	// AnswerHeader says what a stream looks like, where it has a last event; its
	// values are those of Answer.Stream. EarlyNamespace is the dynamic metadata
	// with the tokens that a stream told last, EarlyField the field with the
	// provider's usage object.
	AnswerHeader   = "x-weir-answer"
	EarlyNamespace = "weir.early"
	EarlyField     = "usage"

	// EndNamespace is the dynamic metadata of a stream that ended, TruncatedField
	// the field that is set where it ended without its last event.
	EndNamespace   = "weir.end"
	TruncatedField = "truncated"

	// GateNamespace is the dynamic metadata with the Gate of the current
	// attempt, GateField its field. GateHeader with the value GateOn marks a
	// request whose answer the gate is to see.
	GateNamespace = "weir.gate"
	GateField     = "gate"
	GateHeader    = "x-weir-gate"
	GateOn        = "on"

	// WatchField with the value GateOn, in GateNamespace, marks a request whose
	// response is followed to its end. It is no header: Envoy also asks for it
	// where there is no request, in its reply to what it cannot read.
	WatchField = "watch"
	// WatchAttribute is an attribute that only the filter which follows responses
	// sends: by it Weir tells its streams from those of the gate.
	WatchAttribute = "request.protocol"

	// CauseHeader is added to an answer that the gate found to be none, so that
	// Envoy goes on to the next attempt. It is an EncodeCause; JudgedStatus
	// takes the place of the answer's status.
	CauseHeader  = "x-weir-cause"
	JudgedStatus = "502"

	// UsageHeader marks a request whose answer has the usage object of another
	// operation (Endpoint.Operation), so that a route takes it that says so.
	UsageHeader = "x-weir-usage"

	// HopHeader names the gateways that a request has passed, as RFC 8586 has it for
	// content delivery networks: other proxies must not remove it. See Policy.Hop.
	HopHeader = "cdn-loop"

	// Response headers. RequestIDHeader is Weir's own id of the request, the one
	// in its logs; x-request-id is the provider's if it sent one.
	RequestIDHeader = "x-weir-request-id"
	AttemptsHeader  = "x-weir-attempts"
	ProviderHeader  = "x-weir-provider"
	ModelHeader     = "x-weir-model"
	RejectedHeader  = "x-weir-rejected-models"

	// UsageNamespace is the typed dynamic metadata in which Envoy tells the
	// tokens of an answer (envoy.data.ai.v3.TokenUsage).
	UsageNamespace = "weir.usage"

	// DetailsPrefix begins Envoy's response code details of what Weir answered;
	// the rest is an error's code.
	DetailsPrefix = "weir_"

	// The names of Envoy's access logs: an entry for each request, and one for
	// each attempt.
	RequestLog = "weir.request"
	AttemptLog = "weir.attempt"
	// PresenceLog is the log of requests where telemetry is off. Its entries are
	// lines in PresenceFormat, which is Envoy's: the kind of the entry, the status
	// or 0, the bytes of the body so far, the client's address, and the LogContext.
	PresenceLog    = "weir.presence"
	PresenceFormat = "%ACCESS_LOG_TYPE% %RESPONSE_CODE% %BYTES_RECEIVED% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DYNAMIC_METADATA(" + PlanNamespace + ":" + LogField + ")%"
	// ConnectionLog is the log of connections of clients that have ended.
	ConnectionLog = "weir.connection"
	// PeerDomain and PeerKey are what Envoy asks with whether a client may have
	// one more connection; the value is the client's address and port.
	PeerDomain = "weir.peers"
	PeerKey    = "peer"

	// ClusterMetadata is the namespace of a cluster's own metadata, and
	// ProviderField its field.
	ClusterMetadata = "weir"
	ProviderField   = "provider"
)

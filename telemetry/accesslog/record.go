package accesslog

import (
	"time"

	"weir/llm"
	"weir/policy"
)

// OtherLabel is the label of a model that is not configured.
const OtherLabel = policy.OtherLabel

// Causes of the failure of an attempt or a request. The empty string means success.
// The set is closed, because it is a label of metrics.
const (
	// CauseConnectFailure: no connection was made, because of DNS, TCP or TLS.
	CauseConnectFailure = "connect_failure"
	// CauseReset: the connection, or the stream on it, broke.
	CauseReset = "reset"
	// CauseUnprocessed: the provider reported that it has not processed the request,
	// and the request was sent to it again. (If another provider followed, the cause
	// is CauseReset.)
	CauseUnprocessed = "unprocessed"
	// CauseTimeout: the attempt's timeout passed, or the status was 408 or 504.
	CauseTimeout = "timeout"
	// CauseRateLimit: status 429.
	CauseRateLimit = "rate_limit"
	// CauseAuth: status 401 or 403; the provider refused the gateway's credential.
	CauseAuth = "auth"
	// CauseStatus4xx and CauseStatus5xx: any other error status.
	CauseStatus4xx = "status_4xx"
	CauseStatus5xx = "status_5xx"
	// CauseRedirect: status 3xx, which is never followed.
	CauseRedirect = "redirect"
	// CauseAccount: status 402, or an error that says that the provider does not serve the
	// account. CauseInvalidKey and the others are only found in errors that were held
	// (llm.Fault).
	CauseAccount            = llm.CauseAccount
	CauseInvalidKey         = llm.CauseInvalidKey
	CauseRegion             = llm.CauseRegion
	CauseUnknownModel       = llm.CauseUnknownModel
	CauseUnsupportedFeature = llm.CauseUnsupportedFeature
	CauseContext            = llm.CauseContext
	// CauseErrorResponse, CauseEmptyResponse and CauseInvalidResponse: a failure disguised as
	// success, found while the response was held (gate.Verdict).
	CauseErrorResponse   = llm.CauseErrorResponse
	CauseEmptyResponse   = llm.CauseEmptyResponse
	CauseInvalidResponse = llm.CauseInvalidResponse
	// CauseTruncated: the stream ended cleanly in HTTP, but without the last event of
	// its API.
	CauseTruncated = "truncated"
	// CauseClientGone: the client left before the response was complete.
	CauseClientGone = "client_gone"
	// CauseOverloaded: too many requests were already waiting for a connection to the
	// provider.
	CauseOverloaded = "overloaded"
	// CauseRefused: the gateway itself responded, with the error in Request.Code.
	CauseRefused = "refused"
	// CauseRejected: Envoy rejected the request, for the reason in Request.Rejected.
	CauseRejected = "rejected"
	// CauseOther: any other cause.
	CauseOther = "other"
)

// CauseOf returns the cause for the status of a provider's complete response. Statuses
// from 200 to 299 are success.
func CauseOf(status int) string {
	switch {
	case status < 200 || status > 599:
		return CauseOther
	case status < 300:
		return ""
	case status < 400:
		return CauseRedirect
	case status == 401 || status == 403:
		return CauseAuth
	case status == 402:
		return CauseAccount
	case status == 408 || status == 504:
		return CauseTimeout
	case status == 429:
		return CauseRateLimit
	case status < 500:
		return CauseStatus4xx
	default:
		return CauseStatus5xx
	}
}

// Attempt is the record of one attempt at a provider. A request that fails over has
// several, with Numbers from 1; only the last is Final. The access key and the requested
// model come from the plan of the request, everything else from Envoy's log.
//
// An Attempt that failed has a Cause, also if the client received a response: an attempt
// with status 503 has CauseStatus5xx, and a failure disguised as success has status 200 and
// CauseErrorResponse.
type Attempt struct {
	RequestID string
	Start     time.Time
	Number    int // 1 is the first

	Key   string // name of the access key that the client used
	KeyID string // its id

	Operation  string // gen_ai.operation.name of OpenTelemetry: chat, text_completion, embeddings
	Stored     bool   // the operation concerns what the provider stores, and no model
	Asked      string // the model as the client wrote it
	AskedLabel string // Asked if it is a configured name, else OtherLabel

	Provider    string // id of the configured provider
	ProviderKey string // id of the provider's key that was used, never its value; empty if none
	Model       string // the model as it was sent
	ModelLabel  string // Model if it is configured, else OtherLabel
	Cluster     string // Envoy's

	Status int    // of the provider's response; 0 if there was none
	Cause  string // one of the Causes
	// ConnectFailure is why no connection was made; empty for any other cause.
	ConnectFailure string

	Duration  time.Duration // from the attempt's start to its end
	FirstByte time.Duration // from the attempt's start to the first byte of the response; 0 if there was none
	Stream    bool          // the client asked for a stream of events
	Final     bool          // no further attempt followed

	Quota llm.QuotaHeaders
}

// Request is the record of a whole request, from the first byte that the client sent to
// the last byte that it received. Its Provider and Model are those of the last attempt;
// its Status and Cause are what the client saw: a request that succeeded at its second
// attempt has status 200, no Cause and two Attempts.
type Request struct {
	RequestID string
	Start     time.Time

	// Method is empty if it is not one of HTTP's own. Path is without the query.
	Method, Path string
	// ClientID is the client's own id of the request; empty if it sent none.
	ClientID string

	Key      string // name of the access key that the client used
	KeyID    string // its id
	ClientIP string

	Operation  string // as in Attempt
	Stored     bool   // as in Attempt
	Asked      string // the model as the client wrote it
	AskedLabel string // Asked if it is a configured name, else OtherLabel

	// Provider, Model and ModelLabel are those of the last attempt; empty if there was
	// none.
	Provider, Model, ModelLabel string

	Status   int    // sent to the client; 0 if none
	Code     string // Weir's error code, if the gateway itself responded
	Cause    string // one of the Causes
	Attempts int
	// ConnectFailure is why no connection was made for the last attempt; empty for any
	// other cause.
	ConnectFailure string
	// HeapFull is set when Envoy refused or ended the request because its heap
	// was nearly full.
	HeapFull bool
	Stream   bool

	Duration  time.Duration // from Start to the end
	FirstByte time.Duration // from Start to the first byte of the provider's response; 0 if there was none
	LastByte  time.Duration // from Start to the last byte of the provider's response; 0 if there was none

	BytesIn, BytesOut int64 // bodies

	Rejected   string // why Envoy itself rejected the request, from a closed set; else empty
	Tokens     llm.Tokens
	ClientGone bool // the client disconnected before the response was complete
	Truncated  bool // as CauseTruncated; another cause takes precedence
}

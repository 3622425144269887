package accesslog

import (
	"time"

	"weir/llm"
	"weir/policy"
)

// OtherLabel is the label of a model that is not configured.
const OtherLabel = policy.OtherLabel

// Causes: why an attempt, or a request, did not succeed. The empty string is
// success. The set is closed: it is a label of metrics.
const (
	// CauseConnectFailure: no connection, by DNS, TCP or TLS.
	CauseConnectFailure = "connect_failure"
	// CauseReset: the connection, or the stream on it, broke.
	CauseReset = "reset"
	// CauseUnprocessed: the provider said that it has not processed the request,
	// which was then sent to it again. (Where another provider followed, it is
	// CauseReset.)
	CauseUnprocessed = "unprocessed"
	// CauseTimeout: the attempt's timeout passed, or status 408 or 504.
	CauseTimeout = "timeout"
	// CauseRateLimit: status 429.
	CauseRateLimit = "rate_limit"
	// CauseAuth: status 401 or 403, to the gateway's credential.
	CauseAuth = "auth"
	// CauseStatus4xx and CauseStatus5xx: any other error status.
	CauseStatus4xx = "status_4xx"
	CauseStatus5xx = "status_5xx"
	// CauseRedirect: status 3xx, which is never followed.
	CauseRedirect = "redirect"
	// CauseErrorAnswer, CauseEmptyAnswer and CauseWrongAnswer: an answer that was
	// held and found to be none (gate.Verdict).
	CauseErrorAnswer = "error_answer"
	CauseEmptyAnswer = "empty_answer"
	CauseWrongAnswer = "wrong_answer"
	// CauseTruncated: a stream ended as HTTP has it, without the last event of its
	// API.
	CauseTruncated = "truncated"
	// CauseClientGone: the client left before the answer was complete.
	CauseClientGone = "client_gone"
	// CauseOverloaded: as many requests as may do so wait for a connection to the
	// provider.
	CauseOverloaded = "overloaded"
	// CauseRefused: the gateway itself answered; Request.Code says with what.
	CauseRefused = "refused"
	// CauseRejected: Envoy turned the request away; Request.Rejected says why.
	CauseRejected = "rejected"
	// CauseOther: none of these.
	CauseOther = "other"
)

// CauseOf is the cause that the status of a provider's complete answer stands
// for. Statuses from 200 to 299 are success.
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

// Attempt is one try at a provider, as Envoy logged it.
type Attempt struct {
	RequestID string
	Start     time.Time
	Number    int // 1 is the first

	Key   string // name of the access key that the client used
	KeyID string // its id

	Operation  string // gen_ai.operation.name of OpenTelemetry: chat, text_completion, embeddings
	Asked      string // the model as the client wrote it
	AskedLabel string // Asked if it is a configured name, else OtherLabel

	Provider    string // id of the configured provider
	ProviderKey string // id of the provider's key that was used, never its value; empty if none
	Model       string // the model as it was sent
	ModelLabel  string // Model if it is configured, else OtherLabel
	Cluster     string // Envoy's

	Status int    // of the provider's answer; 0: there was none
	Cause  string // one of the Causes

	Duration  time.Duration // from the attempt's start to its end
	FirstByte time.Duration // from the attempt's start to the first byte of the answer; 0: there was none
	Stream    bool          // the client asked for events as they come
	Final     bool          // no further attempt followed

	Quota QuotaHeaders
}

// Request is a whole request, from the client's first byte to the last byte
// that it was sent.
type Request struct {
	RequestID string
	Start     time.Time

	Key      string // name of the access key that the client used
	KeyID    string // its id
	ClientIP string

	Operation  string // as in Attempt
	Asked      string // the model as the client wrote it
	AskedLabel string // Asked if it is a configured name, else OtherLabel

	// The last attempt's; empty if there was none.
	Provider, Model, ModelLabel string

	Status   int    // that the client was sent; 0: none
	Code     string // Weir's error code, when the gateway itself answered
	Cause    string // one of the Causes
	Attempts int
	// HeapFull is set when Envoy refused or ended the request because its heap
	// was nearly full.
	HeapFull bool
	Stream   bool

	Duration  time.Duration // from Start to the end
	FirstByte time.Duration // from Start to the first byte of the provider's answer; 0: there was none
	LastByte  time.Duration // from Start to the last byte of the provider's answer; 0: there was none

	BytesIn, BytesOut int64 // bodies

	Rejected   string // why Envoy itself turned the request away, from a closed set; else empty
	Tokens     llm.Tokens
	ClientGone bool // the client left before the answer was complete
	Truncated  bool // as CauseTruncated, which another cause goes before
}

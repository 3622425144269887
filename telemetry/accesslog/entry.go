package accesslog

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield"
	"weir/llm"
	"weir/metadata"
)

// message reads StreamAccessLogsMessages (envoy/service/accesslog/v3/als.proto)
// of one stream. It keeps nothing of them but the log's name: a message of an
// Envoy that had to wait holds thousands of entries.
type message struct {
	log   string // the log's name; in the first message of a stream only
	entry entry
	take  func(log string, e *entry) // which keeps copies only
}

// entry is what is read of an HTTPAccessLogEntry, or of a TCPAccessLogEntry,
// which has the same common properties and nothing else that is read
// (envoy/data/accesslog/v3/accesslog.proto). Field numbers are those of Envoy
// 1.40; the strings are copies.
type entry struct {
	requestID string
	running   bool // the request goes on after this entry
	start     time.Time
	duration  time.Duration
	// From the start to the client's last byte, and to the first byte to the
	// provider; 0 where there was none.
	received, sent time.Duration
	// From the start to the provider's first and last byte; 0 where none came.
	firstByte, lastByte time.Duration
	clientIP            string
	clientPort          int
	attempts            int
	flags               flags
	status              int
	details             string
	bytesIn, bytesOut   int64
	quota               QuotaHeaders
	judged              string // the cause that the gate found
	judgedStatus        int    // the answer's own

	// From the metadata.
	context  string // metadata.LogContext, encoded
	refused  bool
	rejected string // models
	tokens   llm.Tokens
	usage    bool   // Envoy has read the whole answer for tokens
	early    string // the usage object that a stream told before its end
	// The stream ended without the last event of its API.
	truncated bool
	// Of a provider that says no more.
	totalTokens int64
}

// flags are the fields of ResponseFlags that are set, by number.
type flags uint64

func (f flags) has(numbers ...int) bool {
	for _, n := range numbers {
		if f>>n&1 == 1 {
			return true
		}
	}
	return false
}

// The fields of ResponseFlags that say what happened to a request.
const (
	noHealthyUpstream      = 2
	upstreamTimeout        = 3
	localReset             = 4
	upstreamReset          = 5
	connectionFailure      = 6
	connectionTermination  = 7
	upstreamOverflow       = 8
	clientConnectionClosed = 15
	streamIdleTimeout      = 17
	maxDurationReached     = 20
	durationTimeout        = 23
	upstreamProtocolError  = 24
	overloadManager        = 26
	dnsFailure             = 27
	clientReset            = 28
)

// periodic is the AccessLogType of an entry about a request that still runs.
const periodic = 5

// ReadMessage hands on the entries of a message of Envoy's. It copies the
// strings that it keeps and nothing else: the metadata holds the whole plan.
func (m *message) ReadMessage(b []byte) error {
	f := protofield.Fields{Rest: b}
	for f.Next() {
		switch {
		case f.Is(1, protowire.BytesType): // identifier, which Envoy writes first
			for in := fields(f.Bytes); in.Next(); {
				if in.Is(2, protowire.BytesType) {
					m.log = string(in.Bytes)
				}
			}
		case f.Is(2, protowire.BytesType), // http_logs
			f.Is(3, protowire.BytesType) && m.log == metadata.ConnectionLog: // tcp_logs
			for in := fields(f.Bytes); in.Next(); {
				if in.Is(1, protowire.BytesType) {
					m.entry = entry{}
					m.entry.read(in.Bytes)
					m.take(m.log, &m.entry)
				}
			}
		}
	}
	return f.Err
}

// fields walks over a message inside of another. What is malformed ends it:
// Envoy wrote it, so it is not, and an entry is worth more than none.
func fields(b []byte) protofield.Fields { return protofield.Fields{Rest: b} }

func (e *entry) read(b []byte) {
	for f := fields(b); f.Next(); {
		switch {
		case f.Is(1, protowire.BytesType):
			for in := fields(f.Bytes); in.Next(); {
				e.common(&in)
			}
		case f.Is(3, protowire.BytesType):
			for in := fields(f.Bytes); in.Next(); {
				e.request(&in)
			}
		case f.Is(4, protowire.BytesType):
			for in := fields(f.Bytes); in.Next(); {
				e.response(&in)
			}
		}
	}
	if e.judged != "" {
		e.status = e.judgedStatus
	}
}

// common reads AccessLogCommon.
func (e *entry) common(f *protofield.Fields) {
	if f.Typ == protowire.VarintType {
		switch f.Num {
		case 24:
			e.attempts = int(f.Scalar)
		case 33:
			e.running = f.Scalar == periodic
		}
		return
	}
	if f.Typ != protowire.BytesType {
		return
	}
	switch f.Num {
	case 2: // downstream_remote_address
		e.clientIP, e.clientPort = socketAddress(f.Bytes)
	case 5:
		seconds, nanos := secondsNanos(f.Bytes)
		e.start = time.Unix(seconds, nanos)
	case 6:
		e.received = duration(f.Bytes)
	case 7:
		e.sent = duration(f.Bytes)
	case 9:
		e.firstByte = duration(f.Bytes)
	case 10:
		e.lastByte = duration(f.Bytes)
	case 16:
		for in := fields(f.Bytes); in.Next(); {
			if in.Typ == protowire.VarintType && in.Scalar == 1 && in.Num < 64 {
				e.flags |= 1 << in.Num
			}
		}
	case 17:
		for in := fields(f.Bytes); in.Next(); {
			e.metadata(&in)
		}
	case 23:
		e.duration = duration(f.Bytes)
	}
}

// request reads HTTPRequestProperties.
func (e *entry) request(f *protofield.Fields) {
	switch {
	case f.Is(9, protowire.BytesType):
		e.requestID = string(f.Bytes)
	case f.Is(12, protowire.VarintType):
		e.bytesIn = int64(f.Scalar)
	}
}

// response reads HTTPResponseProperties.
func (e *entry) response(f *protofield.Fields) {
	switch {
	case f.Is(1, protowire.BytesType):
		e.status = int(wrapped(f.Bytes))
	case f.Is(3, protowire.VarintType):
		e.bytesOut = int64(f.Scalar)
	case f.Is(4, protowire.BytesType):
		key, value := mapEntry(f.Bytes)
		if string(key) != metadata.CauseHeader {
			e.quota.Set(string(key), string(value))
		} else if c := metadata.DecodeCause(string(value)); c.Name == CauseErrorAnswer || c.Name == CauseEmptyAnswer || c.Name == CauseWrongAnswer {
			e.judged, e.judgedStatus = c.Name, c.Status
		}
	case f.Is(6, protowire.BytesType):
		e.details = string(f.Bytes)
	}
}

// metadata reads config.core.v3.Metadata: of Weir's own, and of the token usage
// that Envoy found.
func (e *entry) metadata(f *protofield.Fields) {
	if f.Typ != protowire.BytesType {
		return
	}
	key, value := mapEntry(f.Bytes)
	switch {
	case f.Num == 1 && string(key) == metadata.PlanNamespace:
		for in := fields(value); in.Next(); {
			e.plan(&in)
		}
	case f.Num == 2 && string(key) == metadata.UsageNamespace:
		_, usage := mapEntry(value) // an Any has the numbers of an entry
		e.usage = true
		e.tokens, e.totalTokens = readUsage(usage)
	case f.Num == 1 && string(key) == metadata.EarlyNamespace:
		for in := fields(value); in.Next(); {
			if key, value := mapEntry(in.Bytes); in.Is(1, protowire.BytesType) && string(key) == metadata.EarlyField {
				e.early = text(value)
			}
		}
	case f.Num == 1 && string(key) == metadata.EndNamespace:
		e.truncated = true
	}
}

// plan reads the Struct that decisions leave.
func (e *entry) plan(f *protofield.Fields) {
	if !f.Is(1, protowire.BytesType) {
		return
	}
	key, value := mapEntry(f.Bytes)
	switch string(key) {
	case metadata.LogField:
		e.context = text(value)
	case metadata.RejectedField:
		e.rejected = text(value)
	case metadata.RefusedField:
		e.refused = true
	}
}

// text reads a Value that is a string.
func text(b []byte) (s string) {
	for f := fields(b); f.Next(); {
		if f.Is(3, protowire.BytesType) {
			s = string(f.Bytes)
		}
	}
	return s
}

// mapEntry gives the key and the value of a map's entry.
func mapEntry(b []byte) (key, value []byte) {
	for f := fields(b); f.Next(); {
		switch {
		case f.Is(1, protowire.BytesType):
			key = f.Bytes
		case f.Is(2, protowire.BytesType):
			value = f.Bytes
		}
	}
	return key, value
}

// wrapped reads a UInt32Value or UInt64Value.
func wrapped(b []byte) (n uint64) {
	for f := fields(b); f.Next(); {
		if f.Is(1, protowire.VarintType) {
			n = f.Scalar
		}
	}
	return n
}

// secondsNanos reads a Timestamp or a Duration.
func secondsNanos(b []byte) (seconds, nanos int64) {
	for f := fields(b); f.Next(); {
		switch {
		case f.Is(1, protowire.VarintType):
			seconds = int64(f.Scalar)
		case f.Is(2, protowire.VarintType):
			nanos = int64(f.Scalar)
		}
	}
	return seconds, nanos
}

func duration(b []byte) time.Duration {
	seconds, nanos := secondsNanos(b)
	return time.Duration(seconds)*time.Second + time.Duration(nanos)
}

// socketAddress reads the IP address of a core.v3.Address; empty where it is
// none.
func socketAddress(b []byte) (ip string, port int) {
	for f := fields(b); f.Next(); {
		if !f.Is(1, protowire.BytesType) {
			continue
		}
		for in := fields(f.Bytes); in.Next(); {
			if in.Is(2, protowire.BytesType) {
				ip = string(in.Bytes)
			} else if in.Is(3, protowire.VarintType) {
				port = int(in.Scalar)
			}
		}
	}
	return ip, port
}

package accesslog

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield"
	"weir/llm"
	"weir/metadata"
)

// message reads the StreamAccessLogsMessages of one stream
// (envoy/service/accesslog/v3/als.proto). It keeps only the log's name: a message from
// an Envoy that had to wait may hold thousands of entries.
type message struct {
	log   string // the log's name; in the first message of a stream only
	entry entry
	take  func(log string, e *entry) // which keeps copies only
}

// entry is the part that Weir reads of an HTTPAccessLogEntry, or of a
// TCPAccessLogEntry, of which only the common properties are read
// (envoy/data/accesslog/v3/accesslog.proto). Field numbers are those of Envoy 1.40.
// Strings are copies.
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
	quota               llm.QuotaHeaders
	method, path        string // the path is the provider's if the request was passed on
	upstream            string // the cluster of the host
	transport           string // why the connection failed
	judged              string // the cause that the gate found
	judgedStatus        int    // the status that the provider sent

	// From the metadata.
	context  string // metadata.LogContext, encoded
	refused  bool
	rejected string // models
	usage    llm.Usage
	// ended is set if the last event of the stream's API has passed, truncated if the stream
	// ended without it.
	ended, truncated bool
}

// flags is a set of fields of ResponseFlags, by field number.
type flags uint64

func (f flags) has(numbers ...protowire.Number) bool {
	for _, n := range numbers {
		if f>>n&1 == 1 {
			return true
		}
	}
	return false
}

// ReadMessage passes on the entries of a message from Envoy. It copies the strings
// that it keeps and nothing else, because the metadata of an entry holds the whole
// plan.
func (m *message) ReadMessage(b []byte) error {
	f := protofield.Fields{Rest: b}
	for f.Next() {
		switch {
		case f.Is(messageIdentifier, protowire.BytesType): // which Envoy writes first
			for in := fields(f.Bytes); in.Next(); {
				if in.Is(identifierLogName, protowire.BytesType) {
					m.log = string(in.Bytes)
				}
			}
		case f.Is(messageHTTPLogs, protowire.BytesType), f.Is(messageTCPLogs, protowire.BytesType) && m.log == metadata.ConnectionLog:
			for in := fields(f.Bytes); in.Next(); {
				if in.Is(entriesLogEntry, protowire.BytesType) {
					m.entry = entry{}
					m.entry.read(in.Bytes)
					m.take(m.log, &m.entry)
				}
			}
		}
	}
	return f.Err
}

// fields iterates over the fields of a nested message. A malformed message ends the
// iteration without an error: Envoy wrote it, so this does not happen, and the rest of
// the entry is still useful.
func fields(b []byte) protofield.Fields { return protofield.Fields{Rest: b} }

func (e *entry) read(b []byte) {
	for f := fields(b); f.Next(); {
		switch {
		case f.Is(entryCommonProperties, protowire.BytesType):
			for in := fields(f.Bytes); in.Next(); {
				e.common(&in)
			}
		case f.Is(entryRequest, protowire.BytesType):
			for in := fields(f.Bytes); in.Next(); {
				e.request(&in)
			}
		case f.Is(entryResponse, protowire.BytesType):
			for in := fields(f.Bytes); in.Next(); {
				e.response(&in)
			}
		}
	}
	if e.judged != "" {
		e.status = e.judgedStatus
	}
	// Many clients disconnect at the last event, before the provider's last byte.
	if e.ended && e.flags.has(clientConnectionClosed, clientReset) {
		e.flags &^= 1<<clientConnectionClosed | 1<<clientReset
		if e.lastByte == 0 {
			e.lastByte = e.duration
		}
	}
}

// common reads AccessLogCommon.
func (e *entry) common(f *protofield.Fields) {
	if f.Typ == protowire.VarintType {
		switch f.Num {
		case commonAttempts:
			e.attempts = int(f.Scalar)
		case commonType:
			e.running = f.Scalar == periodic
		}
		return
	}
	if f.Typ != protowire.BytesType {
		return
	}
	switch f.Num {
	case commonDownstreamRemoteAddress:
		e.clientIP, e.clientPort = socketAddress(f.Bytes)
	case commonStartTime:
		seconds, nanos := secondsNanos(f.Bytes)
		e.start = time.Unix(seconds, nanos)
	case commonLastReceived:
		e.received = duration(f.Bytes)
	case commonFirstSent:
		e.sent = duration(f.Bytes)
	case commonFirstUpstream:
		e.firstByte = duration(f.Bytes)
	case commonLastUpstream:
		e.lastByte = duration(f.Bytes)
	case commonResponseFlags:
		for in := fields(f.Bytes); in.Next(); {
			if in.Typ == protowire.VarintType && in.Scalar == 1 && in.Num < 64 {
				e.flags |= 1 << in.Num
			}
		}
	case commonUpstreamCluster:
		e.upstream = string(f.Bytes)
	case commonTransportFailure:
		e.transport = string(f.Bytes)
	case commonMetadata:
		for in := fields(f.Bytes); in.Next(); {
			e.metadata(&in)
		}
	case commonDuration:
		e.duration = duration(f.Bytes)
	}
}

// request reads HTTPRequestProperties.
func (e *entry) request(f *protofield.Fields) {
	switch {
	case f.Is(requestMethod, protowire.VarintType):
		e.method = methodName(f.Scalar)
	case f.Is(requestPath, protowire.BytesType):
		path, _, _ := bytes.Cut(f.Bytes, []byte("?"))
		e.path = string(path[:min(len(path), maxPath)])
	case f.Is(requestID, protowire.BytesType):
		e.requestID = string(f.Bytes)
	case f.Is(requestBodyBytes, protowire.VarintType):
		e.bytesIn = int64(f.Scalar)
	}
}

// maxPath is how much is kept of a path. A line of the log has fewer bytes of it.
const maxPath = 512

// methodName returns the name of an envoy.config.core.v3.RequestMethod. Of other methods,
// Envoy does not log the name.
func methodName(method uint64) string {
	names := [...]string{"", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
	if method < uint64(len(names)) {
		return names[method]
	}
	return ""
}

// response reads HTTPResponseProperties.
func (e *entry) response(f *protofield.Fields) {
	switch {
	case f.Is(responseCode, protowire.BytesType):
		e.status = int(wrapped(f.Bytes))
	case f.Is(responseBodyBytes, protowire.VarintType):
		e.bytesOut = int64(f.Scalar)
	case f.Is(responseHeaders, protowire.BytesType):
		key, value := mapEntry(f.Bytes)
		if string(key) != metadata.CauseHeader {
			e.quota.Set(string(key), string(value))
		} else if c := metadata.DecodeCause(string(value)); llm.IsCause(c.Name) {
			e.judged, e.judgedStatus = c.Name, c.Status
		}
	case f.Is(responseCodeDetails, protowire.BytesType):
		e.details = string(f.Bytes)
	}
}

// metadata reads config.core.v3.Metadata: Weir's own, and the token usage that Envoy
// found.
func (e *entry) metadata(f *protofield.Fields) {
	if f.Typ != protowire.BytesType {
		return
	}
	key, value := mapEntry(f.Bytes)
	switch {
	case f.Num == metadataFilterMetadata && string(key) == metadata.PlanNamespace:
		for in := fields(value); in.Next(); {
			e.plan(&in)
		}
	case f.Num == metadataFilterMetadata && string(key) == metadata.ResponseNamespace:
		for in := fields(value); in.Next(); {
			e.found(&in)
		}
	}
}

// found reads the Struct that says what Envoy found in the response.
func (e *entry) found(f *protofield.Fields) {
	if !f.Is(protofield.StructFields, protowire.BytesType) {
		return
	}
	key, value := mapEntry(f.Bytes)
	switch string(key) {
	case llm.StatedField:
		e.usage.Stated = text(value)
	case llm.BegunField:
		e.usage.Begun = text(value)
	case metadata.SampleField:
		e.usage.Sample = text(value)
	case metadata.EndedField:
		e.ended = true
	case metadata.TruncatedField:
		e.truncated = true
	}
}

// plan reads the Struct that the decision left in the metadata.
func (e *entry) plan(f *protofield.Fields) {
	if !f.Is(protofield.StructFields, protowire.BytesType) {
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
		if f.Is(protofield.ValueString, protowire.BytesType) {
			s = string(f.Bytes)
		}
	}
	return s
}

// mapEntry returns the key and the value of a map's entry.
func mapEntry(b []byte) (key, value []byte) {
	for f := fields(b); f.Next(); {
		switch {
		case f.Is(protofield.MapKey, protowire.BytesType):
			key = f.Bytes
		case f.Is(protofield.MapValue, protowire.BytesType):
			value = f.Bytes
		}
	}
	return key, value
}

// wrapped reads a UInt32Value or UInt64Value.
func wrapped(b []byte) (n uint64) {
	for f := fields(b); f.Next(); {
		if f.Is(protofield.WrappedValue, protowire.VarintType) {
			n = f.Scalar
		}
	}
	return n
}

// secondsNanos reads a Timestamp or a Duration.
func secondsNanos(b []byte) (seconds, nanos int64) {
	for f := fields(b); f.Next(); {
		switch {
		case f.Is(protofield.TimeSeconds, protowire.VarintType):
			seconds = int64(f.Scalar)
		case f.Is(protofield.TimeNanos, protowire.VarintType):
			nanos = int64(f.Scalar)
		}
	}
	return seconds, nanos
}

func duration(b []byte) time.Duration {
	seconds, nanos := secondsNanos(b)
	return time.Duration(seconds)*time.Second + time.Duration(nanos)
}

// socketAddress reads the IP address and port of a core.v3.Address. ip is empty if it
// holds another kind of address.
func socketAddress(b []byte) (ip string, port int) {
	for f := fields(b); f.Next(); {
		if !f.Is(addressSocketAddress, protowire.BytesType) {
			continue
		}
		for in := fields(f.Bytes); in.Next(); {
			if in.Is(socketAddressAddress, protowire.BytesType) {
				ip = string(in.Bytes)
			} else if in.Is(socketAddressPort, protowire.VarintType) {
				port = int(in.Scalar)
			}
		}
	}
	return ip, port
}

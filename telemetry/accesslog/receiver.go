package accesslog

import (
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"weir/llm"
	"weir/metadata"
	"weir/policy"
)

// Sink receives records. Its methods are called from several goroutines and must not
// block.
type Sink interface {
	Attempt(*Attempt)
	Request(*Request)
}

// Progress is a Sink that also learns which attempts are responding: the response has
// begun with a good status and has not ended. Envoy reports them every few seconds.
type Progress interface {
	// Responding reports the cluster, the id of the client's access key, the model that
	// was sent to the cluster, and when the request began.
	Responding(cluster, key, model string, began time.Time)
}

// Disconnects is a Sink that also learns which client connections have ended.
type Disconnects interface {
	Disconnected(ip string, port int)
}

// Follower learns which requests are running. It must not block.
type Follower interface {
	// Running reports, every few seconds, a request that is still running: its id, the
	// id of its access key, the client's address, and the bytes of its body.
	Running(id, keyID, clientIP string, bodyBytes int64)
	// Begun reports a running request whose response has begun: no further attempt
	// follows.
	Begun(id string)
	// Ended reports a request that has ended.
	Ended(id string)
}

// Names resolves names by the current configuration, so that labels of records come
// from a closed set.
type Names interface {
	// AskedLabel returns the configured spelling of a model name that a client sent,
	// or OtherLabel.
	AskedLabel(asked string) string
	// ServedLabel does the same for a model name that was sent to a provider.
	ServedLabel(provider, sent string) string
	// ProviderKeyOf returns the id of the provider key that a cluster uses; empty if
	// it uses none.
	ProviderKeyOf(cluster string) string
}

// Receiver serves envoy.service.accesslog.v3.AccessLogService, and the OpenTelemetry
// service that receives metadata.PresenceLog. It joins the entries of a request with
// those of its attempts, because an attempt's entry has neither the model nor the
// client.
type Receiver struct {
	follower Follower
	sink     Sink
	names    func() Names
	now      func() time.Time

	mu    sync.Mutex
	open  map[string]*request
	fresh request // of which this is the first entry
}

// request is what is known of a request until all of its entries have arrived.
type request struct {
	known    bool // context is
	context  metadata.LogContext
	held     []entry   // attempts whose record is not complete yet
	heldFrom int       // the number of the first of them
	seen     int       // attempts whose entries have arrived
	final    *entry    // of the request, until the record of its last attempt is made from it
	emitted  time.Time // when the last attempt that was passed on ended
	attempts int       // that Envoy has begun, as far as it has reported them
	ended    bool
	cause    string // of the request, once it has ended
	touched  time.Time
}

const (
	// maxOpen bounds the requests whose entries are incomplete.
	maxOpen = 100_000
	// maxHeld bounds the attempts that wait for the entry of one request. No request
	// makes that many.
	maxHeld = 100
	// patience is how long an attempt waits for the entry of its request. Envoy
	// reports a running request every 2 s.
	patience = 15 * time.Second
)

// New returns a Receiver. names returns the current configuration's Names.
func New(sink Sink, follower Follower, names func() Names) *Receiver {
	return &Receiver{sink: sink, follower: follower, names: names, now: time.Now, open: map[string]*request{}}
}

// Register adds r to a server whose codec lets messages decode themselves
// (extproc/wire).
func (r *Receiver) Register(s grpc.ServiceRegistrar) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.accesslog.v3.AccessLogService",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "StreamAccessLogs",
			ClientStreams: true,
			Handler:       func(_ any, stream grpc.ServerStream) error { return r.receive(stream) },
		}},
		Metadata: "envoy/service/accesslog/v3/als.proto",
	}, r)
	r.registerPresence(s)
}

// receive reads one stream: the entries of one log of one of Envoy's workers, in
// order.
func (r *Receiver) receive(stream grpc.ServerStream) error {
	m := message{take: r.take}
	for {
		if err := stream.RecvMsg(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func (r *Receiver) take(log string, e *entry) {
	switch log {
	case metadata.RequestLog:
		r.follow(e)
		r.request(e)
	case metadata.AttemptLog:
		r.attempt(e)
	case metadata.ConnectionLog:
		if d, ok := r.sink.(Disconnects); ok {
			d.Disconnected(e.clientIP, e.clientPort)
		}
	}
}

// follow tells the Follower which requests are running. It leaves out requests that
// Weir itself responded to.
func (r *Receiver) follow(e *entry) {
	switch {
	case e.context == "" && !e.running: // it ended before it was decided on
		r.follower.Ended(e.requestID)
	case !e.running:
		r.follower.Ended(metadata.LoggedID(e.context))
	case e.context != "" && !e.refused:
		c := metadata.DecodeLogContext(e.context)
		r.follower.Running(c.ID, c.KeyID, e.clientIP, e.bytesIn)
		if e.status > 0 {
			r.follower.Begun(c.ID)
		}
	}
}

// Sweep stops waiting for entries that have not arrived in time. Call it about once a
// second.
func (r *Receiver) Sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	limit := r.now().Add(-patience)
	for id, q := range r.open {
		if q.touched.Before(limit) {
			r.emit(q, true)
			delete(r.open, id)
		}
	}
}

// Flush passes on everything that is held. Call it when no more entries will arrive.
func (r *Receiver) Flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.open {
		r.emit(q, true)
	}
	clear(r.open)
}

// find returns what is known of a request, or r.fresh if nothing is.
func (r *Receiver) find(id string) *request {
	if q := r.open[id]; q != nil {
		return q
	}
	r.fresh = request{heldFrom: 1}
	return &r.fresh
}

func (r *Receiver) attempt(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.find(e.requestID)
	q.seen++
	q.held = append(q.held, *e)
	r.settle(e.requestID, q)
}

func (r *Receiver) request(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.find(e.requestID)
	if !q.known && e.context != "" {
		q.known, q.context = true, metadata.DecodeLogContext(e.context)
	}
	q.attempts = max(q.attempts, e.attempts)
	if e.running {
		r.progress(e, &q.context)
	} else {
		q.ended = true
		q.attempts = e.attempts
		record := r.record(e, q)
		q.cause = record.Cause
		r.sink.Request(record)
		if e.succeeded() {
			q.final = e
		}
	}
	r.settle(e.requestID, q)
}

// progress reports the attempt whose response to a running request has begun.
func (r *Receiver) progress(e *entry, c *metadata.LogContext) {
	p, ok := r.sink.(Progress)
	if planned := nth(c, e.attempts); ok && e.status >= 200 && e.status < 300 && planned != nil && !llm.IsStored(c.Operation) {
		p.Responding(planned.Cluster, c.KeyID, planned.Model, e.start)
	}
}

// nth returns the plan of attempt n, counted from 1, or nil. A request with one
// attempt in its plan is sent to the same provider again if the provider reports that
// it has not processed it: later attempts then repeat the first.
func nth(c *metadata.LogContext, n int) *metadata.LoggedAttempt {
	switch {
	case n > 0 && n <= len(c.Attempts):
		return &c.Attempts[n-1]
	case n > 1 && len(c.Attempts) == 1:
		return &c.Attempts[0]
	}
	return nil
}

// settle passes on the records that are complete, and forgets a request once all of
// its records are. For most requests, that is at the first entry.
func (r *Receiver) settle(id string, q *request) {
	if q.known || len(q.held) >= maxHeld {
		r.emit(q, !q.known)
	}
	fresh := q == &r.fresh
	switch {
	case q.ended && q.seen >= q.attempts && len(q.held) == 0:
		if !fresh {
			delete(r.open, id)
		}
		return
	case fresh && len(r.open) >= maxOpen:
		r.emit(q, true)
		return
	case fresh:
		q = new(request)
		*q = r.fresh
		r.open[id] = q
	}
	if q.final != nil {
		e := *q.final
		q.final = &e
	}
	q.touched = r.now()
}

// emit passes on the held attempts of which it is known whether another followed; with
// all, every held attempt.
func (r *Receiver) emit(q *request, all bool) {
	for len(q.held) > 0 {
		n := q.heldFrom
		followed := q.seen > n || q.attempts > n
		if !followed && !q.ended && !all {
			return
		}
		e := &q.held[0]
		q.emitted = e.start.Add(e.duration)
		r.sink.Attempt(r.attemptRecord(e, q, n, !followed))
		q.held = q.held[1:]
		q.heldFrom++
	}
	q.held = nil
	if q.final != nil && (all || q.seen >= q.attempts-1) {
		if q.seen < q.attempts {
			e := q.final.attempt(q.emitted)
			r.sink.Attempt(r.attemptRecord(&e, q, q.attempts, true))
			q.seen++
		}
		q.final = nil
	}
}

func (r *Receiver) attemptRecord(e *entry, q *request, n int, final bool) *Attempt {
	names := r.names()
	c := &q.context
	cause := ""
	if final {
		cause = q.cause
	}
	a := &Attempt{
		RequestID: e.requestID, Start: e.start, Number: n,
		Key: c.Key, KeyID: c.KeyID,
		Operation: c.Operation, Stored: llm.IsStored(c.Operation), Asked: c.Asked, AskedLabel: names.AskedLabel(c.Asked),
		Status: e.status, Cause: e.attemptCause(cause),
		Duration: e.duration, FirstByte: e.firstByte, Stream: c.Stream, Final: final,
		Quota: e.quota,
	}
	a.ConnectFailure = e.connectFailure(a.Cause)
	if !final && len(c.Attempts) == 1 { // nothing else leads to another attempt there
		a.Cause = CauseUnprocessed
	}
	a.ModelLabel = OtherLabel
	if planned := nth(c, n); planned != nil {
		a.Cluster, a.Model = planned.Cluster, planned.Model
		a.Provider, a.ProviderKey = policy.ProviderOf(a.Cluster), names.ProviderKeyOf(a.Cluster)
		a.ModelLabel = names.ServedLabel(a.Provider, a.Model)
	}
	return a
}

func (r *Receiver) record(e *entry, q *request) *Request {
	names := r.names()
	c := &q.context
	out := &Request{
		RequestID: e.requestID, Start: e.start,
		Method: e.method, Path: c.Path, ClientID: c.ClientID,
		Key: c.Key, KeyID: c.KeyID, ClientIP: e.clientIP,
		Operation: c.Operation, Stored: llm.IsStored(c.Operation), Asked: c.Asked, AskedLabel: names.AskedLabel(c.Asked),
		Status: e.status, Attempts: e.attempts, Stream: c.Stream,
		Duration: e.duration, FirstByte: e.firstByte, LastByte: e.lastByte,
		BytesIn: e.bytesIn, BytesOut: e.bytesOut,
		ClientGone: e.flags.has(clientConnectionClosed, clientReset),
		ModelLabel: OtherLabel,
	}
	if c.Path == "" { // Weir has not seen the request, nor changed its path
		out.Path = e.path
	}
	// Where Weir could not add an error to the end of a stream, it ended the request.
	if e.refused && e.details == metadata.DetailsPrefix+string(llm.StreamTruncated) {
		e.truncated = true
	}
	if !out.Stored { // else they are of the request that made what is stored
		out.Tokens = e.usage.Read(c.Operation)
		if e.attempts > 0 && e.status >= 200 && e.status < 300 && e.bytesOut > 0 {
			out.Tokens = e.usage.Complete(out.Tokens, c.Operation, c.Prompt, e.bytesOut)
		}
	}
	if planned := nth(c, e.attempts); planned != nil {
		out.Provider, out.Model = policy.ProviderOf(planned.Cluster), planned.Model
		out.ModelLabel = names.ServedLabel(out.Provider, out.Model)
	}
	switch {
	case e.refused && e.details == metadata.DetailsPrefix+string(llm.Timeout) && e.status < 400:
		out.Cause = CauseTimeout // Weir ended a stream that was silent too long
	case e.refused:
		if e.status >= 400 { // the list of models is a response, too
			out.Code, out.Cause = strings.TrimPrefix(e.details, metadata.DetailsPrefix), CauseRefused
		}
	case e.attempts == 0 && e.details == preflight:
		out.Operation = "preflight"
	case e.attempts == 0:
		out.Cause, out.Rejected = CauseRejected, plain(e.details)
	case e.redirected():
		out.Cause = CauseRedirect
	default:
		out.Cause = e.cause()
	}
	out.ConnectFailure = e.connectFailure(out.Cause)
	out.HeapFull = e.heapFull()
	if out.ClientGone {
		out.Cause = CauseClientGone
	}
	if out.Truncated = e.truncated && !out.ClientGone; out.Truncated && out.Cause == "" {
		out.Cause = CauseTruncated
	}
	return out
}

package xds

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/grpc"
)

// Server serves one Set to all Envoys over delta ADS, and tracks what each Envoy has
// acknowledged. A reload publishes the clusters of the new policy, waits for the
// acknowledgements, and only then plans requests with them. Server never logs a resource,
// because secrets are resources.
type Server struct {
	log *slog.Logger
	// publishing holds a token while a Publish is running.
	publishing chan struct{}

	// mu is also held during calls of the cache, so that the cache always serves want.
	// These calls do not block: see CreateDeltaWatch.
	mu          sync.Mutex
	cache       cachev3.SnapshotCache
	publication uint64              // counts sets; 0 is before the first
	want        map[string]versions // by type URL
	streams     []*stream           // of Envoys, in the order in which they connected
	changed     chan struct{}       // closed at the next change of anything above
}

// NewServer returns a server without a set: Envoys that connect wait for one.
func NewServer(log *slog.Logger) *Server {
	return &Server{
		log:        log,
		publishing: make(chan struct{}, 1),
		cache:      cachev3.NewSnapshotCache(true, sameForAll{}, nil),
		changed:    make(chan struct{}),
	}
}

// Register adds aggregated discovery to g. An Envoy that vanishes without closing its
// connection is noticed by g's keepalive, if configured. The streams never end by
// themselves: g.GracefulStop would wait for them forever.
func (s *Server) Register(g *grpc.Server) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, aggregated{server: s})
}

// sameForAll is the cache key of every node: all get the same set.
type sameForAll struct{}

const cacheKey = "all"

func (sameForAll) ID(*corev3.Node) string { return cacheKey }

// Publish makes set the desired state and waits until every connected Envoy has
// acknowledged the resources that it is subscribed to. It returns *Rejected as soon as
// an Envoy rejects one, and if ctx ends, an error that names the missing Envoys. The
// set stays published in both cases. Publishing the previous set reverts it;
// publishing the same set again sends what was rejected again.
//
// Envoy acknowledges clusters only when they are warm: DNS resolved, secrets received
// or given up (after their initial_fetch_timeout, 15 s by default). Until then it is
// sent no other clusters, so reverting a set that timed out may take that long too.
// Publish also waits for Envoys that connect in the meantime, and stops waiting for
// those that leave; with none, it returns at once. All types are sent together,
// clusters first, without waiting in between: to replace a cluster under load, first
// publish the new one in addition to the old.
//
// One Publish runs at a time; a second waits.
func (s *Server) Publish(ctx context.Context, set Set) error {
	snap, err := set.snapshot()
	if err != nil {
		return fmt.Errorf("xds: %w", err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("xds: not published: %w", context.Cause(ctx))
	}
	select {
	case s.publishing <- struct{}{}:
		defer func() { <-s.publishing }()
	case <-ctx.Done():
		return fmt.Errorf("xds: not published: another publication is running: %w", context.Cause(ctx))
	}

	if err := s.serve(snap); err != nil {
		return fmt.Errorf("xds: %w", err)
	}
	for {
		ended := ctx.Err() != nil // read first, so that the error names what is missing now
		s.mu.Lock()
		missing, rejected, changed := s.missing(), s.rejected(), s.changed
		s.mu.Unlock()
		switch {
		case rejected != nil:
			return rejected
		case len(missing) == 0:
			return nil
		case ended:
			return fmt.Errorf("xds: not acknowledged by %s: %w", strings.Join(missing, ", "), context.Cause(ctx))
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// serve makes snap the desired state, and queues for each Envoy what it lacks.
func (s *Server) serve(snap *cachev3.Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = snap.VersionMap
	s.publication++
	for _, st := range s.streams {
		s.compare(st)
	}
	s.notify()
	// Without the context: if it ended halfway, only some Envoys would get the set.
	return s.cache.SetSnapshot(context.Background(), cacheKey, snap)
}

// missing returns the Envoys that have not acknowledged the set, with their pending
// types.
func (s *Server) missing() []string {
	var missing []string
	for _, st := range s.streams {
		if len(st.pending) > 0 {
			missing = append(missing, fmt.Sprintf("envoy %q (%s)", st.node, strings.Join(st.pending, ", ")))
		}
	}
	return missing
}

// rejected returns the first rejection of the current set, or nil.
func (s *Server) rejected() *Rejected {
	for _, st := range s.streams {
		for _, t := range servedTypes {
			if p := st.types[t.url]; p != nil && len(p.refused) > 0 && p.refusedIn == s.publication {
				return &Rejected{Node: st.node, Type: t.name, Text: p.rejection}
			}
		}
	}
	return nil
}

// Rejection returns the rejection of the current set by an Envoy that is still
// connected, or nil.
func (s *Server) Rejection() *Rejected {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rejected()
}

// About returns the names of the resources that a rejection concerns, as far as they are
// known and still rejected.
func (s *Server) About(r *Rejected) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		for url, p := range st.types {
			if st.node == r.Node && typeName(url) == r.Type && p.rejection == r.Text {
				return named(p.refused, p.rejection)
			}
		}
	}
	return nil
}

// NodeStatus is the state of one connected Envoy. Two Envoys with the same node id
// have two.
type NodeStatus struct {
	Node        string // its id
	Address     string // of its end of the connection; for a Unix socket often empty or "@"
	Version     string // of Envoy, like "1.40.0"
	ConnectedAt time.Time
	// Synced reports whether it has acknowledged the current set; Pending lists the
	// types in which it has not.
	Synced  bool
	Pending []string
	// Acknowledged is the last publication that it has acknowledged completely on this
	// connection, or 0.
	Acknowledged uint64
	// Rejections holds its last message for each rejected type, until it has acknowledged
	// the rejected resources or their replacements.
	Rejections map[string]string
}

// Nodes returns the connected Envoys in the order in which they connected.
func (s *Server) Nodes() []NodeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes()
}

func (s *Server) nodes() []NodeStatus {
	nodes := make([]NodeStatus, 0, len(s.streams))
	for _, st := range s.streams {
		n := NodeStatus{
			Node:         st.node,
			Address:      st.address,
			Version:      st.version,
			ConnectedAt:  st.connectedAt,
			Synced:       s.synced(st),
			Pending:      slices.Clone(st.pending),
			Acknowledged: st.acknowledged,
			Rejections:   map[string]string{},
		}
		for url, p := range st.types {
			if p.rejection != "" {
				n.Rejections[typeName(url)] = p.rejection
			}
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// Publication returns the number of the current set, or 0 before the first.
func (s *Server) Publication() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.publication
}

// Synced reports whether at least one Envoy is connected and all of them have
// acknowledged the current set.
func (s *Server) Synced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		if !s.synced(st) {
			return false
		}
	}
	return len(s.streams) > 0
}

func (s *Server) synced(st *stream) bool {
	return s.publication > 0 && len(st.pending) == 0
}

// Wait calls done with Nodes at every change and returns nil once it returns true. If
// ctx ends first, it returns the cause.
func (s *Server) Wait(ctx context.Context, done func([]NodeStatus) bool) error {
	for {
		s.mu.Lock()
		nodes, changed := s.nodes(), s.changed
		s.mu.Unlock()
		if done(nodes) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// receive records a request and passes it to the cache.
func (s *Server) receive(st *stream, req *discoveryv3.DeltaDiscoveryRequest, sub cachev3.Subscription, out chan cachev3.DeltaResponse) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.connectedAt.IsZero() {
		st.connectedAt = time.Now()
		st.node = req.GetNode().GetId()
		st.version = envoyVersion(req.GetNode())
		if req.Node != nil {
			req.Node.Extensions = nil // hundreds that are never read, and kept with each request
		}
		s.streams = append(s.streams, st)
		s.log.Info("envoy connected", "node", st.node, "address", st.address, "version", st.version)
	}
	url := req.GetTypeUrl()
	p := st.types[url]
	if p == nil {
		p = newProgress(req.GetInitialResourceVersions())
		st.types[url] = p
	}
	if p.received(req, sub, s.want[url], s.publication) {
		s.log.Error("envoy rejected an update", "node", st.node, "type", typeName(url), "text", p.rejection)
	}
	s.moved(st)
	return s.cache.CreateDeltaWatch(req, s.resubscribe(sub, p), out)
}

// sending records a response that is about to be sent.
func (s *Server) sending(st *stream, resp *discoveryv3.DeltaDiscoveryResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.types[resp.GetTypeUrl()].sent(resp)
	s.moved(st)
}

// disconnected removes an Envoy.
func (s *Server) disconnected(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.connectedAt.IsZero() {
		return // it never sent a request
	}
	s.streams = slices.DeleteFunc(s.streams, func(other *stream) bool { return other == st })
	s.notify()
	s.log.Info("envoy disconnected", "node", st.node, "address", st.address)
}

// moved updates the status after a change of st.types.
func (s *Server) moved(st *stream) {
	s.compare(st)
	s.notify()
}

// compare updates which types of the set an Envoy has not acknowledged.
func (s *Server) compare(st *stream) {
	st.pending = pendingTypes(st.types, s.want)
	if len(st.pending) == 0 {
		st.acknowledged = s.publication
	}
}

// notify wakes everything that waits for a change.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

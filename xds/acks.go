package xds

import (
	"maps"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// versions are resource versions by resource name.
type versions = map[string]string

// progress is the state of one Envoy for one resource type. It is a plain value
// without a lock: Server.mu guards it.
type progress struct {
	wildcard bool
	// names are the subscribed names, in addition to a wildcard.
	names map[string]struct{}
	// held are the versions it has acknowledged.
	held versions
	// owed is set if a response is due, even an empty one. unacknowledged holds the
	// content of the responses that are not yet acknowledged or rejected, by nonce.
	owed           bool
	unacknowledged map[string]carried
	// refused are the resources that it rejected and that were not sent again, in the
	// publication refusedIn; rejection is its message.
	refused   map[string]struct{}
	refusedIn uint64
	rejection string
}

// carried is the content of one response.
type carried struct {
	versions versions
	removed  []string
}

// newProgress starts a type on a new stream. An Envoy that reconnects states which
// versions it holds; current ones are not sent again and thus not acknowledged.
func newProgress(initial versions) *progress {
	p := &progress{
		held:           versions{},
		unacknowledged: map[string]carried{},
		refused:        map[string]struct{}{},
	}
	maps.Copy(p.held, initial)
	return p
}

// sent records a response that is about to be sent.
func (p *progress) sent(resp *discoveryv3.DeltaDiscoveryResponse) {
	c := carried{versions: make(versions, len(resp.GetResources())), removed: resp.GetRemovedResources()}
	for _, r := range resp.GetResources() {
		c.versions[r.GetName()] = r.GetVersion()
		delete(p.refused, r.GetName())
	}
	for _, name := range c.removed {
		delete(p.refused, name)
	}
	p.unacknowledged[resp.GetNonce()] = c
	p.owed = false
}

// received records a request: an acknowledgement or rejection of a response, a change
// of the subscription, or both. want is what the publication holds of the type. It
// reports whether the request rejects a response.
func (p *progress) received(req *discoveryv3.DeltaDiscoveryRequest, sub cachev3.Subscription, want versions, publication uint64) bool {
	c, responds := p.unacknowledged[req.GetResponseNonce()]
	rejects := responds && req.GetErrorDetail() != nil
	delete(p.unacknowledged, req.GetResponseNonce())
	switch {
	case rejects:
		p.refuse(c, want, publication)
		p.rejection = rejectionText(req)
	case responds:
		maps.Copy(p.held, c.versions)
		for _, name := range c.removed {
			delete(p.held, name)
		}
	}

	p.wildcard = sub.IsWildcard()
	// go-control-plane always responds to this one: Envoy's start waits for it.
	p.owed = p.owed || p.wildcard && req.GetResponseNonce() == ""
	p.names = maps.Clone(sub.SubscribedResources()) // the original changes with the next request
	if !p.wildcard {
		// An Envoy that unsubscribes forgets the resource and is sent it again when it
		// subscribes.
		maps.DeleteFunc(p.held, func(name, _ string) bool { return !p.subscribed(name) })
		maps.DeleteFunc(p.refused, func(name string, _ struct{}) bool { return !p.subscribed(name) })
	}
	if len(p.refused) == 0 && len(p.unacknowledged) == 0 {
		p.rejection = ""
	}
	return rejects
}

// refuse records the rejection of c. Envoy may have applied a part of it (it tries
// cluster by cluster) or nothing (if it cannot decode one of the resources).
func (p *progress) refuse(c carried, want versions, publication uint64) {
	p.refusedIn = publication
	for name, version := range c.versions {
		delete(p.held, name)
		p.refused[name] = struct{}{}
		if want[name] != version {
			p.refusedIn = publication - 1 // sent before the set that is current
		}
	}
	for _, name := range c.removed {
		delete(p.held, name)
		p.refused[name] = struct{}{}
		if _, ok := want[name]; ok {
			p.refusedIn = publication - 1
		}
	}
}

func (p *progress) subscribed(name string) bool {
	_, ok := p.names[name]
	return ok
}

// current reports whether nothing has to be sent and no response is due.
func (p *progress) current(want versions) bool {
	if p.owed || len(p.unacknowledged) > 0 || len(p.refused) > 0 {
		return false
	}
	if p.wildcard {
		return maps.Equal(p.held, want)
	}
	for name := range p.names {
		if p.held[name] != want[name] {
			return false
		}
	}
	return true
}

// holds reports whether everything in want is acknowledged.
func (p *progress) holds(want versions) bool {
	for name, version := range want {
		if p.held[name] != version {
			return false
		}
	}
	return true
}

// pendingTypes returns the types in which an Envoy does not have everything in want.
// An Envoy asks for listeners only when its clusters are warm, and for routes when it
// has listeners, so a type that it has not asked for is pending too. Secrets are the
// exception: they are known by reference only, and a cluster's acknowledgement waits
// for them. A type without resources in the Set is never pending.
func pendingTypes(types map[string]*progress, want map[string]versions) []string {
	var pending []string
	for _, t := range servedTypes {
		p := types[t.url]
		switch {
		case p == nil && (len(want[t.url]) == 0 || t.url == resourcev3.SecretType):
		case p == nil || !p.current(want[t.url]),
			t.url != resourcev3.SecretType && !p.holds(want[t.url]):
			pending = append(pending, t.name)
		}
	}
	return pending
}

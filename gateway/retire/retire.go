// Package retire knows which clusters of replaced policies requests may still
// need, so that an Envoy does not keep them for longer.
//
// A request that runs on a cluster does not need it: Envoy lets it finish. What
// needs it is an attempt that is still to begin. So a policy is needed while
// requests are being decided on with it, and for a short time after the last
// decision, until its first attempt has begun. After that, a cluster is needed
// for each request that has it in its plan and whose response has not begun.
// Envoy's log tells of both: the end of a request, and a response that has begun.
//
// A request of which the log says nothing for a while is forgotten: its Envoy may
// be gone. Nothing of a policy is kept for longer than Longest.
//
// The package knows no Envoy and starts no goroutine.
package retire

import (
	"slices"
	"sync"
	"time"

	"weir/internal/requestkey"
	"weir/metadata"
	"weir/policy"
)

const (
	// Grace is how long a policy stays whole after it was replaced and after the
	// last decision with it: time for Envoy to begin the first attempt.
	Grace = 5 * time.Second
	// MaxWhole bounds the replaced policies that stay whole. Of policies with few
	// clusters there may be more: until they have MaxClusters together, or are
	// MaxSmall.
	MaxWhole    = 8
	MaxClusters = 256
	MaxSmall    = 64
	// lost is how long a plan counts without news of it. Envoy tells of a running
	// request every 2 s.
	lost = time.Minute
)

// Longest is how long a policy can be needed after it was replaced. A request
// keeps the policy that was current when its headers came. Its last attempt begins, at
// most, a total timeout after its body is complete.
func Longest(p *policy.Policy) time.Duration {
	return p.Limits.ClientBodyTimeout + p.TotalTimeout + p.PerRequestTimeout
}

// Book counts what requests need. Its methods may be called at the same time.
type Book struct {
	now func() time.Time
	ids requestkey.Maker

	mu          sync.Mutex
	generations []*generation // the current one is the last
	plans       map[requestkey.Key]plan
	swept       time.Time
}

// generation is a policy, and what needs it.
type generation struct {
	policy   *policy.Policy
	deciding int
	last     time.Time // of its replacement, and of decisions after that
	until    time.Time // when it is dropped, whatever needs it; of a replaced one
	whole    bool      // nothing of it may go
	open     map[*policy.Cluster]int
}

// plan is a request that may have another attempt.
type plan struct {
	of       *generation
	clusters [metadata.MaxAttempts]*policy.Cluster
	n        int
	seen     time.Time
}

// New returns a Book without a policy.
func New(now func() time.Time) *Book {
	return &Book{now: now, ids: requestkey.New(), plans: map[requestkey.Key]plan{}}
}

// Adopt makes p the current policy.
func (b *Book) Adopt(p *policy.Policy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.generations); n > 0 {
		if b.generations[n-1].policy == p {
			return
		}
		replaced := b.generations[n-1]
		replaced.last = b.now()
		replaced.until = replaced.last.Add(Longest(replaced.policy))
	}
	b.generations = append(b.generations, &generation{policy: p, whole: true, open: map[*policy.Cluster]int{}})
}

// find returns a policy's generation; nil: it is kept no longer. Nearly always it
// is the last one.
func (b *Book) find(p *policy.Policy) *generation {
	for _, g := range slices.Backward(b.generations) {
		if g.policy == p {
			return g
		}
	}
	return nil
}

// Enter notes that a request is being decided on with p.
func (b *Book) Enter(p *policy.Policy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if g := b.find(p); g != nil {
		g.deciding++
	}
}

// Leave notes the end of what Enter noted.
func (b *Book) Leave(p *policy.Policy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.find(p)
	if g == nil {
		return
	}
	g.deciding--
	if g != b.generations[len(b.generations)-1] {
		g.last = b.now()
	}
}

// Plan notes the plan of a request, which Done is to follow. It reports
// whether the clusters of p are still there: it is false for a request whose body
// took longer than the replaced policies are kept.
func (b *Book) Plan(id string, p *policy.Policy, attempts []policy.Attempt) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.find(p)
	if g == nil || !g.whole {
		return false
	}
	if len(attempts) < 2 {
		return true // it has no attempt that is still to begin, after Grace
	}
	k := b.ids.Of(id)
	b.forget(k)
	one := plan{of: g, n: len(attempts), seen: b.now()}
	for i := range attempts {
		one.clusters[i] = attempts[i].Cluster
		g.open[attempts[i].Cluster]++
	}
	b.plans[k] = one
	return true
}

// Done notes that no attempt of a request is still to begin: it is over, or its
// response has begun.
func (b *Book) Done(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(b.ids.Of(id))
}

// Running notes that a request goes on.
func (b *Book) Running(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.ids.Of(id)
	if one, ok := b.plans[k]; ok {
		one.seen = b.now()
		b.plans[k] = one
	}
}

func (b *Book) forget(k requestkey.Key) {
	one, ok := b.plans[k]
	if !ok {
		return
	}
	delete(b.plans, k)
	for _, c := range one.clusters[:one.n] {
		if one.of.open[c]--; one.of.open[c] == 0 {
			delete(one.of.open, c)
		}
	}
}

// Wait returns how long a further policy should wait for its turn: as long as the
// replaced ones that stay whole are as many as may be, and the oldest of them is
// young.
func (b *Book) Wait() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.settle(now)
	whole := b.replaced()
	if !full(whole) {
		return 0
	}
	return max(whole[0].last.Add(Grace).Sub(now), 0)
}

// full reports whether so many replaced policies may not become more.
func full(whole []*generation) bool {
	clusters := 0
	for _, g := range whole {
		clusters += len(g.policy.Clusters)
	}
	return len(whole) >= MaxWhole && (clusters > MaxClusters || len(whole) >= MaxSmall)
}

// replaced are the generations that are whole and not the current one.
func (b *Book) replaced() []*generation {
	var out []*generation
	for _, g := range b.generations[:max(len(b.generations)-1, 0)] {
		if g.whole {
			out = append(out, g)
		}
	}
	return out
}

// settle finds out what is no longer needed.
func (b *Book) settle(now time.Time) {
	if now.Sub(b.swept) >= lost/10 {
		b.swept = now
		for k, one := range b.plans {
			if now.Sub(one.seen) > lost {
				b.forget(k)
			}
		}
	}
	whole := b.replaced()
	for i, g := range whole {
		young := now.Sub(g.last) < Grace
		if !young && (g.deciding == 0 || full(whole[i:])) {
			g.whole = false
		}
	}
	current := b.generations[max(len(b.generations)-1, 0):]
	b.generations = slices.DeleteFunc(b.generations, func(g *generation) bool {
		if slices.Contains(current, g) {
			return false
		}
		if over := !now.Before(g.until); over {
			for k, one := range b.plans {
				if one.of == g {
					b.forget(k)
				}
			}
			return true
		}
		return !g.whole && len(g.open) == 0
	})
}

// Kept returns what is still needed of the policies that were replaced, the
// newest first.
func (b *Book) Kept() []*policy.Policy {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(b.now())
	var out []*policy.Policy
	for _, g := range slices.Backward(b.generations[:max(len(b.generations)-1, 0)]) {
		if g.whole {
			out = append(out, g.policy)
		} else {
			out = append(out, g.policy.Only(func(c *policy.Cluster) bool { return g.open[c] > 0 }))
		}
	}
	return out
}

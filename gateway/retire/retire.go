// Package retire tracks which clusters of replaced policies requests may still need, so
// that Envoys can drop the others.
//
// A request that runs on a cluster does not need it: Envoy removes the cluster and
// lets the request finish. Attempts that have not begun need their clusters. So a whole
// policy is needed while requests are being planned with it, and for Grace after the last
// plan, until its first attempt has begun. After that, a cluster is needed for each
// request that has it in its plan and whose response has not begun. Envoy's access log
// reports both ends: a response that has begun, and a request that has ended.
//
// A request that the log has not reported for a while is dropped: its Envoy may have exited.
// Nothing of a policy is kept for longer than Longest.
//
// The package does not know Envoy, and starts no goroutine.
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
	// Grace is how long a policy stays whole after it was replaced, and after the last
	// plan that was made with it: time for Envoy to begin the first attempt.
	Grace = 5 * time.Second
	// MaxWhole bounds the replaced policies that stay whole. Policies with few clusters
	// may be more: up to MaxSmall, as long as they have at most MaxClusters together.
	MaxWhole    = 8
	MaxClusters = 256
	MaxSmall    = 64
	// lost is how long a plan counts without a report of its request. Envoy reports a
	// running request every 2 s.
	lost = time.Minute
)

// Longest is how long a policy can be needed after it was replaced. A request
// keeps the policy that was current when its headers arrived. Its last attempt begins, at
// most, a total timeout after its body is complete.
func Longest(p *policy.Policy) time.Duration {
	return p.Limits.ClientBodyTimeout + p.TotalTimeout + p.LongestAttempt()
}

// Book counts what requests need of policies. Its methods may be called
// concurrently. For each request:
//
//	book.Enter(p)                 // it is being planned with p
//	book.Plan(id, p, attempts)    // it has a plan
//	book.Leave(p)
//	book.Running(id)              // Envoy reports it
//	book.Done(id)                 // its response has begun, or it has ended
type Book struct {
	now func() time.Time
	ids requestkey.Maker

	mu          sync.Mutex
	generations []*generation // the current one is the last
	plans       map[requestkey.Key]plan
	swept       time.Time
}

// generation is a policy and what requests need of it.
type generation struct {
	policy   *policy.Policy
	deciding int
	last     time.Time // when it was replaced, or when the last plan after that was made
	until    time.Time // when a replaced one is dropped, even if it is needed
	whole    bool      // all of it is needed
	open     map[*policy.Cluster]int
}

// plan is the plan of a request that may make another attempt.
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

// find returns a policy's generation, or nil if nothing of the policy is kept. It is
// nearly always the last one.
func (b *Book) find(p *policy.Policy) *generation {
	for _, g := range slices.Backward(b.generations) {
		if g.policy == p {
			return g
		}
	}
	return nil
}

// Enter records that a request is being planned with p.
func (b *Book) Enter(p *policy.Policy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if g := b.find(p); g != nil {
		g.deciding++
	}
}

// Leave records the end of what Enter recorded.
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

// Plan records the plan of a request, until Done. It returns false if clusters of p have been
// removed: the body of the request took longer than replaced policies are kept.
func (b *Book) Plan(id string, p *policy.Policy, attempts []policy.Attempt) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.find(p)
	if g == nil || !g.whole {
		return false
	}
	if len(attempts) < 2 {
		return true // its only attempt begins within Grace
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

// Done records that a request makes no more attempts: its response has begun, or it has
// ended.
func (b *Book) Done(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(b.ids.Of(id))
}

// Running records that a request is still running.
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

// Wait returns how long the next policy should wait before it is adopted: until the
// oldest whole policy is no longer young, if there are as many as there may be.
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

// full reports whether there are as many replaced policies as there may be.
func full(whole []*generation) bool {
	clusters := 0
	for _, g := range whole {
		clusters += len(g.policy.Clusters)
	}
	return len(whole) >= MaxWhole && (clusters > MaxClusters || len(whole) >= MaxSmall)
}

// replaced returns the whole generations, without the current one.
func (b *Book) replaced() []*generation {
	var out []*generation
	for _, g := range b.generations[:max(len(b.generations)-1, 0)] {
		if g.whole {
			out = append(out, g)
		}
	}
	return out
}

// settle drops what is no longer needed.
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

// Kept returns what is still needed of replaced policies, the newest first.
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

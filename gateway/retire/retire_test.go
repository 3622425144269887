package retire

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/policy"
	"weir/policy/config"
)

// world is a Book with a clock, and policies that share no cluster.
type world struct {
	*Book
	now time.Time
	t   *testing.T
	n   int
}

func newWorld(t *testing.T) *world {
	w := &world{now: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC), t: t}
	w.Book = New(func() time.Time { return w.now })
	return w
}

// adopt makes a policy with the clusters of providers a and b current.
func (w *world) adopt() *policy.Policy {
	w.t.Helper()
	w.n++
	p, _, problems := policy.Load(policy.Source{
		File: "weir.yaml", Getenv: func(string) string { return "" }, ReadFile: func(string) ([]byte, error) { return nil, nil },
		Data: fmt.Appendf(nil, "providers: [{id: a, base_url: http://a%[1]d.internal, api_keys: [{value: k}]}, {id: b, base_url: http://b%[1]d.internal}]", w.n),
	})
	if err := problems.Err(); err != nil {
		w.t.Fatal(err)
	}
	w.Adopt(p)
	return p
}

// attempts at the providers' clusters.
func attempts(p *policy.Policy, providers ...string) []policy.Attempt {
	var out []policy.Attempt
	for _, id := range providers {
		for _, c := range p.Clusters {
			if c.Provider == id {
				out = append(out, policy.Attempt{Cluster: c})
			}
		}
	}
	return out
}

// kept is what is needed of replaced policies: "ab a" is all of the newest and
// the cluster of a of another.
func (w *world) kept() string {
	var out []string
	for _, p := range w.Kept() {
		s := ""
		for _, c := range p.Clusters {
			s += c.Provider
			for _, h := range c.Set {
				if h.Secret != "" && p.Secrets[h.Secret].Reveal() != "k" {
					w.t.Errorf("the secret of %s is gone", c.Name)
				}
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func (w *world) want(what, want string) {
	w.t.Helper()
	if got := w.kept(); got != want {
		w.t.Errorf("%s: kept %q, want %q", what, got, want)
	}
}

func (w *world) wait(d time.Duration) { w.now = w.now.Add(d) }

func TestRetire(t *testing.T) {
	w := newWorld(t)
	first := w.adopt()
	w.want("one policy", "")
	w.Enter(first)
	w.adopt()
	w.wait(Longest(first) - 2*Grace)
	w.want("a request is being decided on", "ab")
	if !w.Plan("1", first, attempts(first, "a", "b")) || !w.Plan("2", first, attempts(first, "b")) {
		t.Error("no plan")
	}
	w.Leave(first)
	w.wait(Grace - 1)
	w.want("the first attempt is to begin", "ab")
	w.wait(1)
	w.Running("1")
	w.want("a second attempt may begin", "ab")
	w.Done("1")
	w.want("no attempt is to begin", "")
	if w.Plan("3", first, attempts(first, "a", "b")) {
		t.Error("a plan with what is gone")
	}
	if len(w.plans) != 0 || len(w.generations) != 1 {
		t.Errorf("left: %d plans, %d policies", len(w.plans), len(w.generations))
	}
}

// Of a policy stays what plans need, for as long as they are heard of.
func TestPartOfPolicy(t *testing.T) {
	w := newWorld(t)
	first := w.adopt()
	w.Plan("1", first, attempts(first, "a", "a"))
	w.Plan("2", first, attempts(first, "a", "b"))
	second := w.adopt()
	w.Plan("3", second, attempts(second, "b", "b"))
	w.adopt()
	w.want("at once", "ab ab")
	w.wait(Grace)
	w.want("later", "b ab")
	w.Done("2")
	w.Done("2")
	w.want("after one request", "b a")
	w.wait(lost - Grace)
	w.Running("3")
	w.wait(Grace)
	w.want("one is lost", "b")
	w.Done("1")
	w.Done("3")
	w.want("after all", "")
	// A request id that comes again replaces what it was.
	third := w.adopt()
	w.Plan("1", third, attempts(third, "a", "b"))
	w.Plan("1", third, attempts(third, "a", "a"))
	w.adopt()
	w.wait(Grace)
	w.want("the second plan of an id", "a")
	w.Running("1")
	w.wait(Longest(third) - Grace)
	w.want("at the longest", "")
	if len(w.plans) != 0 {
		t.Errorf("%d plans", len(w.plans))
	}
}

// A request that is still being uploaded has its policy, and its attempts are to
// come: a policy is needed for as long as both can take, and no longer.
func TestLongest(t *testing.T) {
	w := newWorld(t)
	first := w.adopt()
	want := config.DefaultClientBodyTimeout + first.TotalTimeout + first.PerRequestTimeout
	w.Enter(first)
	w.adopt()
	w.wait(want - 1)
	w.want("before", "ab")
	w.wait(1)
	w.want("after", "")
	if w.Plan("1", first, attempts(first, "a", "b")) {
		t.Error("a plan with what is gone")
	}
	w.Leave(first)
}

// Changes that follow each other fast wait for their turn; uploads that take
// longer than that keep no more policies than may be.
func TestBounded(t *testing.T) {
	w := newWorld(t)
	for range MaxSmall {
		if d := w.Wait(); d != 0 {
			t.Fatalf("wait %v with %d", d, w.n)
		}
		w.Enter(w.adopt())
		w.wait(time.Millisecond)
	}
	w.adopt()
	if d, want := w.Wait(), Grace-time.Duration(MaxSmall-1)*time.Millisecond; d != want {
		t.Errorf("wait %v, want %v", d, want)
	}
	w.wait(Grace)
	for range 20 {
		if d := w.Wait(); d != 0 {
			t.Fatalf("wait %v for uploads", d)
		}
		w.Enter(w.adopt())
		w.wait(Grace)
		if n := len(w.Kept()); n > MaxSmall {
			t.Fatalf("%d policies are kept", n)
		}
	}
}

func TestConcurrent(t *testing.T) {
	b := New(time.Now)
	w := &world{Book: b, t: t}
	policies := []*policy.Policy{w.adopt(), w.adopt(), w.adopt()}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 2000 {
				p, id := policies[n%3], fmt.Sprint(i, n)
				b.Enter(p)
				b.Plan(id, p, attempts(p, "a", "b"))
				b.Leave(p)
				b.Running(id)
				b.Kept()
				b.Done(id)
			}
		})
	}
	all.Wait()
	if len(b.plans) != 0 || len(b.generations[0].open) != 0 || b.generations[0].deciding != 0 {
		t.Errorf("left: %d plans", len(b.plans))
	}
}

func BenchmarkDecision(b *testing.B) {
	book := New(time.Now)
	p := &policy.Policy{Clusters: []*policy.Cluster{{Name: "a"}, {Name: "b"}}}
	book.Adopt(p)
	plan := []policy.Attempt{{Cluster: p.Clusters[0]}, {Cluster: p.Clusters[1]}}
	b.ReportAllocs()
	for b.Loop() {
		book.Enter(p)
		book.Plan("0b3c6f0e-7f5a-4a1e-9a52-2f5b3a2d8c11", p, plan)
		book.Leave(p)
		book.Done("0b3c6f0e-7f5a-4a1e-9a52-2f5b3a2d8c11")
	}
}

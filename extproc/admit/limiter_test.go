package admit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// limiterOf returns a Limiter with limits of the whole.
func limiterOf(requests int, bytes int64, wait time.Duration) *Limiter {
	l := New()
	l.Configure(Settings{Total: Limits{requests, bytes}, MaxWait: wait})
	return l
}

// TestSteps runs small programs. A step is an action and its result:
//
//	enter ID SUBJECT BYTES   admitted, or the limit
//	body ID BYTES | run ID | leave ID | ended ID
//	running ID SUBJECT BYTES
//	ticks N
//	use REQUESTS BYTES
//
// Each subject may have two requests and 100 bytes, the whole three and 150.
func TestSteps(t *testing.T) {
	names := map[Reason]string{None: "ok", SubjectRequests: "key requests", SubjectBodyBytes: "key bytes", TotalRequests: "requests", TotalBodyBytes: "bytes"}
	for name, steps := range map[string]string{
		"requests of a subject": `
			enter 1 a 1: ok
			enter 2 a 1: ok
			enter 3 a 1: key requests
			enter 4 b 1: ok
			leave 1
			enter 5 a 1: ok
			use 3 3`,
		"requests in all": `
			enter 1 a 1: ok
			enter 2 a 1: ok
			enter 3 b 1: ok
			enter 4 b 1: requests
			enter 5 c 1: requests
			enter 6 a 1: key requests`,
		"bytes of a subject": `
			enter 1 a 60: ok
			enter 2 a 41: key bytes
			enter 3 a 40: ok
			use 2 100`,
		"bytes in all": `
			enter 1 a 100: ok
			enter 2 b 51: bytes
			enter 3 b 50: ok`,
		"a body without others is admitted whatever its size": `
			enter 1 a 1000: ok
			enter 2 a 0: key bytes
			enter 3 b 0: bytes
			leave 1
			enter 4 a 0: ok
			enter 5 a 1000: ok`,
		"the true length": `
			enter 1 a 100: ok
			body 1 10
			use 1 10
			enter 2 a 90: ok
			body 1 50
			use 2 100`,
		"an end that is reported": `
			enter 1 a 50: ok
			run 1
			ended 1
			use 0 0
			ended 1
			leave 1
			body 1 5
			run 1
			ticks 99
			use 0 0`,
		"an end that is reported before the request runs": `
			enter 1 a 50: ok
			ended 1
			use 0 0
			run 1
			leave 1
			use 0 0`,
		"an end of another": `
			enter 1 a 50: ok
			ended 2
			use 1 50`,
		"no news": `
			enter 1 a 50: ok
			enter 2 b 10: ok
			run 1
			ticks 6
			use 2 60
			ticks 1
			use 1 10
			ticks 100
			use 1 10
			leave 2
			use 0 0`,
		"news": `
			enter 1 a 50: ok
			run 1
			ticks 6
			running 1 a 50
			ticks 6
			use 1 50
			ended 1
			use 0 0`,
		"requests of another process": `
			running 1 a 60
			running 2 a 60
			running 3 a 60
			use 3 180
			enter 4 a 1: key requests
			enter 5 b 1: requests
			ended 2
			running 1 a 60
			use 2 120
			ticks 7
			use 0 0`,
		"news of nobody": `
			running 1  5
			use 0 0`,
		"the same id": `
			enter 1 a 1: ok
			enter 1 a 1: ok
			use 2 2
			leave 1
			use 1 1`,
	} {
		t.Run(name, func(t *testing.T) {
			l := limiterOf(3, 150, 0)
			slots := map[string]Slot{}
			for line := range strings.Lines(steps) {
				line = strings.TrimSpace(line)
				words := append(strings.Split(strings.Split(line, ":")[0], " "), "", "", "")
				var n int64
				_, _ = fmt.Sscan(words[3], &n)
				switch words[0] {
				case "enter":
					slot, reason := l.Enter(t.Context(), Request{words[1], words[2], Limits{2, 100}, n})
					slots[words[1]] = slot
					if got := strings.Split(line, ": ")[0] + ": " + names[reason]; got != line {
						t.Fatalf("%s\nwant %s", got, line)
					}
				case "body":
					_, _ = fmt.Sscan(words[2], &n)
					slots[words[1]].Body(n)
				case "run":
					slots[words[1]].Run()
				case "leave":
					slots[words[1]].Leave()
				case "ended":
					l.Ended(words[1])
				case "running":
					l.Running(Request{ID: words[1], Subject: words[2], BodyBytes: n})
				case "ticks":
					_, _ = fmt.Sscan(words[1], &n)
					for range n {
						l.Tick()
					}
				case "use":
					u := l.Usage()
					if got := fmt.Sprintf("use %d %d", u.Requests, u.BodyBytes); got != line {
						t.Fatalf("%s, want %s", got, line)
					}
				}
			}
		})
	}
}

// enter starts a request that may have to wait, and tells what became of it.
func enter(l *Limiter, ctx context.Context, id, subject string, bytes int64, into chan<- string) {
	go func() {
		_, reason := l.Enter(ctx, Request{id, subject, Limits{2, 100}, bytes})
		into <- fmt.Sprintf("%s: %d", id, reason)
	}()
	synctest.Wait()
}

func TestWaiting(t *testing.T) {
	none := func(t *testing.T, c chan string) {
		t.Helper()
		synctest.Wait()
		select {
		case s := <-c:
			t.Errorf("%s, which should wait", s)
		default:
		}
	}
	want := func(t *testing.T, c chan string, want ...string) {
		t.Helper()
		synctest.Wait()
		for _, w := range want {
			select {
			case got := <-c:
				if got != w {
					t.Errorf("%s, want %s", got, w)
				}
			default:
				t.Errorf("nothing, want %s", w)
			}
		}
	}
	run := func(name string, f func(t *testing.T, l *Limiter, c chan string)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limiterOf(3, 150, time.Second)
				f(t, l, make(chan string, 100))
				synctest.Wait()
				time.Sleep(2 * time.Second) // whoever waits gives up
				synctest.Wait()
				if u := l.Usage(); u.Waiting != 0 || l.waiting != 0 || len(l.queued) != 0 {
					t.Errorf("left over: %+v, %d bytes, %d subjects", u, l.waiting, len(l.queued))
				}
			})
		})
	}
	ctx := context.Background()
	run("in the order of a subject", func(t *testing.T, l *Limiter, c chan string) {
		enter(l, ctx, "1", "a", 1, c)
		enter(l, ctx, "2", "a", 1, c)
		want(t, c, "1: 0", "2: 0")
		enter(l, ctx, "3", "a", 1, c)
		enter(l, ctx, "4", "a", 1, c)
		none(t, c)
		l.Ended("2")
		want(t, c, "3: 0")
		l.Ended("1")
		want(t, c, "4: 0")
	})
	run("no longer than so", func(t *testing.T, l *Limiter, c chan string) {
		enter(l, ctx, "1", "a", 1, c)
		enter(l, ctx, "2", "a", 1, c)
		want(t, c, "1: 0", "2: 0")
		enter(l, ctx, "3", "a", 1, c)
		time.Sleep(999 * time.Millisecond)
		none(t, c)
		time.Sleep(time.Millisecond)
		want(t, c, fmt.Sprintf("3: %d", SubjectRequests))
		l.Ended("1")
		if n := l.Usage().Requests; n != 1 {
			t.Errorf("%d requests run, want 1", n)
		}
	})
	run("no more than may run", func(t *testing.T, l *Limiter, c chan string) {
		for id := range 4 {
			enter(l, ctx, fmt.Sprint(id), "a", 1, c)
		}
		want(t, c, "0: 0", "1: 0")
		none(t, c)
		enter(l, ctx, "4", "a", 1, c)
		want(t, c, fmt.Sprintf("4: %d", SubjectRequests))
		enter(l, ctx, "5", "b", 1, c) // the other subject is served at once
		want(t, c, "5: 0")
	})
	run("half of the bytes", func(t *testing.T, l *Limiter, c chan string) {
		enter(l, ctx, "1", "a", 100, c)
		enter(l, ctx, "2", "a", 40, c)
		enter(l, ctx, "3", "a", 20, c)
		want(t, c, "1: 0", fmt.Sprintf("3: %d", SubjectBodyBytes))
		none(t, c)
	})
	run("the subject with the fewest goes first", func(t *testing.T, l *Limiter, c chan string) {
		enter(l, ctx, "1", "a", 1, c)
		enter(l, ctx, "2", "a", 1, c)
		enter(l, ctx, "3", "b", 1, c)
		want(t, c, "1: 0", "2: 0", "3: 0")
		enter(l, ctx, "4", "b", 1, c)
		enter(l, ctx, "5", "c", 1, c)
		none(t, c)
		l.Ended("1")
		want(t, c, "5: 0")
		l.Ended("2")
		want(t, c, "4: 0")
	})
	run("a larger body does not pass a smaller one of another", func(t *testing.T, l *Limiter, c chan string) {
		enter(l, ctx, "1", "a", 90, c)
		enter(l, ctx, "2", "b", 60, c)
		want(t, c, "1: 0", "2: 0")
		enter(l, ctx, "3", "b", 30, c)
		none(t, c)
		l.Ended("1")
		want(t, c, "3: 0")
	})
	run("the client leaves", func(t *testing.T, l *Limiter, c chan string) {
		leaving, leave := context.WithCancel(ctx)
		enter(l, ctx, "1", "a", 1, c)
		enter(l, ctx, "2", "a", 1, c)
		want(t, c, "1: 0", "2: 0")
		enter(l, leaving, "3", "a", 1, c)
		enter(l, ctx, "4", "a", 1, c)
		leave()
		want(t, c, fmt.Sprintf("3: %d", Gone))
		l.Ended("1")
		want(t, c, "4: 0")
		if n := l.Usage().Requests; n != 2 {
			t.Errorf("%d requests run, want 2", n)
		}
	})
	run("more room by a reload", func(t *testing.T, l *Limiter, c chan string) {
		enter(l, ctx, "1", "a", 1, c)
		enter(l, ctx, "2", "b", 1, c)
		enter(l, ctx, "3", "c", 1, c)
		want(t, c, "1: 0", "2: 0", "3: 0")
		enter(l, ctx, "4", "d", 1, c)
		none(t, c)
		l.Configure(Settings{Total: Limits{4, 150}, MaxWait: time.Second})
		want(t, c, "4: 0")
	})
	run("less room by a reload", func(t *testing.T, l *Limiter, c chan string) {
		enter(l, ctx, "1", "a", 1, c)
		enter(l, ctx, "2", "b", 1, c)
		want(t, c, "1: 0", "2: 0")
		l.Configure(Settings{Total: Limits{1, 150}})
		if n := l.Usage().Requests; n != 2 {
			t.Errorf("%d requests run, want 2", n)
		}
		l.Ended("1")
		enter(l, ctx, "3", "c", 1, c)
		want(t, c, fmt.Sprintf("3: %d", TotalRequests))
		l.Ended("2")
		enter(l, ctx, "4", "c", 1, c)
		want(t, c, "4: 0")
	})
}

// Whatever happens at once, no limit is passed and nothing is left.
func TestManyAtOnce(t *testing.T) {
	const requests, bytes = 7, 1000
	l := limiterOf(requests, bytes, 2*time.Millisecond)
	var clients sync.WaitGroup
	for c := range 16 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 1))
			subject := fmt.Sprint(c % 3)
			for i := range 300 {
				id := fmt.Sprintf("%d-%d", c, i)
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(4) == 0 {
					time.AfterFunc(time.Duration(random.IntN(2000))*time.Microsecond, cancel)
				}
				slot, reason := l.Enter(ctx, Request{id, subject, Limits{3, 400}, int64(random.IntN(400))})
				if reason == None {
					if u := l.Usage(); u.Requests > requests || u.BodyBytes > bytes || u.Largest.Requests > 3 || u.Largest.BodyBytes > 400 {
						t.Errorf("in use: %+v", u)
					}
					slot.Body(int64(random.IntN(100)))
					switch random.IntN(3) {
					case 0:
						slot.Leave()
					case 1:
						slot.Run()
						l.Ended(id)
					case 2:
						l.Ended(id)
						slot.Run()
						slot.Leave()
					}
				}
				cancel()
			}
		})
	}
	clients.Wait()
	for range idleTicks + 1 {
		l.Tick()
	}
	u := l.Usage()
	if u != (Usage{}) || len(l.subjects) != 0 || len(l.queued) != 0 || l.waiting != 0 || len(l.entries) != 0 {
		t.Errorf("left over: %+v, %d subjects, %d queued, %d bytes waiting", u, len(l.subjects), len(l.queued), l.waiting)
	}
}

func TestEnterAllocatesNothing(t *testing.T) {
	l := limiterOf(100, 1000, time.Second)
	r := Request{"0f0a6bd8-0c39-4ea5-8c5e-2b7ae0d1c1f4", "key_0123456789ab", Limits{10, 1000}, 10}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		slot, _ := l.Enter(ctx, r)
		slot.Body(5)
		slot.Run()
		l.Ended(r.ID)
	}); n != 0 {
		t.Errorf("%g allocations for a request, want 0", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	l := limiterOf(1<<20, 1<<40, time.Second)
	for i := range 4000 { // others that run
		l.Running(Request{ID: fmt.Sprint("running-", i), Subject: fmt.Sprint("key-", i%50), BodyBytes: 1000})
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ids := make([]string, 256)
		for i := range ids {
			ids[i] = fmt.Sprintf("%016x-%016x", rand.Uint64(), rand.Uint64())
		}
		ctx := context.Background()
		for i := 0; pb.Next(); i++ {
			id := ids[i%len(ids)]
			slot, _ := l.Enter(ctx, Request{id, "key_0123456789ab", Limits{1 << 20, 1 << 40}, 1000})
			slot.Body(1000)
			slot.Run()
			l.Ended(id)
		}
	})
}

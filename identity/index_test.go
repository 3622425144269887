package identity

import (
	"fmt"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// many are n keys by their hashes, and the credential of each.
func many(n int) (keys map[Hash]*Key, credentials []string) {
	keys = make(map[Hash]*Key, n)
	for i := range n {
		credentials = append(credentials, fmt.Sprintf("credential-of-key-%d-0123456789abcdef", i))
		h := HashOf(credentials[i])
		keys[h] = &Key{ID: h.ID(), Name: fmt.Sprintf("team-%d", i)}
	}
	return keys, credentials
}

func TestIndex(t *testing.T) {
	keys, credentials := many(3000)
	all := NewIndex(keys)
	check := func(x *Index, has func(i int) bool, n int) {
		t.Helper()
		if x.Len() != n {
			t.Errorf("%d keys, want %d", x.Len(), n)
		}
		for i, c := range credentials {
			k := x.Find(c)
			if (k != nil) != has(i) {
				t.Fatalf("key %d is found: %v", i, k != nil)
			}
			id := HashOf(c).ID()
			if byID := x.ByID(id); byID != k || k != nil && (k.ID != id || k.Name != fmt.Sprintf("team-%d", i)) {
				t.Fatalf("key %d: found %+v, by its id %+v", i, k, byID)
			}
		}
	}
	everyone := func(int) bool { return true }
	check(all, everyone, 3000)
	check(NewIndex(nil), func(int) bool { return false }, 0)

	seven := HashOf(credentials[7])
	without := all.Remove(seven)
	check(without, func(i int) bool { return i != 7 }, 2999)
	check(without.Remove(seven), func(i int) bool { return i != 7 }, 2999)
	check(all, everyone, 3000)
	check(without.Put(seven, keys[seven]), everyone, 3000)
	renamed := all.Put(seven, &Key{ID: seven.ID(), Name: "renamed"})
	if renamed.Len() != 3000 || renamed.Find(credentials[7]).Name != "renamed" || all.Find(credentials[7]).Name != "team-7" {
		t.Error("a key that is put in place of another changes the index that was there")
	}
	check(NewIndex(nil).Put(seven, keys[seven]), func(i int) bool { return i == 7 }, 1)

	if k := all.Named("team-42"); k == nil || k.ID != HashOf(credentials[42]).ID() {
		t.Errorf("team-42 is %+v", k)
	}
	for _, x := range []any{all.Named("team-3000"), all.Find(""), all.Find(string(seven[:])), all.ByID(""), all.ByID("key_"), all.ByID("key_zz0000000000"), all.ByID(seven.ID() + "00"), all.ByID(seven.ID()[4:])} {
		if x.(*Key) != nil {
			t.Errorf("found %+v", x)
		}
	}
}

// Readers see either what was there or what is there, while keys are changed.
func TestIndexConcurrently(t *testing.T) {
	keys, credentials := many(500)
	var current atomic.Pointer[Index]
	current.Store(NewIndex(keys))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				x := current.Load()
				if odd, found := x.Len()%2 == 1, x.Find(credentials[0]) != nil; x.Find(credentials[1]) == nil || odd == found {
					t.Errorf("%d keys, the first is found: %v", x.Len(), found)
					return
				}
			}
		})
	}
	first := HashOf(credentials[0])
	for range 1000 {
		current.Store(current.Load().Remove(first))
		current.Store(current.Load().Put(first, keys[first]))
	}
	close(stop)
	readers.Wait()
	if !maps.Equal(keys, current.Load().keys()) {
		t.Error("other keys than at the start")
	}
}

func (x *Index) keys() map[Hash]*Key {
	out := map[Hash]*Key{}
	for _, shard := range x.shards {
		maps.Copy(out, shard)
	}
	return out
}

func TestFindAllocatesNothing(t *testing.T) {
	keys, credentials := many(1000)
	x := NewIndex(keys)
	for _, credential := range []string{credentials[7], "", fmt.Sprintf("%0256d", 1)} {
		if n := testing.AllocsPerRun(100, func() { x.Find(credential) }); n != 0 {
			t.Errorf("%d bytes: %v allocations", len(credential), n)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		keys, credentials := many(n)
		x := NewIndex(keys)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if x.Find(credentials[i]) == nil {
					b.Fatal("not found")
				}
				if i++; i == n {
					i = 0
				}
			}
		})
		b.Run(fmt.Sprint(n, "/unknown"), func(b *testing.B) {
			for b.Loop() {
				if x.Find("credential-of-nobody-0123456789abcdef") != nil {
					b.Fatal("found")
				}
			}
		})
	}
}

func BenchmarkChangeOf100000(b *testing.B) {
	keys, credentials := many(100_000)
	x := NewIndex(keys)
	h := HashOf(credentials[7])
	b.Run("put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x = x.Put(h, keys[h])
		}
	})
	b.Run("remove", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.Remove(h)
		}
	})
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			NewIndex(keys)
		}
	})
}

// BenchmarkMemory reports the bytes that a key takes: itself, and its place in
// the index.
func BenchmarkMemory(b *testing.B) {
	for _, models := range []int{0, 10} {
		b.Run(fmt.Sprint("models-", models), func(b *testing.B) {
			const n = 100_000
			for b.Loop() {
				before := inUse()
				x := NewIndex(scoped(n, models))
				b.ReportMetric(float64(inUse()-before)/n, "B/key")
				runtime.KeepAlive(x)
			}
		})
	}
}

// scoped are n keys, each with a scope of its own out of a thousand models.
func scoped(n, models int) map[Hash]*Key {
	keys, _ := many(n)
	if models == 0 {
		return keys
	}
	i := 0
	for _, k := range keys {
		var list []Model
		for m := range models {
			list = append(list, Model{fmt.Sprintf("provider-%d", m), fmt.Sprintf("model-%d", (m+i)%100)})
		}
		k.Scope = NewScope(nil, list)
		i++
	}
	return keys
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

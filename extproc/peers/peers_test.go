package peers

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestLimiter(t *testing.T) {
	now, reached := time.Unix(1000, 0), 0
	l := New(func(ip string) string { return ip }, func() { reached++ }, func() time.Time { return now })
	open := func(peer string, want bool) {
		t.Helper()
		if got := l.Opened(at(peer)); got != want {
			t.Errorf("%s may open: %t", peer, got)
		}
	}
	for i := range 10 { // without a limit
		open(fmt.Sprintf("10.0.0.1:%d", 100+i), true)
	}
	l.Configure(2, time.Hour)
	open("10.0.0.1:1", true)
	open("10.0.0.1:2", true)
	open("10.0.0.1:3", false)
	open("10.0.0.2:1", true)
	open("[2001:db8::1]:1", true)
	l.Closed(at("10.0.0.1:3")) // the refused one ends, too
	open("10.0.0.1:4", false)
	l.Closed(at("10.0.0.1:1"))
	open("10.0.0.1:4", true)
	open("10.0.0.1:4", true) // whose end was lost
	open("10.0.0.1:5", false)
	if reached != 3 {
		t.Errorf("reached %d times", reached)
	}
	now = now.Add(time.Hour + time.Second)
	open("10.0.0.1:6", true) // ends that were lost count for so long
	open("10.0.0.1:7", true)
	open("10.0.0.1:8", false)
	l.Reset()
	open("10.0.0.1:8", true)
	l.Configure(0, time.Hour)
	open("10.0.0.1:9", true)
	if len(l.open) != 0 || len(l.counts) != 0 {
		t.Errorf("kept without a limit: %v, %v", l.open, l.counts)
	}
}

func TestLimiterForgets(t *testing.T) {
	l := New(func(ip string) string { return ip }, func() {}, time.Now)
	l.Configure(1000, time.Hour)
	for i := range 1000 {
		l.Opened(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1))
	}
	for i := range 1000 {
		l.Closed(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1))
	}
	if len(l.open) != 0 || len(l.counts) != 0 {
		t.Errorf("kept %d, %d", len(l.open), len(l.counts))
	}
}

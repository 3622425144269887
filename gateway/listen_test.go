package gateway

import (
	"net"
	"slices"
	"strings"
	"testing"

	"weir/policy"
)

func yes() bool { return true }

func no() bool { return false }

func TestSockets(t *testing.T) {
	for _, test := range []struct {
		addresses            string
		everywhere, loopback func() bool
		want                 string
	}{
		{"127.0.0.1:8080", yes, yes, "127.0.0.1:8080"},
		{"[::1]:8080", no, no, "[::1]:8080"},
		{":8080", yes, yes, "[::]:8080"},
		{"[::]:8080", yes, no, "[::]:8080"},
		{":8080", no, no, "0.0.0.0:8080"},
		{"[::]:8080", no, no, "0.0.0.0:8080"},
		{"0.0.0.0:8080", yes, yes, "0.0.0.0:8080"},
		{"localhost:8080", yes, yes, "127.0.0.1:8080 [::1]:8080"},
		{"localhost:8080", yes, no, "127.0.0.1:8080"},
		{"[::ffff:10.0.0.1]:80", yes, yes, "10.0.0.1:80"},
		{"10.0.0.1:80 [fd00::1]:80 localhost:8080", yes, yes, "10.0.0.1:80 [fd00::1]:80 127.0.0.1:8080 [::1]:8080"},
	} {
		l := newAddresses(nil, "")
		l.everywhere, l.loopback = test.everywhere, test.loopback
		sockets, err := l.resolve(strings.Fields(test.addresses))
		if got := strings.Join(texts(sockets), " "); got != test.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", test.addresses, got, err, test.want)
		}
	}
}

// A port is chosen once for each address with port 0, and is the same for all of its
// sockets.
func TestSocketsPortZero(t *testing.T) {
	l := newAddresses(nil, "")
	addresses := []string{"127.0.0.1:0", "localhost:0", ":0"}
	first, err := l.resolve(addresses)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range first {
		if s.Port() == 0 {
			t.Errorf("%s has no port", s)
		}
	}
	if l.loopback() && (len(first) != 4 || first[1].Port() != first[2].Port()) {
		t.Errorf("%v", first)
	}
	if again, err := l.resolve(addresses); err != nil || !slices.Equal(again, first) {
		t.Errorf("then %v, %v, first %v", again, err, first)
	}
}

func TestFree(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	sockets, err := newAddresses(nil, "").resolve([]string{"127.0.0.1:0", taken.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := free(sockets[:1]); err != nil {
		t.Error(err)
	}
	if err := free(sockets); err == nil || !strings.HasPrefix(err.Error(), "cannot listen on "+taken.Addr().String()+": ") {
		t.Errorf("error %v", err)
	}
}

// Addresses of the command line must follow the rules of the file.
func TestListenFlag(t *testing.T) {
	for _, test := range []struct {
		config, admin, want string
		listen              []string
	}{
		{"", "", "", []string{"127.0.0.1:1", "[::1]:1"}},
		{"", "", "--listen: 0.0.0.0:1 can be reached from other machines, and there are no access_keys: add one, or set allow_anonymous: true", []string{"127.0.0.1:2", "0.0.0.0:1"}},
		{"allow_anonymous: true", "", "", []string{"127.0.0.1:2", "0.0.0.0:1"}},
		{"", "", "", []string{"8080", "[::1]:8080"}},
		{"", "8080", "--listen: 127.0.0.1:8080, the address for clients, overlaps with the one for operators, 127.0.0.1:8080: use another port", []string{"8080"}},
		{"", "", "--listen: :8080 can be reached from other machines, and there are no access_keys: add one, or set allow_anonymous: true", []string{":8080"}},
		{"", "", `--listen: invalid address "x": write host:port or a port, such as 127.0.0.1:8080`, []string{"127.0.0.1:1", "x"}},
		{"", "", "--listen: localhost:1 is already served by 127.0.0.1:1", []string{"127.0.0.1:1", "localhost:1"}},
		{"", "127.0.0.1:1", "--listen: 127.0.0.1:1, the address for clients, overlaps with the one for operators, 127.0.0.1:1: use another port", []string{"127.0.0.1:1"}},
		{"listen: 127.0.0.1:9", "127.0.0.1:9", "--listen: 127.0.0.1:9, the address for clients, overlaps with the one for operators, 127.0.0.1:9: use another port", nil},
	} {
		g := New(Options{Listen: test.listen, Admin: test.admin, Source: func() (policy.Source, error) {
			return policy.Source{File: "weir.yaml", Data: []byte(test.config), Getenv: func(string) string { return "" }}, nil
		}})
		got := ""
		if _, err := g.loader.load(configuration{}); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v %s: %q, want %q", test.listen, test.config, got, test.want)
		}
	}
}

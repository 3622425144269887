package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"weir/policy"
)

// listening decides which sockets Envoy opens for the addresses to listen on.
type listening struct {
	// everywhere and loopback report whether this machine has IPv6, for [::] and
	// for localhost. They are asked once, so that a listener does not change by
	// itself.
	everywhere, loopback func() bool

	mu    sync.Mutex
	ports map[string]uint16 // what port 0 of an address became
}

func newListening() *listening {
	return &listening{
		everywhere: sync.OnceValue(func() bool { return bindable(netip.IPv6Unspecified()) }),
		loopback:   sync.OnceValue(func() bool { return bindable(netip.IPv6Loopback()) }),
		ports:      map[string]uint16{},
	}
}

func bindable(ip netip.Addr) bool { return tryListen(netip.AddrPortFrom(ip, 0)) == nil }

// tryListen opens a socket and closes it.
func tryListen(socket netip.AddrPort) error {
	l, err := bind(socket)
	if err != nil {
		return err
	}
	return l.Close()
}

// bind opens a socket as Envoy does: [::] serves both families, 0.0.0.0 only one.
func bind(socket netip.AddrPort) (net.Listener, error) {
	network := "tcp"
	if socket.Addr().Is4() {
		network = "tcp4"
	}
	return net.Listen(network, socket.String())
}

// sockets returns the sockets for addresses that the configuration allows.
// Port 0 is given a number once, so that a restarted Envoy comes back on the
// same one.
func (l *listening) sockets(addresses []string) ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	for _, address := range addresses {
		host, number, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return nil, err
		}
		ips, err := l.ips(host)
		if err != nil {
			return nil, err
		}
		if port == 0 {
			chosen, err := l.choose(address, ips)
			if err != nil {
				return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
			}
			port = uint64(chosen)
		}
		for _, ip := range ips {
			all = append(all, netip.AddrPortFrom(ip, uint16(port)))
		}
	}
	return all, nil
}

// ips returns the IP addresses of a host to listen on. Where the machine has no
// IPv6, [::] means every address of IPv4.
func (l *listening) ips(host string) ([]netip.Addr, error) {
	v4 := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	switch {
	case host == "localhost" && l.loopback():
		return []netip.Addr{v4, netip.IPv6Loopback()}, nil
	case host == "localhost":
		return []netip.Addr{v4}, nil
	case host == "":
		host = "::"
	}
	ip, err := netip.ParseAddr(host)
	if err == nil && ip == netip.IPv6Unspecified() && !l.everywhere() {
		ip = netip.IPv4Unspecified()
	}
	return []netip.Addr{ip.Unmap()}, err
}

// choose finds a port that is free at every one of these IP addresses.
func (l *listening) choose(address string, ips []netip.Addr) (uint16, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if port := l.ports[address]; port != 0 {
		return port, nil
	}
	const tries = 20
	var err error
	for range tries {
		var port uint16
		if port, err = freePort(ips); err == nil {
			l.ports[address] = port
			return port, nil
		}
	}
	return 0, err
}

// freePort returns a port that was free a moment ago.
func freePort(ips []netip.Addr) (uint16, error) {
	first, err := bind(netip.AddrPortFrom(ips[0], 0))
	if err != nil {
		return 0, err
	}
	defer first.Close()
	port := first.Addr().(*net.TCPAddr).AddrPort().Port()
	for _, ip := range ips[1:] {
		if err := tryListen(netip.AddrPortFrom(ip, port)); err != nil {
			return 0, err
		}
	}
	return port, nil
}

// free returns an error if somebody listens on one of the sockets. Envoy shares
// its ports (SO_REUSEPORT), so a second gateway would take half of the first
// one's clients: these binds are exclusive.
func free(sockets []netip.AddrPort) error {
	for _, socket := range sockets {
		if err := tryListen(socket); err != nil {
			return fmt.Errorf("cannot listen on %s: %w (is another gateway running? set `listen` or --listen)", socket, errors.Unwrap(err))
		}
	}
	return nil
}

// texts returns how sockets are written.
func texts(sockets []netip.AddrPort) []string {
	out := make([]string, len(sockets))
	for i, s := range sockets {
		out[i] = s.String()
	}
	return out
}

// written is a list of sockets, for the log.
func written(sockets []netip.AddrPort) string { return strings.Join(texts(sockets), ", ") }

// listenOn returns the addresses for clients: those of the command line, or the
// policy's.
func (g *Gateway) listenOn(p *policy.Policy) []string { return g.overridden(p.Listen) }

func (g *Gateway) overridden(configured []string) []string {
	if len(g.Options.Listen) > 0 {
		return g.Options.Listen
	}
	return configured
}

// sockets returns the sockets on which Envoy listens for a policy.
func (g *Gateway) sockets(p *policy.Policy) ([]netip.AddrPort, error) {
	return g.listening.sockets(g.listenOn(p))
}

// listed returns the sockets of the current policy, for /healthz.
func (g *Gateway) listed() []string {
	sockets, _ := g.sockets(g.current.Load()) // an error would have kept the policy from becoming the current one
	return texts(sockets)
}

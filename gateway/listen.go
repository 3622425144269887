package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"weir/policy"
	"weir/policy/config"
)

// addresses decides where Envoy listens for clients and where operators are
// served.
type addresses struct {
	// listen and admin are the addresses of the command line, if it has any. They
	// override the configuration's.
	listen []string
	admin  string
	// operators is the bound address for operators; nil before it is bound.
	operators atomic.Pointer[string]

	// everywhere and loopback report whether this machine has IPv6, for [::] and for
	// localhost. The result is kept, so that a listener does not change by itself.
	everywhere, loopback func() bool

	mu    sync.Mutex
	ports map[string]uint16 // the ports chosen for addresses with port 0
}

func newAddresses(listen []string, admin string) *addresses {
	clients := make([]string, len(listen))
	for i, address := range listen {
		clients[i] = string(config.ParseAddress(address))
	}
	return &addresses{
		listen: clients, admin: string(config.ParseAddress(admin)),
		everywhere: sync.OnceValue(func() bool { return bindable(netip.IPv6Unspecified()) }),
		loopback:   sync.OnceValue(func() bool { return bindable(netip.IPv6Loopback()) }),
		ports:      map[string]uint16{},
	}
}

// forClients returns the addresses for clients: those of the command line, or the
// configured ones.
func (a *addresses) forClients(configured []string) []string {
	if len(a.listen) > 0 {
		return a.listen
	}
	return configured
}

// forOperators returns the address for operators.
func (a *addresses) forOperators(configured string) string { return cmp.Or(a.admin, configured) }

// check holds the addresses of the command line to the rules of the configuration.
func (a *addresses) check(p *policy.Policy) error {
	if len(a.listen) == 0 && a.admin == "" {
		return nil
	}
	if err := p.CheckListen(a.forClients(p.Listen), a.forOperators(p.AdminListen)); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	return nil
}

// sockets returns the sockets on which Envoy listens for a policy.
func (a *addresses) sockets(p *policy.Policy) ([]netip.AddrPort, error) {
	return a.resolve(a.forClients(p.Listen))
}

// bring adds the addresses that are used. It chooses no port: an address that is not in
// use yet keeps port 0. The address for operators does not change once it is bound.
func (a *addresses) bring(own *policy.Own) {
	own.Listen, own.Admin = a.listen, a.admin
	if bound := a.operators.Load(); bound != nil {
		own.Admin = *bound
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	own.Ports = maps.Clone(a.ports)
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

// resolve returns the sockets of valid addresses. A port is chosen for port 0 once, so
// that a restarted Envoy listens on the same one.
func (a *addresses) resolve(list []string) ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	for _, address := range list {
		host, number, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return nil, err
		}
		ips, err := a.ips(host)
		if err != nil {
			return nil, err
		}
		if port == 0 {
			chosen, err := a.choose(address, ips)
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

// ips returns the IP addresses of a host to listen on. On a machine without IPv6, [::]
// is every IPv4 address.
func (a *addresses) ips(host string) ([]netip.Addr, error) {
	v4 := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	switch {
	case host == "localhost" && a.loopback():
		return []netip.Addr{v4, netip.IPv6Loopback()}, nil
	case host == "localhost":
		return []netip.Addr{v4}, nil
	case host == "":
		host = "::"
	}
	ip, err := netip.ParseAddr(host)
	if err == nil && ip == netip.IPv6Unspecified() && !a.everywhere() {
		ip = netip.IPv4Unspecified()
	}
	return []netip.Addr{ip.Unmap()}, err
}

// choose returns a port that is free on each of these IP addresses.
func (a *addresses) choose(address string, ips []netip.Addr) (uint16, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if port := a.ports[address]; port != 0 {
		return port, nil
	}
	const tries = 20
	var err error
	for range tries {
		var port uint16
		if port, err = freePort(ips); err == nil {
			a.ports[address] = port
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

// free returns an error if another process listens on one of the sockets. It binds them
// exclusively: Envoy shares its ports (SO_REUSEPORT), so a second gateway would otherwise
// take half of the first one's clients.
func free(sockets []netip.AddrPort) error {
	for _, socket := range sockets {
		if err := tryListen(socket); err != nil {
			return fmt.Errorf("cannot listen on %s: %w (is another gateway running? set `listen` or --listen)", socket, errors.Unwrap(err))
		}
	}
	return nil
}

// texts returns the sockets as text.
func texts(sockets []netip.AddrPort) []string {
	out := make([]string, len(sockets))
	for i, s := range sockets {
		out[i] = s.String()
	}
	return out
}

// written returns a list of sockets as text, for the log.
func written(sockets []netip.AddrPort) string { return strings.Join(texts(sockets), ", ") }

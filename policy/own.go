package policy

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"weir/policy/config"
)

// Own is where this gateway can be reached. Base URLs must not lead back to it.
type Own struct {
	// Listen and Admin replace the configured addresses if they are not empty.
	Listen []string
	Admin  string
	// Ports are the chosen ports of addresses with port 0.
	Ports map[string]uint16
	// Addresses are the addresses of this machine, none of them IPv4 in IPv6 form. Names are the names that lead to
	// an address without DNS, in lower case.
	Addresses []netip.Addr
	Names     map[string][]netip.Addr
}

// ownListener is an address that the gateway listens on, and the field that configures it.
type ownListener struct{ field, address string }

// ownListeners returns the listeners for clients and for operators.
func (l *loader) ownListeners(p *Policy) []ownListener {
	own := l.src.Own
	out := []ownListener{{"admin.listen", cmp.Or(own.Admin, p.AdminListen)}}
	clients := p.Listen
	if len(own.Listen) > 0 {
		clients = own.Listen
	}
	for _, address := range clients {
		if host, _, err := net.SplitHostPort(address); err == nil && own.Ports[address] != 0 {
			address = net.JoinHostPort(host, strconv.Itoa(int(own.Ports[address])))
		}
		out = append(out, ownListener{"listen", address})
	}
	return out
}

// leadsTo reports whether a connection to host and port arrives at the listener.
func (o Own) leadsTo(at ownListener, host string, port int) bool {
	bound, number, err := net.SplitHostPort(at.address)
	if err != nil {
		return false
	}
	if n, err := strconv.ParseUint(number, 10, 16); err != nil || int(n) != port {
		return false
	}
	for _, own := range hostAddresses(bound) {
		for _, to := range o.resolve(host) {
			to = to.Unmap()
			switch {
			case own == to, isLocalhost(own) && isLocalhost(to):
				return true
			case own.IsUnspecified() && (to.IsLoopback() || slices.Contains(o.Addresses, to)):
				return true
			}
		}
	}
	return false
}

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// isLocalhost reports whether an address is one of the two of the name localhost. The
// gateway may listen on either.
func isLocalhost(a netip.Addr) bool { return a == loopback4 || a == loopback6 }

// resolve returns the addresses of a host that are known without DNS.
func (o Own) resolve(host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}
	}
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 6.3
		return []netip.Addr{loopback4, loopback6}
	}
	return o.Names[host]
}

// notOwn reports a problem for a base URL that leads to the gateway itself: a request would
// loop.
func (b *clusterBuilder) notOwn(base config.BaseURL, path string) {
	host, port := b.dial(base)
	from := net.JoinHostPort(base.Host, strconv.Itoa(base.Port))
	if _, ok := b.cfg.ConnectTo[from]; ok {
		path = config.JoinPath("connect_to", from)
	}
	for _, at := range b.own {
		if b.src.Own.leadsTo(at, host, port) {
			b.problem(path, "%s leads back to this gateway, which listens there (%s: %s): write the address of the provider", net.JoinHostPort(host, strconv.Itoa(port)), at.field, at.address)
			return
		}
	}
}

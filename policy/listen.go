package policy

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"weir/llm"
	"weir/policy/config"
)

// listen checks the addresses for clients.
func (l *loader) listen() []string {
	list := l.cfg.Listen
	if list == nil {
		return []string{config.DefaultListen}
	}
	if len(list) == 0 {
		l.problem("listen", "is empty: name at least one address, such as %s", config.DefaultListen)
	}
	var readable []string // of which more can be said
	for i, address := range list {
		if _, _, err := net.SplitHostPort(address); err == nil {
			readable = append(readable, address)
		}
		path := "listen"
		if len(list) > 1 {
			path = config.IndexPath(path, i)
		}
		if err := checkAddress(address, config.DefaultListen); err != nil {
			l.problem(path, "%v", err)
			continue
		}
		if j := slices.IndexFunc(list[:i], func(other string) bool { return overlap(address, other) }); j >= 0 {
			l.problem(path, "%s is already served by listen[%d], %s", address, j, list[j])
		}
	}
	if len(readable) == 0 {
		return []string{config.DefaultListen}
	}
	return readable
}

// adminListen checks the address for operators.
func (l *loader) adminListen(clients []string) string {
	address := string(l.cfg.Admin.Listen)
	if address == "" {
		address = config.DefaultAdminListen
	}
	if err := checkAddress(address, config.DefaultAdminListen); err != nil {
		l.problem("admin.listen", "%v", err)
		return address
	}
	if i := slices.IndexFunc(clients, func(other string) bool { return overlap(address, other) }); i >= 0 {
		l.problem("admin.listen", "%s overlaps with the address for clients, %s: use another port", address, clients[i])
	}
	return address
}

// checkAddress returns an error if a string is not an address to listen on.
func checkAddress(s, example string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("invalid address %q: write host:port or a port, such as %s", llm.Clip(s), example)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("invalid port %q: write a number from 0 to 65535", llm.Clip(port))
	}
	if ip, err := netip.ParseAddr(host); host != "" && host != "localhost" && (err != nil || ip.Zone() != "") {
		return fmt.Errorf("invalid IP address %q: listen on an address of this machine, or on 0.0.0.0 for all", llm.Clip(host))
	}
	return nil
}

// overlap reports whether two addresses to listen on have a socket in common.
// The host may be empty or [::], which is every address of both families, or
// localhost, which is both loopback addresses.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil {
		return false
	}
	numberA, _ := strconv.ParseUint(portA, 10, 16)
	numberB, _ := strconv.ParseUint(portB, 10, 16)
	if numberA != numberB || numberA == 0 {
		return false
	}
	for _, ipA := range hostAddresses(hostA) {
		for _, ipB := range hostAddresses(hostB) {
			if ipA == ipB || covers(ipA, ipB) || covers(ipB, ipA) {
				return true
			}
		}
	}
	return false
}

// hostAddresses returns the IP addresses that a host to listen on stands for.
func hostAddresses(host string) []netip.Addr {
	switch host {
	case "":
		return []netip.Addr{netip.IPv6Unspecified()}
	case "localhost":
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	return []netip.Addr{ip.Unmap()}
}

// covers reports whether a socket on a serves b as well.
func covers(a, b netip.Addr) bool {
	return a == netip.IPv6Unspecified() || a == netip.IPv4Unspecified() && b.Is4()
}

// Loopback reports whether every one of these addresses to listen on can be
// reached from this machine only.
func Loopback(addresses ...string) bool {
	_, found := outside(addresses)
	return !found
}

// outside returns the first address that other machines can reach.
func outside(addresses []string) (address string, found bool) {
	i := slices.IndexFunc(addresses, func(address string) bool {
		host, _, err := net.SplitHostPort(address)
		ips := hostAddresses(host)
		return err != nil || len(ips) == 0 || slices.ContainsFunc(ips, func(ip netip.Addr) bool { return !ip.IsLoopback() })
	})
	if i < 0 {
		return "", false
	}
	return addresses[i], true
}

// CheckListen checks addresses for clients and operators that do not come from the
// configuration, such as those of the command line.
func (p *Policy) CheckListen(clients []string, admin string) error {
	for i, address := range clients {
		if err := checkAddress(address, config.DefaultListen); err != nil {
			return err
		}
		for _, other := range clients[:i] {
			if overlap(address, other) {
				return fmt.Errorf("%s is already served by %s", address, other)
			}
		}
		if overlap(address, admin) {
			return fmt.Errorf("%s, the address for clients, overlaps with the one for operators, %s: use another port", address, admin)
		}
	}
	if address, found := outside(clients); found && p.anonymous && !p.Config.AllowAnonymous {
		return fmt.Errorf("%s can be reached from other machines, and there are no access_keys: add one, or set allow_anonymous: true", address)
	}
	return nil
}

package gateway

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"strings"

	"weir/policy"
)

// hostsFile lists names that resolve without DNS.
const hostsFile = "/etc/hosts"

// thisMachine returns the addresses and names of this machine. Envoy runs on it too: it
// shares a Unix socket with Weir.
func thisMachine() policy.Own {
	own := policy.Own{Names: map[string][]netip.Addr{}}
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				own.Addresses = append(own.Addresses, ip.Unmap())
			}
		}
	}
	if hosts, err := os.ReadFile(hostsFile); err == nil {
		readHosts(own.Names, hosts)
	}
	if name, err := os.Hostname(); err == nil {
		name = strings.ToLower(name)
		short, _, _ := strings.Cut(name, ".")
		for _, n := range []string{name, short, short + ".local"} {
			own.Names[n] = append(own.Names[n], own.Addresses...)
		}
	}
	return own
}

// readHosts reads hosts(5).
func readHosts(names map[string][]netip.Addr, file []byte) {
	for line := range bytes.Lines(file) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		fields := strings.Fields(string(line))
		if len(fields) < 2 {
			continue
		}
		address, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			name = strings.ToLower(name)
			names[name] = append(names[name], address)
		}
	}
}

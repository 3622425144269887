package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"weir/llm"
)

// metadataHosts and metadataNets are the metadata services of clouds, which return the
// credentials of the machine, except those at link-local addresses: all link-local
// addresses are refused.
var (
	metadataHosts = []string{
		"metadata", "metadata.google.internal", "metadata.goog", // Google Cloud
		"instance-data", "instance-data.ec2.internal", // AWS
		"metadata.azure.internal",
		"metadata.tencentyun.com",
		"metadata.packet.net", "metadata.platformequinix.com",
	}
	metadataNets = []netip.Prefix{
		netip.MustParsePrefix("fd00:ec2::/32"),          // AWS: metadata, pod identity
		netip.MustParsePrefix("fd20:ce::254/128"),       // Google Cloud
		netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle Cloud
		netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway
		netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba Cloud
		netip.MustParsePrefix("192.0.0.192/32"),         // Oracle Cloud, classic
		netip.MustParsePrefix("168.63.129.16/32"),       // Azure, WireServer
	}
)

// internalSuffixes are the domains that public DNS does not have: .internal is reserved by
// ICANN for private use, .local is mDNS (RFC 6762), .localhost is loopback (RFC 6761 6.3),
// and .svc is Kubernetes.
var internalSuffixes = []string{".internal", ".localhost", ".local", ".svc", ".svc.cluster.local"}

// checkHost returns an error for a host that cannot be a provider, and for plain http to
// a host that is not internal.
func (u BaseURL) checkHost(allowHTTPHosts []string) error {
	addr, err := netip.ParseAddr(u.Host)
	if err != nil {
		addr = netip.Addr{}
	}
	if err := checkUnicast(addr); err != nil {
		return err
	}
	listed := slices.ContainsFunc(allowHTTPHosts, func(h string) bool { return sameHost(h, u.Host) })
	switch {
	case listed:
		return nil
	case addr.IsValid() && forbidden(addr):
		return fmt.Errorf("%s is a link-local or cloud-metadata address, which can return the credentials of this machine: to allow it, list it in allow_http_hosts", u.Host)
	case slices.Contains(metadataHosts, u.Host):
		return fmt.Errorf("%s is a cloud-metadata host, which can return the credentials of this machine: to allow it, list it in allow_http_hosts", u.Host)
	case u.TLS() || PrivateHost(u.Host, addr):
		return nil
	}
	return fmt.Errorf("HTTPS required: %s is not an internal host (*.internal, *.local, *.svc, a name without dots, a loopback or private address), so others could read the provider's key and every prompt; write https://, or list the host in allow_http_hosts", llm.Clip(u.Host))
}

// checkUnicast returns an error for an address that cannot be connected to, and for an
// IPv4 address in IPv6 form, which would bypass the other checks. allow_http_hosts does
// not allow them, because they are always mistakes.
func checkUnicast(addr netip.Addr) error {
	switch {
	case !addr.IsValid():
		return nil
	case addr.Is4In6():
		return fmt.Errorf("must not contain an IPv4 address in IPv6 form: write %s", addr.Unmap())
	case addr.Is6() && !addr.IsLoopback() && !addr.IsUnspecified() && ipv4Compatible.Contains(addr):
		return errors.New("must not contain an IPv4 address in IPv6 form: write the IPv4 address")
	case addr.IsUnspecified(), thisNetwork.Contains(addr):
		return fmt.Errorf("%s cannot be connected to: write 127.0.0.1 for this machine", addr)
	case addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is not the address of one host", addr)
	}
	return nil
}

var (
	ipv4Compatible = netip.MustParsePrefix("::/96")        // RFC 4291 2.5.5.1, deprecated
	thisNetwork    = netip.MustParsePrefix("0.0.0.0/8")    // RFC 1122 3.2.1.3
	nat64          = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052 2.1
	sixToFour      = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// forbidden reports whether an address is link-local (169.254/16, RFC 3927; fe80::/10,
// RFC 4291 2.5.6) or the metadata service of a cloud, directly or through NAT64 or 6to4.
func forbidden(addr netip.Addr) bool {
	b := addr.As16()
	switch {
	case nat64.Contains(addr):
		addr = netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(addr):
		addr = netip.AddrFrom4([4]byte(b[2:6]))
	}
	return addr.IsLinkLocalUnicast() || slices.ContainsFunc(metadataNets, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// PrivateHost reports whether a host is in the operator's own network. addr is its address
// if the host is one. Private addresses are those of RFC 1918 and RFC 4193 (fc00::/7). The
// shared address space 100.64/10 is not private: it belongs to a network provider
// (RFC 6598 4), so that plain http would cross a foreign network. Operators who use it for
// an overlay network list the host in allow_http_hosts.
func PrivateHost(host string, addr netip.Addr) bool {
	if addr.IsValid() {
		return addr.IsLoopback() || addr.IsPrivate()
	}
	return !strings.Contains(host, ".") || slices.ContainsFunc(internalSuffixes, func(s string) bool { return strings.HasSuffix(host, s) })
}

// sameHost reports whether an entry of allow_http_hosts is a host. Addresses are compared
// by value.
func sameHost(listed, host string) bool {
	listed = strings.ToLower(strings.TrimSpace(listed))
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(listed, "["), "]"))
	if err != nil {
		return listed == host
	}
	b, err := netip.ParseAddr(host)
	return err == nil && a == b
}

// CheckHostName returns an error if host, in lower case, is neither a name of letters,
// digits, hyphens and underscores (which hosts of Compose and Kubernetes have) nor an IPv4
// address of four decimal numbers.
//
// libc and browsers read a name whose last label is a number as an address (2130706433,
// 0x7f.1, 127.1; https://url.spec.whatwg.org/#ends-in-a-number-checker). Therefore, only the
// usual form of an address is accepted.
func CheckHostName(host string) error {
	switch {
	case host == "":
		return errors.New("has no host")
	case strings.Contains(host, "%"):
		return errors.New("must not have %-escapes in its host")
	case strings.HasSuffix(host, "."):
		return errors.New("must not have a dot at the end of its host: certificates contain the name without it")
	case len(host) > 253: // RFC 1035 2.3.4, without the root
		return errors.New("has a host of more than 253 bytes")
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		switch {
		case label == "":
			return errors.New("has an empty label in its host")
		case len(label) > 63:
			return errors.New("has a label of more than 63 bytes in its host")
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Errorf("has a label in its host that begins or ends with a hyphen: %q", label)
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return fmt.Errorf("must not have %q in its host", c)
			}
		}
	}
	if last := labels[len(labels)-1]; numeric(last) {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is not a valid IPv4 address: write four decimal numbers from 0 to 255 without leading zeros", llm.Clip(host))
		}
	}
	return nil
}

// numeric reports whether a label is a number to inet_aton: decimal, octal or
// hexadecimal.
func numeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

package policy

import (
	"errors"
	"net/netip"
	"strings"

	"weir/llm"
	"weir/policy/config"
)

// Proxies describes the proxies between clients and the gateway, and how the gateway
// finds the client's address behind them.
type Proxies struct {
	// Trusted are the networks of proxies whose X-Forwarded-For counts. The client
	// is the last address in it that is in none of them.
	Trusted []netip.Prefix
	// Hops is the number of proxies that every request comes through: the client
	// is the address that the first of them added to X-Forwarded-For.
	Hops int
	// ProxyProtocol is set if every connection begins with a PROXY header, and comes from
	// one of Trusted.
	ProxyProtocol bool
}

// InFront reports whether the connections to the gateway are those of HTTP
// proxies, and carry the requests of many clients.
func (p *Proxies) InFront() bool { return !p.ProxyProtocol && (len(p.Trusted) > 0 || p.Hops > 0) }

func (l *loader) proxies() Proxies {
	c := l.cfg
	out := Proxies{Hops: c.XFFNumTrustedHops, ProxyProtocol: c.ProxyProtocol}
	for i, text := range c.TrustedProxies {
		prefix, err := parseNetwork(text)
		switch at := config.IndexPath("trusted_proxies", i); {
		case err != nil:
			l.problem(at, "invalid network %q: write an IP address, or a range such as 10.0.0.0/8", llm.Clip(text))
		case prefix.Bits() == 0:
			l.problem(at, "%s trusts every client to name its own address: list the networks of your proxies, or set xff_num_trusted_hops", prefix)
		default:
			out.Trusted = append(out.Trusted, prefix)
		}
	}
	switch {
	case c.XFFNumTrustedHops < 0 || c.XFFNumTrustedHops > config.MaxTrustedHops:
		l.problem("xff_num_trusted_hops", "must be from 0 to %d", config.MaxTrustedHops)
	case c.XFFNumTrustedHops > 0 && len(c.TrustedProxies) > 0:
		l.problem("xff_num_trusted_hops", "cannot be used with trusted_proxies: the networks already tell which addresses are proxies")
	}
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		l.problem("proxy_protocol", "needs trusted_proxies: list the networks of the load balancers, because any other client could state any address")
	}
	return out
}

// parseNetwork reads an IP address, or a range of them.
func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		ip, err := netip.ParseAddr(text)
		if err == nil && ip.Zone() != "" {
			err = errors.New("has a zone")
		}
		if err != nil {
			return netip.Prefix{}, err
		}
		return ip.Unmap().Prefix(ip.Unmap().BitLen())
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, err
	}
	if ip := prefix.Addr(); ip.Is4In6() {
		return ip.Unmap().Prefix(prefix.Bits() - 96)
	}
	return prefix.Masked(), nil
}

package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"weir/identity"
	"weir/policy/config"
)

// RequestLimits bound how many requests run at once, and how many bytes of
// their bodies are held.
type RequestLimits struct {
	Requests  int
	BodyBytes int64
}

// Limits are the limits of the gateway as a whole, and of a client without limits of
// its own.
type Limits struct {
	Total, PerKey RequestLimits
	// MaxWait is how long a request waits for room.
	MaxWait time.Duration
	ConnectionLimits
}

// limits reads the limits, before access keys are read.
func (l *loader) limits(p *Policy) {
	c := l.cfg.Limits
	body := int64(p.MaxBodyBytes)
	total := RequestLimits{config.DefaultMaxRequests, max(config.DefaultMaxBufferedBodyBytes, 2*body)}
	if c.MaxRequests != 0 {
		total.Requests = c.MaxRequests
		if c.MaxRequests < 1 || c.MaxRequests > config.MaxMaxRequests {
			l.problem("limits.max_requests", "must be from 1 to %d", config.MaxMaxRequests)
		}
	}
	if c.MaxBufferedBodyBytes != 0 {
		total.BodyBytes = c.MaxBufferedBodyBytes
		l.bufferedBytes("limits.max_buffered_body_bytes", c.MaxBufferedBodyBytes, body, config.MaxMaxBufferedBodyBytes, "")
	}
	p.Limits.Total = total
	half := RequestLimits{max(1, total.Requests/2), max(body, total.BodyBytes/2)}
	p.Limits.PerKey = l.keyLimits(total, p.MaxBodyBytes, "limits.max_requests_per_key", "limits.max_buffered_body_bytes_per_key",
		config.KeyLimitsConfig{MaxRequests: c.MaxRequestsPerKey, MaxBufferedBodyBytes: c.MaxBufferedBodyBytesPerKey}, half)
	l.connectionLimits(p)
	p.Limits.MaxWait = config.DefaultMaxWait
	if c.MaxWait != 0 {
		p.Limits.MaxWait = c.MaxWait
		if c.MaxWait < time.Millisecond || c.MaxWait > config.MaxMaxWait {
			l.problem("limits.max_wait", "%s is out of range: write a duration from 1ms to %s", c.MaxWait, config.MaxMaxWait)
		}
	}
}

// keyLimits reads the limits of a key, or of keys without their own.
func (l *loader) keyLimits(total RequestLimits, maxBodyBytes int, atRequests, atBytes string, c config.KeyLimitsConfig, otherwise RequestLimits) RequestLimits {
	out := otherwise
	if c.MaxRequests != 0 {
		out.Requests = c.MaxRequests
		if most := total.Requests; c.MaxRequests < 1 || c.MaxRequests > most {
			l.problem(atRequests, "must be from 1 to limits.max_requests, which is %d", most)
		}
	}
	if c.MaxBufferedBodyBytes != 0 {
		out.BodyBytes = c.MaxBufferedBodyBytes
		l.bufferedBytes(atBytes, c.MaxBufferedBodyBytes, int64(maxBodyBytes), total.BodyBytes, "limits.max_buffered_body_bytes")
	}
	return out
}

// bufferedBytes checks a number of bytes: the largest body must fit.
func (l *loader) bufferedBytes(at string, value, least, most int64, mostName string) {
	to := fmt.Sprint(most)
	if mostName != "" {
		to = mostName + ", which is " + to
	}
	if value < least || value > most {
		l.problem(at, "must be from max_body_bytes, which is %d, to %s", least, to)
	}
}

// Subject returns whom the limits of a request count for: the id of the access key, or else
// the client's address. IPv6 addresses count by their first 64 bits, because a client
// usually has a whole /64.
func Subject(keyID, clientIP string) string {
	if keyID != "" {
		return keyID
	}
	ip, err := netip.ParseAddr(clientIP)
	if err != nil || ip.Is4() {
		return "address " + clientIP
	}
	if ip = ip.Unmap(); ip.Is4() {
		return "address " + ip.String()
	}
	prefix, _ := ip.WithZone("").Prefix(64) // of IPv6 there is one
	return "address " + prefix.String()
}

// LimitsOf returns the limits of an access key, which is nil for a client without one.
func (p *Policy) LimitsOf(key *identity.Key) RequestLimits {
	out := p.Limits.PerKey
	if key != nil {
		out = RequestLimits{cmp.Or(key.Limits.Requests, out.Requests), cmp.Or(key.Limits.BodyBytes, out.BodyBytes)}
	}
	return out
}

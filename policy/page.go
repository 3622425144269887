package policy

import (
	"net/netip"
	"strings"

	"weir/llm"
	"weir/policy/config"
)

// AdmitPage returns an error for cross-origin requests of web pages, if the gateway asks
// for no access key because only this machine can reach it. A browser on this machine
// sends requests for any page that is open in it:
//
//   - A page can send requests that need no permission (a form, or a body without a type).
//     Their Origin header names the page.
//   - A page can point a domain name of its own at 127.0.0.1 (DNS rebinding), and then read
//     the responses too. Only the authority shows that.
func (p *Policy) AdmitPage(authority, origin string) error {
	switch {
	case !p.anonymous || p.Config.AllowAnonymous:
		return nil
	case !NamedInside(authority):
		return llm.Errorf(llm.InvalidAPIKey, "without access_keys, the gateway serves this machine only, and %.64q may be the name of someone else: use http://127.0.0.1, add access_keys, or set allow_anonymous: true", authority)
	case !ownPage(origin) && !p.CORS.allows(origin):
		return llm.Errorf(llm.InvalidAPIKey, "without access_keys, the gateway serves this machine only, and not the web page %.64q: add access_keys, or set allow_anonymous: true", origin)
	}
	return nil
}

// NamedInside reports whether the host of an authority cannot belong to a page from another
// network: it is an address, or a name that is not in public DNS.
func NamedInside(authority string) bool {
	host, addr := hostOf(authority)
	return addr.IsValid() || config.PrivateHost(host, addr)
}

// ownPage reports whether a request comes from no page, or from a page of this machine or
// its network. Programs and browser extensions use schemes other than http. The origin
// "null" may be any page.
func ownPage(origin string) bool {
	scheme, authority, ok := strings.Cut(origin, "://")
	if !ok {
		return origin == ""
	}
	if scheme != "http" && scheme != "https" {
		return true
	}
	return config.PrivateHost(hostOf(authority))
}

// hostOf returns the host of an authority, in lower case, and its address if it is one.
func hostOf(authority string) (host string, addr netip.Addr) {
	host = authority[strings.LastIndexByte(authority, '@')+1:]
	if rest, ok := strings.CutPrefix(host, "["); ok {
		host, _, _ = strings.Cut(rest, "]")
	} else if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host != "localhost" { // the most frequent name; an error would be allocated for it
		addr, _ = netip.ParseAddr(host)
	}
	return host, addr
}

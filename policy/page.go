package policy

import (
	"net/netip"
	"strings"

	"weir/llm"
	"weir/policy/config"
)

// AdmitPage keeps the pages of others out of a gateway that asks for no key
// because only this machine reaches it: a browser on the machine does, for any
// page that is open in it. A page can send what needs no permission (POST with a
// form, or with a body without a type), which its Origin tells; and it can give
// a name of its own the address 127.0.0.1, and then read the answers too, which
// only the name tells.
func (p *Policy) AdmitPage(authority, origin string) error {
	switch {
	case !p.anonymous || p.Config.AllowAnonymous:
		return nil
	case !NamedInside(authority):
		return llm.Errorf(llm.InvalidAPIKey, "without access_keys, the gateway serves this machine only, and %.64q may be the name of someone else: use http://127.0.0.1, add access_keys, or set allow_anonymous: true", authority)
	case !ownPage(origin):
		return llm.Errorf(llm.InvalidAPIKey, "without access_keys, the gateway serves this machine only, and not the web page %.64q: add access_keys, or set allow_anonymous: true", origin)
	}
	return nil
}

// NamedInside reports whether the host of an authority is one that no page from
// elsewhere can have: an address, or a name that public DNS does not have.
func NamedInside(authority string) bool {
	host, addr := hostOf(authority)
	return addr.IsValid() || config.PrivateHost(host, addr)
}

// ownPage reports whether a request comes from no page, or from one of this machine
// or its network. Schemes other than http are those of programs and of a
// browser's extensions. "null" is any page that hides where it is from.
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

// hostOf takes user and port off an authority.
func hostOf(authority string) (host string, addr netip.Addr) {
	host = authority[strings.LastIndexByte(authority, '@')+1:]
	if rest, ok := strings.CutPrefix(host, "["); ok {
		host, _, _ = strings.Cut(rest, "]")
	} else if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host != "localhost" { // which needs no error
		addr, _ = netip.ParseAddr(host)
	}
	return host, addr
}

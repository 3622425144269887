package policy

import (
	"strings"

	"weir/llm"
)

// hopPrefix begins the names of Weir gateways in HopHeader.
const hopPrefix = "weir-"

// MaxHops is how many Weir gateways a request may pass.
const MaxHops = 5

// hopName returns the gateway's own name in HopHeader. It is a hash of the configuration, so
// that all replicas have the same name, and the name discloses nothing.
func hopName(version string) string { return hopPrefix + contentHash([]string{"hop", version}) }

// Hop returns the value of HopHeader of a request that goes on to a provider:
// the Weir gateways that it has passed, and this one. It fails with LoopDetected
// if this gateway is among them, or if there are too many. Entries of other software are
// dropped: they describe the way to this gateway.
func (p *Policy) Hop(arrived string) (string, error) {
	if arrived == "" {
		return p.hop, nil
	}
	hops := 0
	passed := ""
	for entry := range strings.SplitSeq(arrived, ",") {
		name, _, _ := strings.Cut(entry, ";")
		name = strings.TrimSpace(name)
		if !strings.HasPrefix(name, hopPrefix) || len(name) != len(p.hop) {
			continue
		}
		if hops++; name == p.hop {
			return "", llm.Errorf(llm.LoopDetected, "the request has passed this gateway before: the base_url of a provider leads back to it")
		}
		if hops >= MaxHops {
			return "", llm.Errorf(llm.LoopDetected, "the request has passed %d gateways already, more than a request may: the base_url of a provider may lead back", hops)
		}
		passed += name + ", "
	}
	return passed + p.hop, nil
}

package xds

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"weir/llm"
)

const webSocket = "websocket"

var noWebSocket = llm.Errorf(llm.UpgradeNotSupported, "the gateway does not support WebSocket: send this request as an HTTP POST, with \"stream\": true for a stream of events")

// ignoredUpgrades matches every upgrade that is not WebSocket. Envoy removes the
// matching ones and their Connection tokens, so that they never reach a provider.
func ignoredUpgrades() []*matcherv3.StringMatcher {
	return []*matcherv3.StringMatcher{matching(otherThan(webSocket))}
}

// otherThan returns a regular expression for every string that is not word,
// without regard to case. RE2 has no negative lookahead.
func otherThan(word string) string {
	alternatives := []string{word + ".+"}
	for i := range word {
		alternatives = append(alternatives, word[:i], word[:i]+"[^"+word[i:i+1]+"].*")
	}
	return "(?i)" + strings.Join(alternatives, "|")
}

// upgradeHeaders returns the headers that a 426 must have (RFC 9110, 15.5.22): the
// protocol to use instead. Envoy leaves them out over HTTP/2, which has no Upgrade
// header.
func upgradeHeaders() []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{setHeader("upgrade", "HTTP/1.1"), setHeader("connection", "upgrade")}
}

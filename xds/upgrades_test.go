package xds

import (
	"regexp"
	"testing"
)

func TestOtherThan(t *testing.T) {
	pattern := regexp.MustCompile("^(?:" + otherThan("websocket") + ")$")
	for value, want := range map[string]bool{
		"websocket": false, "WebSocket": false, "WEBSOCKET": false,
		"": true, "h2c": true, "TLS/1.2": true, "w": true, "websocke": true, "websockets": true, "websocket/13": true,
		"xwebsocket": true, "web socket": true, "websocket ": true, "WEBRTC": true,
	} {
		if got := pattern.MatchString(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

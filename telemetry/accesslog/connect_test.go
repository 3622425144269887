package accesslog

import "testing"

// TestConnectFailure has the texts of Envoy 1.40 on Linux.
func TestConnectFailure(t *testing.T) {
	f := func(e entry, cause, want string) {
		t.Helper()
		if got := e.connectFailure(cause); got != want {
			t.Errorf("%q: %q, want %q", e.transport, got, want)
		}
	}
	failed := func(transport, want string) {
		t.Helper()
		f(entry{upstream: "weir/p/1", transport: transport}, CauseConnectFailure, want)
	}
	failed("delayed connect error: Connection refused", "refused")
	failed("immediate connect error: Network is unreachable|remote address:[2001:db8::1]:443", "unreachable")
	failed("delayed connect error: No route to host", "unreachable")
	failed("delayed connect error: Connection timed out", "timeout")
	failed("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: refused by policy:TLS_error_end", "tls")
	failed("TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end", "tls")
	failed("", "timeout")
	failed("immediate connect error: Permission denied", "other")
	f(entry{upstream: "weir/refusing", transport: "delayed connect error: Connection refused"}, CauseConnectFailure, "dns")
	f(entry{flags: 1 << noHealthyUpstream}, CauseConnectFailure, "dns")
	f(entry{transport: "delayed connect error: Connection refused"}, CauseReset, "")
}

package accesslog_test

import (
	"fmt"

	"weir/telemetry/accesslog"
)

// failovers is a Sink that prints the attempts after which another provider was tried.
type failovers struct{}

func (failovers) Attempt(a *accesslog.Attempt) {
	if !a.Final {
		fmt.Printf("attempt %d at %s: status %d, %s\n", a.Number, a.Provider, a.Status, a.Cause)
	}
}

func (failovers) Request(r *accesslog.Request) {
	fmt.Printf("request: status %d from %s, %d attempts, cause %q\n", r.Status, r.Provider, r.Attempts, r.Cause)
}

// The records of a request that succeeded at its second attempt. A Receiver makes them
// from Envoy's access log.
func ExampleSink() {
	var sink accesslog.Sink = failovers{}
	sink.Attempt(&accesslog.Attempt{Number: 1, Provider: "openai", Status: 503, Cause: accesslog.CauseOf(503)})
	sink.Attempt(&accesslog.Attempt{Number: 2, Provider: "azure", Status: 200, Final: true})
	sink.Request(&accesslog.Request{Status: 200, Provider: "azure", Attempts: 2})
	// Output:
	// attempt 1 at openai: status 503, status_5xx
	// request: status 200 from azure, 2 attempts, cause ""
}

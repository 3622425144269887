// Package admin serves operators: /healthz, /readyz, /metrics and /explain.
//
// It reports, and changes nothing. It refuses requests of web pages that reach it under a
// host name of their own (DNS rebinding). It knows the gateway only by the Gateway
// interface, and knows neither gRPC nor Envoy's API.
package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/policy"
)

// Gateway is a running gateway as operators see it. Its methods may be called
// concurrently.
type Gateway interface {
	// Refresh updates what the gateway otherwise reads only from time to time.
	Refresh(context.Context)
	// Health returns the body of /healthz.
	Health() Health
	// Ready returns nil if clients can be served, or the reason why not.
	Ready() error
	// Basis returns the policy, keys and numbers for the next request.
	Basis() Basis
}

// Handler returns the handler of the operators' listener.
func Handler(g Gateway, registry prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		g.Refresh(r.Context())
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(g.Health())
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := g.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	mux.HandleFunc("POST /explain", func(w http.ResponseWriter, r *http.Request) { explain(g.Basis(), w, r) })
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		g.Refresh(r.Context())
		metrics.ServeHTTP(w, r)
	})
	return toOperators(mux)
}

// toOperators refuses requests to a loopback address under a name that is not one of
// loopback: a web page could have made that name resolve to 127.0.0.1. See
// policy.AdmitPage.
func toOperators(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if at != nil && policy.Loopback(at.String()) && !policy.NamedInside(r.Host) {
			http.Error(w, fmt.Sprintf("host %.64q is not a name of this machine: use http://127.0.0.1", r.Host), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

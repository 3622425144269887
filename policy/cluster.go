package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"weir/policy/config"
)

// Cluster is one way to reach a provider: an origin, how to verify it, and one credential.
// The control plane makes an Envoy cluster from it. A provider with two keys has two.
type Cluster struct {
	// Name depends on everything below, and on no secret's value.
	Name     string
	Provider string
	// Key is the id of the provider's key that is sent, never its value. It is empty
	// if no key is sent.
	Key  string
	Base config.BaseURL
	// Dial is the host and port to connect to where it differs from Base.
	DialHost string
	DialPort int
	TLS      *ClusterTLS
	// Proxy is where a tunnel to that host and port begins; nil: the connection is direct.
	Proxy *HTTPSProxy `json:",omitempty"`
	// Connections is how they are made and how long they are kept.
	Connections Connections
	// Set are the headers that this cluster adds to every request.
	Set []ClusterHeader
	// Strip are the headers it removes first: every header that any cluster
	// could have set, and every credential a client could have sent.
	Strip []string
	// ResponseHeaders are names of the provider's headers that pass to clients
	// in addition to the usual ones; a name may end in '*'.
	ResponseHeaders []string `json:",omitempty"`
	// Timeout bounds an attempt. It is 0 if no provider has a timeout of its own: the
	// route's applies to all.
	Timeout time.Duration `json:",omitempty"`
	// Idle bounds the silence inside a stream.
	Idle time.Duration `json:"-"`
	// StrictEnd is set if a stream that ends without its last event gets an error event.
	StrictEnd bool `json:"-"`

	forward *forward
}

// Connections describes the connections of a cluster.
type Connections struct {
	HTTP2       bool
	IdleTimeout time.Duration
	MaxDuration time.Duration
}

// ClusterTLS configures TLS to a provider.
type ClusterTLS struct {
	ServerName         string
	CA                 string // PEM; empty: the system's roots
	InsecureSkipVerify bool
	// Certificate names the client certificate in Policy.Certificates.
	Certificate string
}

// ClusterHeader is a header with its value, or with the name of what holds the value: a
// secret, or a field of the request's metadata.
type ClusterHeader struct {
	Name   string
	Prefix string
	Value  string
	Secret string
	Field  string
}

// Certificate is a certificate chain with its private key, both PEM.
type Certificate struct {
	Chain string
	Key   config.Secret
}

// ProviderOf returns the id of the provider in a cluster's name, or an empty string.
func ProviderOf(cluster string) string {
	_, rest, _ := strings.Cut(cluster, "/")
	id, _, ok := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return id
}

// name returns the cluster's name: a readable part, then a hash of its content.
func (c *Cluster) name() string {
	named := *c
	named.Name = ""
	return "weir/" + c.Provider + "/" + contentHash(named)
}

// contentHash returns a short hash of a value's JSON.
func contentHash(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // plain structs of strings and numbers always marshal
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// Only returns a policy with some of the clusters and the secrets that they refer to,
// from which Envoy resources can be made. It cannot plan.
func (p *Policy) Only(needed func(*Cluster) bool) *Policy {
	out := &Policy{Version: p.Version, Secrets: map[string]config.Secret{}, Certificates: map[string]Certificate{}}
	for _, c := range p.Clusters {
		if !needed(c) {
			continue
		}
		out.Clusters = append(out.Clusters, c)
		for _, h := range c.Set {
			if h.Secret != "" {
				out.Secrets[h.Secret] = p.Secrets[h.Secret]
			}
		}
		if c.Proxy != nil {
			if c.Proxy.Secret != "" {
				out.Secrets[c.Proxy.Secret] = p.Secrets[c.Proxy.Secret]
			}
			if c.Proxy.TLS != nil {
				out.Roots = p.Roots
			}
		}
		if c.TLS == nil {
			continue
		}
		if c.TLS.Certificate != "" {
			out.Certificates[c.TLS.Certificate] = p.Certificates[c.TLS.Certificate]
		}
		if c.TLS.CA == "" {
			out.Roots = p.Roots
		}
	}
	return out
}

package xds

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/protobuf/proto"

	"weir/policy"
)

// Check returns what Envoy would reject in a policy's resources, by the rules that its
// API states (protoc-gen-validate). Loading a configuration already checks what is
// known to be rejected; Check finds the rest before an Envoy does.
//
// The rules do not descend into an Any, so every message is checked when it is packed.
func Check(p *policy.Policy) []policy.Invalid {
	c := &checker{seen: map[policy.Invalid]bool{}}
	b := &builder{policy: p, options: Options{
		ControlCluster: "control", LogCluster: "log",
		Listen: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1)},
	}, check: c}
	b.global()
	for _, cluster := range p.Clusters {
		c.cluster = cluster.Name
		for _, out := range b.clusters(cluster) {
			c.message(out)
		}
		if cluster.Proxy != nil {
			c.message(b.tunnel(cluster))
			for _, out := range b.proxyClusters(cluster.Proxy) {
				c.message(out)
			}
		}
	}
	for name, value := range p.Secrets {
		c.cluster = name
		c.message(genericSecret(name, value))
	}
	for name, cert := range p.Certificates {
		c.cluster = name
		c.message(certificateSecret(name, cert))
	}
	if b.err != nil {
		c.add(b.err.Error())
	}
	return c.found
}

// global checks the resources that belong to no cluster.
func (b *builder) global() {
	for _, r := range []types.Resource{b.routes(), b.listener(), b.noPlan(), refusing()} {
		b.check.message(r)
	}
}

// checker collects problems. cluster is the name of the cluster or secret to which
// messages belong; empty if they belong to none.
type checker struct {
	cluster string
	found   []policy.Invalid
	seen    map[policy.Invalid]bool
}

func (c *checker) add(reason string) {
	problem := policy.Invalid{Cluster: c.cluster, Reason: reason}
	if !c.seen[problem] {
		c.seen[problem] = true
		c.found = append(c.found, problem)
	}
}

// message checks a message without the messages packed in it.
func (c *checker) message(m proto.Message) {
	v, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return
	}
	if err := v.ValidateAll(); err != nil {
		c.errors(string(m.ProtoReflect().Descriptor().Name()), err)
	}
}

// errors splits an error of ValidateAll. What the error quotes is from the API, never
// from the message.
func (c *checker) errors(message string, err error) {
	var many interface{ AllErrors() []error }
	if errors.As(err, &many) {
		for _, one := range many.AllErrors() {
			c.errors(message, one)
		}
		return
	}
	var one interface {
		Field() string
		Reason() string
		Cause() error
	}
	if !errors.As(err, &one) {
		c.add(message + ": is not valid")
		return
	}
	where := message + "." + one.Field()
	if cause := one.Cause(); cause != nil {
		c.errors(where, cause)
		return
	}
	c.add(fmt.Sprintf("%s: %s", where, one.Reason()))
}

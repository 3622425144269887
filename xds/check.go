package xds

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/protobuf/proto"

	"weir/policy"
)

// Check returns what Envoy would refuse of a policy's resources, by the rules
// that its API states (protoc-gen-validate). Load has rules of its own for what
// a configuration is known to bring about; this finds the rest before an Envoy
// does.
//
// A rule does not tell a value apart that is inside of another message's Any, so
// every message is looked at when it is packed.
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

// global checks what belongs to no cluster.
func (b *builder) global() {
	for _, r := range []types.Resource{b.routes(), b.listener(), b.noPlan(), refusing()} {
		b.check.message(r)
	}
}

// checker collects what is wrong. cluster is the name of the cluster or secret
// that messages belong to; empty: to none.
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

// message checks a message without what is packed in it.
func (c *checker) message(m proto.Message) {
	v, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return
	}
	if err := v.ValidateAll(); err != nil {
		c.errors(string(m.ProtoReflect().Descriptor().Name()), err)
	}
}

// errors takes an error of ValidateAll apart. What it quotes is of the API, never
// of the message.
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

package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Set is the desired state of all Envoys, by resource type: what Resources builds and
// Server publishes. Every Envoy gets the same set. The server keeps the resources, so they
// must not change after Publish.
type Set struct {
	Clusters, Listeners, Routes, Secrets []types.Resource
}

// servedTypes are the types in a Set, in the order in which they are sent, with their
// names in statuses, errors and logs.
var servedTypes = []struct{ url, name string }{
	{resourcev3.ClusterType, "clusters"},
	{resourcev3.ListenerType, "listeners"},
	{resourcev3.RouteType, "routes"},
	{resourcev3.SecretType, "secrets"},
}

// typeName returns the short name of a type, or the URL of a type that is not in a
// Set.
func typeName(url string) string {
	for _, t := range servedTypes {
		if t.url == url {
			return t.name
		}
	}
	return strings.TrimPrefix(url, resourcev3.APITypePrefix)
}

// snapshot checks the set and gives every type and resource a version, which is a hash
// of its content. It fails for resources of the wrong type, without a name or with a
// duplicate name.
func (s Set) snapshot() (*cachev3.Snapshot, error) {
	snap := &cachev3.Snapshot{}
	for i, resources := range [][]types.Resource{s.Clusters, s.Listeners, s.Routes, s.Secrets} {
		t := servedTypes[i]
		kept := make([]types.Resource, len(resources))
		seen := make(map[string]bool, len(resources))
		for j, r := range resources {
			name := cachev3.GetResourceName(r)
			switch {
			case resourcev3.APITypePrefix+string(proto.MessageName(r)) != t.url:
				return nil, fmt.Errorf("%s[%d]: unexpected type %q", t.name, j, proto.MessageName(r))
			case name == "":
				return nil, fmt.Errorf("%s[%d]: missing name", t.name, j)
			case seen[name]:
				return nil, fmt.Errorf("%s[%d]: duplicate name %q", t.name, j, name)
			}
			seen[name] = true
			kept[j] = r
			if c, ok := r.(*clusterv3.Cluster); ok {
				var err error
				if kept[j], err = packed(c); err != nil {
					return nil, fmt.Errorf("%s[%d]: %w", t.name, j, err)
				}
			}
		}
		snap.Resources[cachev3.GetResponseType(t.url)] = cachev3.NewResources("", kept)
	}
	// Envoy asks for a route when a listener refers to it: a listener without its
	// route would never start, and a route without a listener would never be
	// acknowledged. Listeners that Envoy has from elsewhere are not known here.
	if len(s.Listeners) > 0 {
		if err := snap.Consistent(); err != nil {
			return nil, err
		}
	}
	if err := snap.ConstructVersionMap(); err != nil {
		return nil, err
	}
	for _, t := range servedTypes {
		snap.Resources[cachev3.GetResponseType(t.url)].Version = versionOf(snap.VersionMap[t.url])
	}
	return snap, nil
}

// packed returns a cluster as its encoded bytes: a thousand of them take half as much
// memory as the messages. To the cache it is a cluster with a name and unknown fields,
// which are sent unchanged.
func packed(c *clusterv3.Cluster) (*clusterv3.Cluster, error) {
	b, err := cachev3.MarshalResource(c)
	if err != nil {
		return nil, err
	}
	number, _, name := protowire.ConsumeField(b)
	if number != clusterName {
		return c, nil
	}
	out := &clusterv3.Cluster{Name: c.Name}
	out.ProtoReflect().SetUnknown(b[name:])
	return out, nil
}

// clusterName is the field number of a cluster's name, which is its first field.
const clusterName = 1

// versionOf returns the version of a type: a hash of its resources' versions.
func versionOf(resources map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		fmt.Fprintf(h, "%q %s\n", name, resources[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

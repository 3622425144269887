package xds_test

import (
	"strings"
	"testing"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"

	"weir/xds"
)

func TestSetIsRefused(t *testing.T) {
	cases := map[string]struct {
		change func(*xds.Set)
		want   string
	}{
		"wrong type":             {func(set *xds.Set) { set.Clusters[1] = aSecret("key", "") }, `xds: clusters[1]: unexpected type "envoy.extensions.transport_sockets.tls.v3.Secret"`},
		"nil":                    {func(set *xds.Set) { set.Clusters[1] = nil }, `xds: clusters[1]: unexpected type ""`},
		"no name":                {func(set *xds.Set) { set.Secrets[0] = aSecret("", "") }, `xds: secrets[0]: missing name`},
		"twice":                  {func(set *xds.Set) { set.Clusters[1] = set.Clusters[0] }, `xds: clusters[1]: duplicate name "a"`},
		"listener without route": {func(set *xds.Set) { set.Routes = nil }, `xds: mismatched`},
		"route without listener": {func(set *xds.Set) { set.Routes = append(set.Routes, types.Resource(aRoute("x", "a"))) }, `xds: mismatched`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newTestServer(t)
			set := base()
			tc.change(&set)
			if err := s.Publish(deadline(t), set); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

package gateway

import (
	"strings"
	"testing"

	"weir/policy"
	"weir/policy/config"
)

func TestShareFiles(t *testing.T) {
	for _, c := range []struct {
		limits  policy.ConnectionLimits
		problem string
	}{
		{policy.ConnectionLimits{OpenFiles: 1 << 30}, "limits.open_files: 1073741824 open files are configured, but this process may have only "},
		{policy.ConnectionLimits{OpenFiles: 1024, MaxClientConnections: 1000}, "limits.max_client_connections: 1000 connections of clients do not fit into 1024 open files"},
		{policy.ConnectionLimits{OpenFiles: 1024}, ""},
		{policy.ConnectionLimits{}, ""},
	} {
		p := &policy.Policy{Config: &config.Config{}, Limits: policy.Limits{ConnectionLimits: c.limits}}
		p.Config.Envoy.Concurrency = 2
		_, share, err := shareFiles(p, 1<<16)
		switch {
		case c.problem != "":
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%+v: %v", c.limits, err)
			}
		case err != nil || share.Clients < 1 || share.Providers < 1:
			t.Errorf("%+v: %+v, %v", c.limits, share, err)
		}
	}
}

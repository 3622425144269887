package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/llm"
)

// TestTimeoutsOfAttempts: a plan has the longest timeout of its attempts, each attempt its
// provider's, and the class of idle timeout in which all of them fit.
func TestTimeoutsOfAttempts(t *testing.T) {
	const cfg = `
on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: 20s
      total_timeout: 12m
      stream_idle_timeout: 10s
      providers:
        - {id: cloud, base_url: http://localhost:1}
        - {id: local, base_url: http://localhost:2, per_request_timeout: 10m, stream_idle_timeout: 4m}
        - {id: slow, base_url: http://localhost:3, per_request_timeout: 20m}
`
	loaded := newWorld().loaded(t, cfg, Loaded{})
	p := loaded.Policy
	for _, c := range []struct{ models, want string }{
		{`"cloud:m"`, "20s; 20s; class 1"},
		{`"local:m"`, "10m0s; 10m0s; class 10"},
		{`"cloud:m","local:m"`, "10m0s; 20s 10m0s; class 10"},
		{`"cloud:m","cloud:n"`, "20s; 20s 20s; class 2"},
		{`"slow:m"`, "12m0s; 12m0s; class 10"},
	} {
		plan := planned(t, p, llm.EndpointAt(llm.ChatCompletionsPath), "", nil, `{"models":[`+c.models+`],"stream":true}`)
		var each []string
		for _, a := range plan.Attempts {
			each = append(each, p.timeoutOf(&a).String())
		}
		if got := fmt.Sprintf("%s; %s; class %d", plan.AttemptTimeout, strings.Join(each, " "), plan.Class); got != c.want {
			t.Errorf("%s: %s, want %s", c.models, got, c.want)
		}
	}
	if w := fmt.Sprint(loaded.Warnings(time.Now())); !strings.Contains(w, "providers[2].per_request_timeout") || strings.Contains(w, "providers[1]") {
		t.Error(w)
	}
	same := newWorld().load(t, strings.ReplaceAll(strings.ReplaceAll(cfg, ", per_request_timeout: 10m, stream_idle_timeout: 4m", ""), ", per_request_timeout: 20m", ""))
	if c := same.Clusters[0]; same.HasOwnTimeouts() || c.Timeout != 0 {
		t.Errorf("without timeouts of providers, a cluster has %v", c.Timeout)
	}
}

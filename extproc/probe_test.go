package extproc

import (
	"testing"
	"time"

	"weir/llm"
	"weir/policy"
)

// ejected is the health of a world in which clusters of provider a are ejected,
// and due for a probe that nobody or everybody may claim.
type ejected struct {
	claimable bool
	claims    []string
}

func (e *ejected) Ejection(cluster, _, _ string) *policy.Ejection {
	if policy.ProviderOf(cluster) == "a" {
		return &policy.Ejection{Cause: "timeout"}
	}
	return nil
}

func (e *ejected) MayProbe(string, string, string, time.Time) bool { return true }

func (e *ejected) Claim(cluster, key, model string, _ time.Time) bool {
	e.claims = append(e.claims, policy.ProviderOf(cluster)+" "+key+" "+model)
	return e.claimable
}

// A request probes an ejected cluster only if it can claim the probe: otherwise it
// starts at the next.
func TestProbeIsClaimed(t *testing.T) {
	current, keys, problems := policy.Load(policy.Source{File: "weir.yaml", Data: []byte(`
access_keys: [{name: k, value: 0123456789abcdef}]
providers:
  - {id: a, base_url: http://a.internal, models: [{id: m, provider_model_id: sent}]}
  - {id: b, base_url: http://b.internal, models: [{id: m}]}
`), Getenv: func(string) string { return "" }})
	if problems != nil {
		t.Fatal(problems)
	}
	key := keys.Named("k")
	f := func(claimable bool, first string) {
		t.Helper()
		health := &ejected{claimable: claimable}
		p, x := &Processor{health: health}, newExchange()
		x.in.Body = []byte(`{"model":"m","messages":[]}`)
		req := &request{Admission: policy.Admission{Route: llm.Route{Endpoint: llm.EndpointAt("/v1/chat/completions")}, Key: key}}
		plan, err := p.plan(Current{Policy: current}, req, x, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Attempts[0].Cluster.Provider; got != first || len(plan.Attempts) != 2 || plan.Probe != claimable {
			t.Errorf("%d attempts, the first at %s, a probe: %v", len(plan.Attempts), got, plan.Probe)
		}
		if want := "a " + key.ID + " sent"; len(health.claims) != 1 || health.claims[0] != want {
			t.Errorf("claimed are %q, want %q once", health.claims, want)
		}
	}
	f(true, "a")
	f(false, "b")
}

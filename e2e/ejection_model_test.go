package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"weir/internal/recorder"
)

const otherModel = `{"model":"n","messages":[]}`

// limitModel makes a provider refuse its model m, and no other, for some
// seconds.
func limitModel(p *recorder.Provider, seconds string) {
	p.Respond(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		if !strings.Contains(string(body), `"model":"m"`) {
			answer(w, http.StatusOK)
			return
		}
		w.Header().Set("Retry-After", seconds)
		w.WriteHeader(http.StatusTooManyRequests)
	})
}

// A 429 takes the traffic of its model away, and leaves that of the others.
func TestEjectionOfModel(t *testing.T) {
	t.Parallel()
	e := eject(t, "outlier_detection: {max_ejection_time: 1h}")
	limitModel(e.alpha, "3600") // in a minute's time a slow machine would see a probe
	e.answers(t, anyModel, "bravo 2")
	e.asked(t, "bravo 1")
	limited := func() (n int) {
		for _, r := range e.alpha.Requests() {
			if strings.Contains(string(r.Body), `"model":"m"`) {
				n++
			}
		}
		return n
	}
	before := limited()
	stays := func() {
		t.Helper()
		for range 20 {
			e.answers(t, otherModel, "alpha 1")
			e.answers(t, anyModel, "bravo 1")
		}
		if got, _ := e.ejected(t); got != "alpha alpha#1 m rate_limit" {
			t.Errorf("ejected: %s", got)
		}
	}
	stays()
	if after := limited(); after != before {
		t.Errorf("%d more requests for the model were sent to the provider that limits it", after-before)
	}
	e.hasMetrics(t,
		`weir_ejected{model="",provider="alpha",provider_key="alpha#1"} 0`,
		`weir_ejected{model="m",provider="alpha",provider_key="alpha#1"} 1`,
		`weir_ejections_total{cause="rate_limit",model="m",provider="alpha"} 1`,
	)
	e.Reload(strings.Replace(e.config, "only_allow_configured_providers: true", "total_timeout: 2m", 1))
	stays()
	explained := e.explained(t, anyModel)
	if len(explained) != 2 || explained[0].Provider != "bravo" || explained[1].Ejected == nil || explained[1].Ejected.Model != "m" {
		t.Errorf("explained: %+v", explained)
	}
	if explained = e.explained(t, otherModel); len(explained) != 2 || explained[0].Provider != "alpha" || explained[0].Ejected != nil {
		t.Errorf("the other model explained: %+v", explained)
	}
	e.Reload(strings.Replace(e.config, "id: alpha,", "id: alpha, headers: {x-a: b},", 1))
	if got, _ := e.ejected(t); got != "" {
		t.Errorf("after a change of the provider is ejected: %s", got)
	}
	e.answers(t, anyModel, "bravo 2")
}

// After its time the model is probed, and has its traffic back. The other one
// never left.
func TestEjectionOfModelEnds(t *testing.T) {
	t.Parallel()
	e := eject(t, "outlier_detection: {base_ejection_time: 1s, max_ejection_time: 2s}")
	limitModel(e.alpha, "2")
	e.until(t, "the ejection", func() bool {
		e.answers(t, otherModel, "alpha 1")
		return e.ask(t) == "bravo 1"
	})
	e.until(t, "a probe", func() bool {
		e.answers(t, otherModel, "alpha 1")
		return e.ask(t) == "bravo 2"
	})
	status(e.alpha, http.StatusOK)
	e.asked(t, "alpha 1")
	e.until(t, "the return", func() bool { return e.explained(t, anyModel)[0].Provider == "alpha" })
	for range 20 {
		e.answers(t, anyModel, "alpha 1")
		e.answers(t, otherModel, "alpha 1")
	}
}

// explained are the attempts that /explain returns for a request.
func (e *ejecting) explained(t *testing.T, body string) []explainedAttempt {
	t.Helper()
	resp, err := http.Post(e.AdminURL+"/explain", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var explained struct{ Attempts []explainedAttempt }
	if err := json.NewDecoder(resp.Body).Decode(&explained); err != nil {
		t.Fatal(err)
	}
	return explained.Attempts
}

type explainedAttempt struct {
	Provider string
	Ejected  *ejection
}

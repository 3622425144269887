package telemetry

import "time"

// keepGone is how long the metrics of a provider or model are kept after it has left
// the configuration: several scrapes.
const keepGone = 15 * time.Minute

// Retain drops the metrics of providers and models that have not been configured for
// keepGone. known reports whether a provider is configured, with a model unless that
// is empty.
func (r *Recorder) Retain(known func(provider, model string) bool) {
	r.retain.Lock()
	defer r.retain.Unlock()
	all := map[target]bool{}
	m := r.metrics
	for _, list := range []func(map[target]bool){m.tokens.list, m.duration.list, m.firstToken.list, m.perToken.list, m.attempts.list, m.failovers.list, m.unconnected.list, m.unknown.list, m.estimated.list, m.truncated.list} {
		list(all)
	}
	now := r.now()
	gone := map[target]bool{}
	since := map[target]time.Time{}
	for of := range all {
		model := of.model
		if model == other {
			model = ""
		}
		if known(of.provider, model) {
			continue
		}
		at, ok := r.gone[of]
		switch {
		case !ok:
			since[of] = now
		case now.Sub(at) < keepGone:
			since[of] = at
		default:
			gone[of] = true
		}
	}
	r.gone = since
	for _, forget := range []func(map[target]bool){m.tokens.forget, m.duration.forget, m.firstToken.forget, m.perToken.forget, m.attempts.forget, m.failovers.forget, m.unconnected.forget, m.unknown.forget, m.estimated.forget, m.truncated.forget} {
		forget(gone)
	}
}

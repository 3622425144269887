package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"weir/policy/config"
	"weir/policy/expression"
)

// withoutFailover returns a warning for the first strategy that leaves the models of only one
// provider where several could serve a request, or "" if there is none: such requests have no
// failover to another provider. It looks at requests that name no model, on the first endpoint
// that several providers serve. What a strategy does that reads the request is not known here,
// and one that keeps nothing while nothing is known of the models does not decide.
func (p *Policy) withoutFailover() (path, message string) {
	if p.Failover.most() == 1 {
		return "", ""
	}
	for _, candidates := range p.strategies.offered {
		all := providersOf(candidates)
		if len(all) < 2 {
			continue
		}
		for i, s := range p.strategies.models {
			if s.Uses() != (expression.Uses{}) {
				continue
			}
			chosen, err := s.Run(&expression.Input{}, candidates)
			left := providersOf(chosen)
			if err != nil || len(left) == 0 {
				continue
			}
			if len(left) > 1 {
				break // later ones do not decide
			}
			return config.IndexPath(p.strategies.path, i), fmt.Sprintf("keeps only models of %q, so a request that names no model, or one of its models, has no failover to %s; "+
				"to prefer a provider and keep the others, write \"ai.models.sortBy(m, m.provider_id != '%s')\"", left[0], others(all, left[0]), left[0])
		}
		return "", ""
	}
	return "", ""
}

// providersOf returns the ids of the providers of models, without repeats.
func providersOf(models []*expression.Model) []string {
	var out []string
	for _, m := range models {
		if !slices.Contains(out, m.ProviderID) {
			out = append(out, m.ProviderID)
		}
	}
	return out
}

// others names the providers besides one, the first few of many.
func others(all []string, one string) string {
	const most = 3
	var names []string
	for _, id := range all {
		if id != one {
			names = append(names, strconv.Quote(id))
		}
	}
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// note returns what an explanation says of a plan that a strategy has left without another
// provider, although others could serve what the client asked for; "" if it has not.
func (t *Trace) note(p *Policy, plan *Plan) string {
	if p.Failover.most() == 1 {
		return ""
	}
	one := plan.Attempts[0].Cluster.Provider
	if slices.ContainsFunc(plan.Attempts, func(a Attempt) bool { return a.Cluster.Provider != one }) {
		return ""
	}
	var left []string
	for i := range t.offers {
		if o := &t.offers[i]; o.code == "" && !o.kept && o.by >= 0 && t.strategies[o.by].Used && o.provider != one && !slices.Contains(left, o.provider) {
			left = append(left, o.provider)
		}
	}
	if len(left) == 0 {
		return ""
	}
	return fmt.Sprintf("no failover to another provider: the strategies keep only models of %q for this request, and leave out %s", one, others(left, one))
}

// strategyWarning returns withoutFailover as a problem of the file.
func (l Loaded) strategyWarning() config.Problems {
	if path, message := l.Policy.withoutFailover(); message != "" {
		return config.Problems{l.problem(path, message)}
	}
	return nil
}

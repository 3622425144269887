package gateway

import (
	"context"
	"fmt"

	"weir/policy"
	"weir/policy/config"
	"weir/xds"
)

// maxLocated bounds the places that are named for one rejection.
const maxLocated = 10

// located says where in the configuration an Envoy's rejection comes from.
func (g *Gateway) located(p *policy.Policy, r *xds.Rejected) config.Problems {
	message := fmt.Sprintf("envoy %q refuses what is made of this (%s): %s", r.Node, r.Type, r.Text)
	var out config.Problems
	seen := map[config.Problem]bool{}
	for _, name := range g.xds.About(r) {
		problem := p.ProblemOf(name, message)
		if r.Type == "routes" { // they are made of the whole configuration
			problem = config.Problem{File: problem.File, Message: message}
		}
		if !seen[problem] && len(out) < maxLocated {
			seen[problem] = true
			out = append(out, problem)
		}
	}
	if len(out) == 0 {
		out = config.Problems{{File: p.ProblemOf("", "").File, Message: message}}
	}
	return out
}

// firstServed waits until an Envoy has all that the first configuration needs.
// It logs an Envoy's rejection; a change of the file may correct it.
func (g *Gateway) firstServed(ctx context.Context) error {
	var told string
	for {
		var refused *xds.Rejected
		err := g.xds.Wait(ctx, func(nodes []xds.NodeStatus) bool {
			refused = g.xds.Rejection()
			return g.served(nodes) || refused != nil && refused.Error() != told
		})
		if err != nil {
			return err
		}
		if g.served(g.xds.Nodes()) {
			g.refusedAtStart.Store(false)
			if told != "" {
				g.status.recovered()
			}
			return nil
		}
		told = refused.Error()
		problems := g.located(g.current.Load(), refused)
		g.refusedAtStart.Store(true)
		g.status.rejected(problems)
		g.log.Error("configuration rejected by envoy: not ready until it is corrected", "config", g.ConfigFile, "reason", problems)
	}
}

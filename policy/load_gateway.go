package policy

import (
	"fmt"
	"strings"

	"weir/llm"
	"weir/llm/body"
	"weir/policy/config"
	"weir/policy/expression"
)

// gateway finds the one ai-gateway action and the path of its fields.
func (l *loader) gateway() (*config.GatewayConfig, string) {
	var found *config.GatewayConfig
	at := ""
	action := func(path, kind string, c *config.GatewayConfig) {
		switch {
		case kind == "":
			l.problem(path+".type", "is missing: write ai-gateway")
		case kind != "ai-gateway":
			l.problem(path+".type", "unknown action %q; did you mean ai-gateway?", llm.Clip(kind))
		case found != nil:
			l.problem(path, "a second ai-gateway action: only one is allowed")
		default:
			if c == nil {
				c = &config.GatewayConfig{}
			}
			found, at = c, path+".config."
		}
	}
	for i, r := range l.cfg.OnHTTPRequest {
		path := fmt.Sprintf("on_http_request[%d]", i)
		if len(r.Expressions) > 0 {
			l.problem(path+".expressions", "must be empty: an ai-gateway action takes every request")
		}
		if len(r.Actions) == 0 {
			action(path, r.Type, r.Config)
			continue
		}
		if r.Type != "" || r.Config != nil {
			l.problem(path, "set either actions, or type and config")
		}
		for j, a := range r.Actions {
			action(fmt.Sprintf("%s.actions[%d]", path, j), a.Type, a.Config)
		}
	}
	switch {
	case found == nil:
		return &config.GatewayConfig{Providers: l.cfg.ShortProviders}, ""
	case l.cfg.ShortProviders != nil:
		l.problem("providers", "must be under %sproviders when there is an ai-gateway action", at)
	}
	return found, at
}

func (l *loader) gatewayFields(p *Policy, g *config.GatewayConfig, at string) {
	p.onlyConfiguredProviders = g.OnlyConfiguredProviders
	p.onlyConfiguredModels = g.OnlyConfiguredModels
	switch g.OnError {
	case "", "halt":
	case "continue":
		l.problem(at+"on_error", "continue needs an action after ai-gateway: write halt")
	default:
		l.problem(at+"on_error", "%q is unknown: write halt", llm.Clip(g.OnError))
	}
	p.StrictStreamEnd = g.StrictStreamEnd
	switch g.ResponseGate {
	case "", "on":
		p.ResponseGate = true
	case "off":
	default:
		l.problem(at+"response_gate", "%q is unknown: write on or off", llm.Clip(g.ResponseGate))
	}
	if g.MaxInputTokens < 0 || g.MaxInputTokens > config.MaxTokens {
		l.problem(at+"max_input_tokens", "must be from 1 to %d", config.MaxTokens)
	}
	p.inputLimit = g.MaxInputTokens
	if g.MaxOutputTokens < 0 || g.MaxOutputTokens > config.MaxTokens {
		l.problem(at+"max_output_tokens", "must be from 1 to %d", config.MaxTokens)
	}
	p.outputLimit = newOutputLimit(g.MaxOutputTokens)

	list := g.FailoverOn
	if list == nil {
		list = config.DefaultFailover()
	}
	failover, problems := parseFailover(list)
	for i, err := range problems {
		l.problem(config.IndexPath(at+"failover_on", i), "%v", err)
	}
	p.Failover = failover
	l.outlierDetection(p, g, at+"outlier_detection")

	l.query(p, g, at+"query_params")
	l.body(p, g, at+"body")
}

// query reads the parameters that are added to every URL.
func (l *loader) query(p *Policy, g *config.GatewayConfig, path string) {
	dynamic := make([]*expression.TemplateProgram, len(g.QueryParams))
	for i, name := range sortedKeys(g.QueryParams) {
		value := g.QueryParams[name]
		if name == "" {
			l.problem(path, "a parameter has no name")
		}
		if strings.Contains(string(value), "${") {
			t, issues := expression.Template(string(value))
			switch {
			case l.issues(path+"."+name, issues):
			case t.UsesSecrets():
				l.problem(path+"."+name, "a secret in a URL ends up in logs: use headers")
			default:
				dynamic[i], p.dynamic.query = t, dynamic
				p.uses = merged(p.uses, t.Uses())
			}
		}
		p.query = append(p.query, config.Param{Name: name, Value: string(value)})
	}
}

// body reads the keys that are set in every request body.
func (l *loader) body(p *Policy, g *config.GatewayConfig, path string) {
	dynamic := make([]*bodyTemplate, len(g.Body))
	for i, name := range sortedKeys(g.Body) {
		value := []byte(g.Body[name])
		t, problems := parseBody(value, config.JoinPath(path, name))
		for _, problem := range problems {
			l.problem(problem.path, "%s", problem.text)
		}
		if dynamic[i] = t; t != nil && len(problems) == 0 {
			p.dynamic.set = dynamic
			for _, e := range t.exprs {
				p.uses = merged(p.uses, e.Uses())
			}
		}
		switch {
		case llm.ChoosesModel(name):
			l.problem(path+"."+name, "cannot be set here: the model comes from the request and model_selection")
		case dynamic[i] != nil: // what it gives is bounded when it is known
		case p.outputLimit.tokens > 0 && llm.IsOutputField(name) && p.outputLimit.exceededBy(value):
			l.problem(path+"."+name, "must be a number up to max_output_tokens (%d)", p.outputLimit.tokens)
		}
		p.set = append(p.set, body.KeyValue{Key: name, Value: value})
		p.guarded = append(p.guarded, []byte(name))
	}
	if p.outputLimit.tokens > 0 {
		for _, name := range append(llm.AllOutputFields(), llm.ChoiceFields(llm.Completions)...) {
			p.guarded = append(p.guarded, []byte(name))
		}
	}
}

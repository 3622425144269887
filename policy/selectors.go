package policy

import (
	"weir/llm"
	"weir/llm/body"
)

// refuseSelectors returns an error if the request of a key with a scope has a field by which
// a provider could choose another model.
func refuseSelectors(plan *Plan, req *Request) error {
	if !req.Key.Limited() {
		return nil
	}
	for _, m := range req.Body.Members {
		if !body.IsSelector(m.Name) || req.Endpoint.OwnModels && string(m.Name) == llm.EndpointField || string(req.Body.Bytes[m.Value.Start:m.Value.End]) == "null" { // the same as absent
			continue
		}
		if err := plan.refuseSelector(string(m.Name)); err != nil {
			return err
		}
	}
	for _, name := range req.Body.Parts {
		if err := plan.refuseSelector(name); err != nil {
			return err
		}
	}
	return nil
}

// refuseSelector returns an error for such a field, unless every provider of the plan lists
// it under forward.body.
func (p *Plan) refuseSelector(key string) error {
	folded := body.FoldKey(nil, key)
	for i := range p.Attempts {
		if c := p.Attempts[i].Cluster; c.forward == nil || !c.forward.body.HasKey(folded) {
			if p.Attempts[i].Model == "" {
				return llm.Errorf(llm.ModelNotAllowed, "this access key may not send %q: it can choose another provider than %s; the gateway's operator can allow it with forward.body of the provider", llm.Clip(key), c.Provider)
			}
			return llm.Errorf(llm.ModelNotAllowed, "this access key may not send %q: it can choose another model or provider than %s:%s; the gateway's operator can allow it with forward.body of the provider",
				llm.Clip(key), c.Provider, p.Attempts[i].Model)
		}
	}
	return nil
}

package policy

import (
	"weir/policy/expression"
)

// Trace notes how a plan comes about. A nil Trace notes nothing.
type Trace struct {
	// Offers are the models that were looked at, in order.
	Offers []Offer
	// Strategies are those of model_selection that ran, in order.
	Strategies []StrategyStep
	// Keys are those of api_key_selection that ran.
	Keys []KeyStep
}

// Offer is a model that could serve an entry of the client's list, or any, if
// the client left the choice to the gateway.
type Offer struct {
	Entry    string // as the client wrote it; empty: its choice is the gateway's
	Provider string
	Model    string
	Known    bool
	// Code says why it is no candidate; empty: it is one.
	Code Code
	// KeptBy is the index of the strategy that kept it, -1 if none did.
	KeptBy int

	view *expression.Model
}

// StrategyStep is a strategy's result.
type StrategyStep struct {
	Source string
	// Chosen are provider:model, in the strategy's order.
	Chosen []string
	Error  string
	// Used says that this one decided.
	Used bool
}

// KeyStep is a key strategy's result for a provider.
type KeyStep struct {
	Provider string
	Source   string
	Chosen   []string
	Error    string
}

func (t *Trace) offer(entry string, c *choice, code Code) {
	if t == nil {
		return
	}
	t.Offers = append(t.Offers, Offer{
		Entry: entry, Provider: c.provider.id, Model: c.id, Known: c.provider.byModel[lower(c.id)] != nil, Code: code, KeptBy: -1, view: c.view,
	})
}

// strategy notes what a strategy chose, and whether that was used.
func (t *Trace) strategy(source string, chosen []*expression.Model, used bool, err error) {
	if t == nil {
		return
	}
	step := StrategyStep{Source: source, Used: used}
	for _, m := range chosen {
		step.Chosen = append(step.Chosen, m.ProviderID+":"+m.ID)
	}
	if err != nil {
		step.Error = err.Error()
	}
	if used {
		for i := range t.Offers {
			for _, m := range chosen {
				if o := &t.Offers[i]; o.Code == "" && o.Provider == m.ProviderID && o.Model == m.ID {
					o.KeptBy = len(t.Strategies)
				}
			}
		}
	}
	t.Strategies = append(t.Strategies, step)
}

func (t *Trace) keys(provider, source string, chosen []*expression.Key, err error) {
	if t == nil {
		return
	}
	step := KeyStep{Provider: provider, Source: source}
	for _, k := range chosen {
		step.Chosen = append(step.Chosen, k.ID)
	}
	if err != nil {
		step.Error = err.Error()
	}
	t.Keys = append(t.Keys, step)
}

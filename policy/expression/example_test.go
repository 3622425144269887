package expression_test

import (
	"fmt"

	"weir/policy/expression"
)

// A strategy chooses from the models that a request may use.
func ExampleWorld_Models() {
	models := []*expression.Model{
		{ID: "large", ProviderID: "openai", Known: true, MaxOutputTokens: 16384},
		{ID: "small", ProviderID: "openai", Known: true, MaxOutputTokens: 4096},
		{ID: "local", ProviderID: "ollama", Known: true, MaxOutputTokens: 8192},
	}
	world := expression.NewWorld(models, []*expression.Provider{{ID: "openai"}, {ID: "ollama"}})
	strategy, issues := world.Models("ai.models.filter(m, m.max_output_tokens >= req.body.max_tokens).sortBy(m, m.max_output_tokens)")
	if issues != nil {
		fmt.Println(issues)
		return
	}
	chosen, err := strategy.Run(&expression.Input{Request: &expression.Request{
		Body: []expression.Member{{Name: []byte("max_tokens"), Value: []byte("5000")}},
	}}, models)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range chosen {
		fmt.Println(m.ID)
	}
	// Output:
	// local
	// large
}

// measured are error rates by a model's place.
type measured []float64

func (m measured) Model(place int, of expression.Metric) float64 {
	if of == expression.ErrorTotal {
		return m[place]
	}
	return 0
}

func (measured) Key(int) expression.KeyNumbers { return expression.KeyNumbers{} }

// When the numbers change, a Snapshot evaluates what all requests share.
func ExampleWorld_Snapshot() {
	models := []*expression.Model{{ID: "a", Known: true}, {ID: "b", Known: true}}
	world := expression.NewWorld(models, nil)
	strategy, issues := world.Models("ai.models.filter(m, m.metrics.global.error_rate.total < 0.1)")
	if issues != nil {
		fmt.Println(issues)
		return
	}
	for _, numbers := range []measured{{0.5, 0}, {0, 0.2}} {
		snapshot := world.Snapshot(numbers)
		chosen, err := strategy.Run(&expression.Input{Numbers: snapshot}, models)
		fmt.Println(chosen[0].ID, err)
	}
	// Output:
	// b <nil>
	// a <nil>
}

// ${…} in a string of the configuration is CEL.
func ExampleTemplate() {
	template, issues := expression.Template("team-${key.metadata.team}: ${req.headers['x-project'][0]}")
	if issues != nil {
		fmt.Println(issues)
		return
	}
	text, err := template.Text(&expression.Input{Request: &expression.Request{
		Headers: func(yield func(name, value string) bool) { yield("x-project", "search") },
		Key:     expression.AccessKey{Metadata: map[string]any{"team": "a"}},
	}}, nil)
	fmt.Println(text, err)
	// Output: team-a: search <nil>
}

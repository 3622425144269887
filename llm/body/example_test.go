package body_test

import (
	"fmt"

	"weir/llm/body"
)

// Only the model's value is replaced, and `models` is removed: all other bytes stay as the
// client sent them.
func ExampleBody_WithModel() {
	text := []byte(`{"model": "fast",  "models": ["a:b"], "temperature": 0.10}`)
	var b body.Body
	if err := body.ReadJSON(text, &b); err != nil {
		fmt.Println(err)
		return
	}
	edits, _ := b.WithModel(nil, "gpt-4o-mini")
	fmt.Println(b.Model, b.Models)
	fmt.Printf("%s\n", body.Apply(nil, text, edits))
	// Output:
	// fast [a:b]
	// {"model": "gpt-4o-mini",  "temperature": 0.10}
}

// A later attempt may go to a model that takes other fields.
func ExampleBody_Edit() {
	text := []byte(`{"model": "fast", "max_tokens": 9000, "logprobs": true}`)
	var b body.Body
	if err := body.ReadJSON(text, &b); err != nil {
		fmt.Println(err)
		return
	}
	edits, _ := b.Edit(nil, body.Change{
		Model: "gpt-4o-mini",
		Set:   []body.KeyValue{{Key: "max_tokens", Value: []byte("1000")}},
		Drop:  func(name []byte) bool { return string(name) == "logprobs" },
	})
	fmt.Printf("%s\n", body.Apply(nil, text, edits))
	// Output: {"model": "gpt-4o-mini", "max_tokens": 1000}
}

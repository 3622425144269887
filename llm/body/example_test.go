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

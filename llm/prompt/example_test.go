package prompt_test

import (
	"fmt"

	"weir/llm/prompt"
)

func ExampleFieldOf() {
	f, ok := prompt.FieldOf([]byte("Messages"))
	fmt.Println(f.Name, f.PerObject, ok)
	_, ok = prompt.FieldOf([]byte("temperature"))
	fmt.Println(ok)
	// Output:
	// messages 3 true
	// false
}

// An image is known by its place: the key image_url, then url, then a data URL.
func ExampleKindOf() {
	fmt.Println(prompt.KindOf([]byte("image_url")) == prompt.Linked, prompt.KindOf([]byte("url")) == prompt.Address)
	fmt.Println(prompt.IsMedia([]byte("data:image/png;base64,iVBORw0KGgo=")))
	fmt.Println(prompt.KindOf([]byte("text")) == prompt.Unknown, prompt.IsMedia([]byte("data:text/plain,hello")))
	// Output:
	// true true
	// true
	// true false
}

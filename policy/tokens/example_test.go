package tokens_test

import (
	"fmt"

	"weir/policy/tokens"
)

func ExampleExceeds() {
	body := []byte(`{"model": "m", "messages": [{"role": "user", "content": "Hello, world!"}]}`)
	over, _ := tokens.Exceeds(body, 11) // 4 for the text, 1 for the role, 3 for the message, 3 for the reply
	fmt.Println(over)
	over, atLeast := tokens.Exceeds(body, 5)
	fmt.Println(over, atLeast > 5)
	// Output:
	// false
	// true true
}

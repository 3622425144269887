package llm_test

import (
	"fmt"

	"weir/llm"
)

func ExampleFindRoute() {
	route, err := llm.FindRoute("POST", "/v1/messages?beta=true")
	fmt.Println(route.Endpoint.Surface, route.Format, route.Query, err)

	_, err = llm.FindRoute("POST", "/chat/completions")
	fmt.Println(err)
	// Output:
	// messages anthropic beta=true <nil>
	// unknown_path: "/chat/completions" is not a path of this gateway: set the client's base URL to one that ends in /v1
}

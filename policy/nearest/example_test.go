package nearest_test

import (
	"fmt"

	"weir/policy/nearest"
)

func ExampleNames() {
	known := []string{"id", "base_url", "api_keys", "models"}
	fmt.Println(nearest.Names("baseurl", known, 1), nearest.Names("timeout", known, 1))
	// Output:
	// [base_url] []
}

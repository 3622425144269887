package e2e

import "testing"

// stage runs one stage of a scenario as a subtest, so that a failure names it.
// The stages after it build on it: if it fails, the test ends.
func stage(t *testing.T, name string, do func(t *testing.T)) {
	t.Helper()
	if !t.Run(name, do) {
		t.FailNow()
	}
}

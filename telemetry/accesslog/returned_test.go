package accesslog

import (
	"slices"
	"strings"
	"testing"

	"weir/llm"
	"weir/policy"
)

// TestQuotaHeadersReturned: the log of requests has headers as clients get them.
func TestQuotaHeadersReturned(t *testing.T) {
	for _, name := range llm.QuotaHeaderNames() {
		if !slices.ContainsFunc(policy.ReturnedHeaders(), func(r string) bool {
			prefix, all := strings.CutSuffix(r, "*")
			return name == r || all && strings.HasPrefix(name, prefix)
		}) {
			t.Errorf("%s does not pass to clients", name)
		}
	}
}

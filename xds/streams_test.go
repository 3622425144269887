package xds

import (
	"strings"
	"testing"

	"weir/llm"
)

// TestEndsLua: the script knows every last event of package llm, and a kind that has
// one has a script.
func TestEndsLua(t *testing.T) {
	b := &builder{}
	scripts := b.streamEnd().XdsMatcher.GetMatcherTree().GetExactMatchMap().Map
	for _, kind := range []llm.ResponseKind{llm.KindAny, llm.KindJSON, llm.KindChat, llm.KindResponses, llm.KindMessages} {
		last, ends := kind.LastEvents()
		if _, ok := scripts[string(kind)]; ok != ends {
			t.Errorf("%s: has a script: %v, has a last event: %v", kind, ok, ends)
		}
		script := endsLua(last)
		for _, text := range append(last.Types, last.Data) {
			if !strings.Contains(script, `find(text, "`+text+`", 1, true)`) && text != "" {
				t.Errorf("%s: the script does not know %q:\n%s", kind, text, script)
			}
		}
	}
	if _, ok := scripts[llm.CountedStream]; !ok {
		t.Error("streams that count their tokens have no script")
	}
}

package llm

import "testing"

func TestPlain(t *testing.T) {
	for _, c := range []struct {
		encoding string
		want     bool
	}{
		{"", true}, {" ", true}, {",", true}, {"identity", true}, {"IDENTITY", true}, {" identity\t", true},
		{"identity,identity", true}, {"identity , ,Identity", true},
		{"gzip", false}, {"identity, gzip", false}, {"br,identity", false}, {"identity identity", false}, {"identity;q=1", false}, {"none", false},
	} {
		if got := Plain(c.encoding); got != c.want {
			t.Errorf("%q: %t", c.encoding, got)
		}
	}
}

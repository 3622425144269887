package llm

import "strings"

// Plain reports whether a Content-Encoding leaves a body unchanged: an empty one does, and
// identity, once or in a list.
func Plain(encoding string) bool {
	for coding := range strings.SplitSeq(encoding, ",") {
		if coding = strings.Trim(coding, " \t"); coding != "" && !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	return true
}

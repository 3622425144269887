package llm

import "strings"

// Plain reports whether a body with this Content-Encoding is not encoded: the header is empty,
// or lists nothing but identity.
func Plain(encoding string) bool {
	for coding := range strings.SplitSeq(encoding, ",") {
		if coding = strings.Trim(coding, " \t"); coding != "" && !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	return true
}

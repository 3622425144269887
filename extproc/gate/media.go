package gate

import "strings"

// Events says whether an answer of this content type is a stream of events.
func Events(contentType string) bool { return media(contentType) == "text/event-stream" }

// media is the type alone, in lower case. What follows it may be wrong in any
// way, and says nothing; of several types that are sent as one, the first
// counts.
func media(contentType string) string {
	if i := strings.IndexAny(contentType, ";,"); i >= 0 {
		contentType = contentType[:i]
	}
	return strings.ToLower(strings.TrimSpace(contentType))
}

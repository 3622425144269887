package gate

import "strings"

// Events reports whether a response of this content type is a stream of events.
func Events(contentType string) bool { return media(contentType) == "text/event-stream" }

// media returns the media type of a content type, in lower case and without its
// parameters, which may be malformed. Of several types in one header, the first counts.
func media(contentType string) string {
	if i := strings.IndexAny(contentType, ";,"); i >= 0 {
		contentType = contentType[:i]
	}
	return strings.ToLower(strings.TrimSpace(contentType))
}

package llm

import "strings"

// The media types of requests and responses.
const (
	JSONType        = "application/json"
	EventStreamType = "text/event-stream"
	formType        = "multipart/form-data"
)

// Media classifies the Content-Type of a response by how to read its body. For example,
// "text/event-stream; charset=utf-8" is MediaEvents.
type Media uint8

// The kinds of media. MediaUnknown is that of a response without a type, or with one that
// servers send for anything.
const (
	MediaOther Media = iota
	MediaEvents
	MediaJSON
	MediaHTML
	MediaUnknown
)

// opaqueTypes begin the types of bodies without tokens or text.
var opaqueTypes = [...]string{"audio/", "image/", "video/"}

// OpaqueTypes returns the beginnings of media types whose bodies nobody reads.
func OpaqueTypes() []string { return opaqueTypes[:] }

// MediaOf returns the kind of a Content-Type. Its parameters may be malformed. Of several
// types in one header, the first counts.
func MediaOf(contentType string) Media {
	if i := strings.IndexAny(contentType, ";,"); i >= 0 {
		contentType = contentType[:i]
	}
	switch media := strings.ToLower(strings.TrimSpace(contentType)); media {
	case EventStreamType:
		return MediaEvents
	case JSONType, "text/json", "application/x-ndjson", "application/jsonl":
		return MediaJSON
	case "text/html":
		return MediaHTML
	case "", "text/plain", "application/octet-stream":
		return MediaUnknown
	default:
		if strings.HasSuffix(media, "+json") {
			return MediaJSON
		}
	}
	return MediaOther
}

// IsText reports whether a Content-Type is that of text without a structure, or of subtitles:
// the forms of a transcript, which is empty where nobody speaks.
func IsText(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "text/plain", "text/vtt", "text/srt", "application/x-subrip":
		return true
	}
	return false
}

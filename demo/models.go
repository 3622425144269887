package demo

import (
	"net/http"
	"slices"
	"time"
)

// Models returns the list of models, in the shape of the API that the client's headers
// speak.
func Models(h http.Header, ids ...string) Reply {
	data := make([]any, len(ids))
	for i, id := range ids {
		data[i] = model(h, id)
	}
	list := object{"data": data}
	if !speaksAnthropic(h) {
		list["object"] = "list"
		return document(http.StatusOK, list)
	}
	list["has_more"] = false
	list["first_id"] = nil
	list["last_id"] = nil
	if len(ids) > 0 {
		list["first_id"] = ids[0]
		list["last_id"] = ids[len(ids)-1]
	}
	return document(http.StatusOK, list)
}

func oneModel(h http.Header, id string) Reply {
	switch {
	case slices.Contains(models, id):
		return document(http.StatusOK, model(h, id))
	case speaksAnthropic(h):
		return anthropicError(unknownModel(id))
	default:
		return openAIError(unknownModel(id))
	}
}

func model(h http.Header, id string) any {
	if speaksAnthropic(h) {
		return object{
			"id":           id,
			"type":         "model",
			"display_name": id,
			"created_at":   time.Unix(created, 0).UTC().Format(time.RFC3339),
			"lifecycle":    "active",
		}
	}
	return object{"id": id, "object": "model", "created": created, "owned_by": "weir-demo"}
}

// Anthropic's SDKs send this header with every request.
func speaksAnthropic(h http.Header) bool { return h.Get("anthropic-version") != "" }

package demo

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
)

// Reply is a response in an API's shape: one JSON document, or a stream.
type Reply struct {
	Status int
	Body   []byte           // of a document
	Events iter.Seq[[]byte] // of a stream: server-sent events, each with its blank line; nil for a document
}

// Head writes the reply's headers and status.
func (r Reply) Head(w http.ResponseWriter) {
	if r.Events != nil {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
	} else {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(r.Body)))
	}
	w.WriteHeader(r.Status)
}

// Send writes the whole reply and flushes each event. It stops early if the client is
// gone.
func (r Reply) Send(w http.ResponseWriter) {
	r.Head(w)
	if r.Events == nil {
		_, _ = w.Write(r.Body)
		return
	}
	flusher := http.NewResponseController(w)
	for event := range r.Events {
		if _, err := w.Write(event); err != nil {
			return
		}
		if err := flusher.Flush(); err != nil {
			return
		}
	}
}

// object is a JSON object whose key order does not matter.
type object map[string]any

// A constant, so that the same request gets the same response: 1 January 2026.
const created = 1767225600

func document(status int, v any) Reply {
	return Reply{Status: status, Body: marshal(v)}
}

func stream(events iter.Seq[[]byte]) Reply {
	return Reply{Status: http.StatusOK, Events: events}
}

func dataEvent(v any) []byte {
	return frame("data: ", marshal(v))
}

func namedEvent(name string, v any) []byte {
	return frame("event: "+name+"\ndata: ", marshal(v))
}

func frame(prefix string, data []byte) []byte {
	b := make([]byte, 0, len(prefix)+len(data)+2)
	b = append(b, prefix...)
	b = append(b, data...)
	return append(b, "\n\n"...)
}

// marshal does not escape <, > and &: the responses are read in terminals.
func marshal(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // v is one of this package's own shapes
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

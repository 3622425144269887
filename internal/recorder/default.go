package recorder

import (
	"encoding/json"
	"iter"
	"net/http"
	"strings"

	"weir/demo"
)

// reply returns the default response.
func (x *Exchange) reply() demo.Reply {
	get, post := x.HTTP.Method == http.MethodGet, x.HTTP.Method == http.MethodPost
	path := x.HTTP.URL.Path
	surface, known := demo.SurfaceOf(path)
	switch {
	case post && known:
		p, err := x.prompt(surface)
		if err != nil {
			return surface.Refuse(err)
		}
		return surface.Reply(p, x.provider.ResponseText(p.Model))
	case post && strings.HasSuffix(path, "/audio/transcriptions"):
		return x.transcription()
	case get && strings.Contains(path, "/files/"):
		body, _ := json.Marshal(map[string]string{"object": "file", "id": path[strings.LastIndexByte(path, '/')+1:]})
		return demo.Reply{Status: http.StatusOK, Body: body}
	case get && strings.HasSuffix(path, "/models"):
		return demo.Models(x.HTTP.Header, x.provider.Name)
	default:
		return demo.Refuse(x.HTTP, &demo.Error{
			Status:  http.StatusNotFound,
			Code:    "unknown_url",
			Message: x.provider.Name + " does not know " + x.HTTP.Method + " " + x.Request.Path,
		})
	}
}

// document returns the default response as one document, even if the request asked for
// a stream.
func (x *Exchange) document() demo.Reply {
	reply := x.reply()
	if reply.Events == nil {
		return reply
	}
	surface, _ := demo.SurfaceOf(x.HTTP.URL.Path)
	p, _ := x.prompt(surface)
	p.Stream = false
	return surface.Reply(p, x.provider.ResponseText(p.Model))
}

// stream returns a stream with deltas of these texts, or else of the default response,
// even if the request did not ask for a stream.
func (x *Exchange) stream(texts ...string) demo.Reply {
	in := func(surface demo.Surface) demo.Reply {
		p, _ := x.prompt(surface) // a fault does not depend on the body
		p.Stream = true
		if len(texts) == 0 {
			texts = []string{x.provider.ResponseText(p.Model)}
		}
		return surface.Reply(p, strings.Join(texts, ""))
	}
	if surface, ok := demo.SurfaceOf(x.HTTP.URL.Path); ok {
		if reply := in(surface); reply.Events != nil {
			return reply
		}
	}
	chat, _ := demo.SurfaceOf("/chat/completions")
	return in(chat)
}

// prompt reads the body. It ignores the limit of tokens, because tests compare the
// text.
func (x *Exchange) prompt(surface demo.Surface) (demo.Prompt, error) {
	p, err := surface.Read(x.Request.Body)
	p.MaxTokens = 0
	return p, err
}

func (x *Exchange) transcription() demo.Reply {
	const inMemory = 64 << 20
	if err := x.HTTP.ParseMultipartForm(inMemory); err != nil {
		return demo.Refuse(x.HTTP, &demo.Error{Status: http.StatusBadRequest, Message: err.Error()})
	}
	// A map of strings always encodes.
	body, _ := json.Marshal(map[string]string{"text": x.provider.ResponseText(x.HTTP.FormValue("model"))})
	return demo.Reply{Status: http.StatusOK, Body: body}
}

// send writes a reply and flushes each event. Before event i, it calls before, unless
// that is nil, and stops if that returns false.
func (x *Exchange) send(reply demo.Reply, before func(i int) bool) {
	if reply.Events == nil {
		x.finishing()
		reply.Send(x)
		return
	}
	reply.Head(x)
	x.Flush()
	next, stop := iter.Pull(reply.Events)
	defer stop()
	event, more := next()
	for i := 0; more; i++ {
		if before != nil && !before(i) {
			return
		}
		var following []byte
		if following, more = next(); !more {
			x.finishing()
		}
		if _, err := x.Write(event); err != nil {
			return
		}
		x.Flush()
		event = following
	}
}

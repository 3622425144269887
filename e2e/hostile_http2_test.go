package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames are the parts of a stream: headers (names and values in turn) or data.
type frames struct {
	headers []string
	data    string
	end     bool
}

// http2 has what only HTTP/2 can say. A response is a status and a body; 0 is
// the end of the connection, -1 of the stream.
func (h *hostile) http2(t *testing.T) {
	head := func(more ...string) frames {
		return frames{headers: append([]string{":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions", ":authority", "h"}, more...)}
	}
	only := func(headers ...string) frames { return frames{headers: headers} }
	last := func(f frames) frames { f.end = true; return f }
	data := frames{data: "$BODY", end: true}
	notEnd := frames{data: "$BODY"}
	many := func(n int) []string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf("x-%d", i), "y")
		}
		return s
	}
	tooManyHeaders := outcome{431, "/v1/chat/completions", "request_too_large", "the request headers are larger than 60 KiB, or more than 100"}
	tests := []struct {
		name string
		send []frames
		want outcome
	}{
		{"plain", []frames{head(), data}, passes},
		{"host and :authority", []frames{head("host", "q.internal"), data}, passes},
		{"host alone", []frames{only(":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions", "host", "q.internal"), data}, passes},
		{"another scheme", []frames{only(":method", "POST", ":scheme", "gopher", ":path", "/v1/chat/completions", ":authority", "h"), data}, passes},
		{"two authorizations", []frames{head("authorization", "Bearer a", "authorization", "Bearer b", "cookie", "a=1", "cookie", "b=2"), data}, passes},
		{"underscores", []frames{head("x_api_key", "client-secret", "x_forwarded_for", "1.2.3.4"), data}, passes},
		{"trailers", []frames{head(), notEnd, last(only("authorization", "Bearer client-secret", "x-weir-stream", "1"))}, passes},

		{"no body", []frames{last(head())}, bad("invalid_body", strings.ReplaceAll(noBody, "PATH", "/v1/chat/completions"))[0]},
		{"body of 0 bytes", []frames{head(), {end: true}}, bad("invalid_body", "the request body is empty, it must be a JSON object")[0]},
		// The one request that Envoy does not ask Weir about.
		{"trailers for a body", []frames{head(), last(only("x-a", "b"))}, bad("invalid_body", "the request has no body: send one that names a model")[0]},
		{"trailers for a body of messages", []frames{only(":method", "POST", ":scheme", "http", ":path", "/v1/messages", ":authority", "h"), last(only("x-a", "b"))},
			outcome{400, "/v1/messages", "invalid_body", "the request has no body: send one that names a model"}},
		{"unknown method", []frames{only(":method", "BREW", ":scheme", "http", ":path", "/v1/chat/completions", ":authority", "h"), data}, bad("method_not_allowed", "BREW /v1/chat/completions is not an operation of this gateway: use POST")[0]},
		{"CONNECT", []frames{only(":method", "CONNECT", ":authority", "q.internal:443"), data}, noProxy[0]},
		{"extended CONNECT", []frames{only(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/v1/models", ":authority", "h")},
			bad("upgrade_not_supported", `the gateway does not support WebSocket: send this request as an HTTP POST, with "stream": true for a stream of events`)[0]},
		{"extended CONNECT, messages", []frames{only(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/v1/messages", ":authority", "h"), data},
			outcome{426, "/v1/messages", "upgrade_not_supported", `the gateway does not support WebSocket: send this request as an HTTP POST, with "stream": true for a stream of events`}},
		{"extended CONNECT, another protocol", []frames{only(":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "http", ":path", "/v1/models", ":authority", "h"), data},
			bad("unknown_path", "the request target is not a path of this gateway")[0]},
		{"HTTP2-Settings", []frames{head("http2-settings", "AAMAAABkAAQAAP__"), data}, passes},
		{"fragment", []frames{only(":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions#x", ":authority", "h"), data}, notHTTP[0]},

		{"less than the content-length", []frames{head("content-length", "500"), data}, outcome{status: -1}},
		{"more than the content-length", []frames{head("content-length", "5"), data}, outcome{status: -1}},
		{"101 headers", []frames{head(many(101)...), data}, tooManyHeaders},
		{"61,440 bytes of headers", []frames{head("x-a", strings.Repeat("a", 61_440)), data}, tooManyHeaders},
		// What Envoy does not hand to Weir, it resets.
		{"300 headers", []frames{head(many(300)...), data}, outcome{status: -1}},
		{"70 KB of headers", []frames{head("x-a", strings.Repeat("a", 70_000)), data}, outcome{status: -1}},
		{"two content-lengths", []frames{head("content-length", "1", "content-length", "2"), data}, outcome{}},
		{"transfer-encoding", []frames{head("transfer-encoding", "chunked"), data}, outcome{}},
		{"connection", []frames{head("connection", "close"), data}, outcome{}},
		{"upper case", []frames{head("X-Upper", "a"), data}, outcome{}},
		{"line break in a header", []frames{head("x-a", "a\r\nx-b: c"), data}, outcome{}},
		{"line break in the path", []frames{only(":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions HTTP/1.1\r\nx: y", ":authority", "h"), data}, outcome{}},
		{"space in the path", []frames{only(":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions x", ":authority", "h"), data}, outcome{}},
		{"two paths", []frames{head(":path", "/v1/messages"), data}, outcome{}},
		{"no path", []frames{only(":method", "POST", ":scheme", "http", ":authority", "h"), data}, outcome{}},
		{"no method", []frames{only(":scheme", "http", ":path", "/v1/chat/completions", ":authority", "h"), data}, outcome{}},
		{"no authority", []frames{only(":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions"), data}, outcome{}},
		{"unknown pseudo header", []frames{head(":weir", "x"), data}, outcome{}},
	}
	type answer struct {
		outcome outcome
		body    string
		err     error
	}
	got := make([]answer, len(tests))
	var all sync.WaitGroup
	for i, test := range tests {
		conn := h.Dial()
		all.Go(func() {
			body := fmt.Sprintf(`{"model":"p:frames-%d."}`, i)
			got[i].outcome.status, got[i].body, got[i].err = speak(conn, test.send, body)
		})
	}
	all.Wait()
	total := 0
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := got[i]
			model := fmt.Sprintf("frames-%d.", i)
			sent := 0
			switch {
			case a.outcome.status != test.want.status:
				t.Errorf("response %d %s %v, want %d", a.outcome.status, a.body, a.err, test.want.status)
			case a.outcome.status == 200:
				sent = 1
				if !strings.Contains(a.body, h.p.ResponseText(model)) {
					t.Errorf("response %s", a.body)
				}
			case a.outcome.status > 0:
				if want := errorBody(test.want.path, test.want.code, test.want.message); a.body != want {
					t.Errorf("response %s\nwant     %s", a.body, want)
				}
			}
			total += sent
			h.wantArrived(t, model, sent, nil)
		})
	}
	if n := len(h.p.Requests()); n != total {
		t.Errorf("p received %d requests, want %d", n, total)
	}
	h.p.Reset()
	h.nothingSent(t)

	// HTTP/1 has no way to hand trailers on, HTTP/2 has.
	t.Run("trailers to HTTP/2", func(t *testing.T) {
		head := head("te", "trailers", "trailer", "x-weir-stream, x-api-key, api-key, x-forwarded-for, x-custom")
		trailers := last(only("x-weir-stream", "1", "x-api-key", "client-secret", "api-key", "client-secret", "x-forwarded-for", "1.2.3.4", "x-custom", "y"))
		status, body, err := speak(h.Dial(), []frames{head, notEnd, trailers}, `{"model":"q:m"}`)
		if status != 200 || !strings.Contains(body, "q answers as m") {
			t.Errorf("response %d %s %v", status, body, err)
		}
		r := h.q.WaitRequests(t, 1)[0]
		if r.Proto != "HTTP/2.0" || string(r.Body) != `{"model":"m"}` || r.BodyErr != nil {
			t.Errorf("q received %s %s %v", r.Proto, r.Body, r.BodyErr)
		}
		for name, values := range r.Trailer {
			if len(values) > 0 {
				t.Errorf("q received the trailer %s: %s", name, values)
			}
		}
		noForeignHeaders(t, r, "Authorization")
		h.q.Reset()
	})
	t.Run("1,000 streams that are reset", func(t *testing.T) {
		conn := h.Dial()
		f := begin(conn)
		for i := range uint32(1000) {
			headers(f, 2*i+1, head().headers, false)
			if f.WriteRSTStream(2*i+1, h2.ErrCodeCancel) != nil {
				break // Envoy has had enough
			}
		}
		_ = conn.Close()
		h.idle(t)
		h.nothingSent(t)
		h.wantSent(t, h.Post("/v1/chat/completions", `{"model":"p:m"}`), "/v1/chat/completions", `{"model":"m"}`)
	})
}

// begin opens an HTTP/2 connection.
func begin(conn io.ReadWriter) *h2.Framer {
	_, _ = io.WriteString(conn, h2.ClientPreface)
	f := h2.NewFramer(conn, conn)
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	return f
}

func headers(f *h2.Framer, stream uint32, list []string, end bool) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(list); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: list[i], Value: list[i+1]})
	}
	const most = 16_000 // of a frame
	part := block.Next(most)
	_ = f.WriteHeaders(h2.HeadersFrameParam{StreamID: stream, BlockFragment: part, EndHeaders: block.Len() == 0, EndStream: end})
	for block.Len() > 0 {
		part := block.Next(most)
		_ = f.WriteContinuation(stream, block.Len() == 0, part)
	}
}

// speak sends one stream and returns its status and body: -1 if it was reset, 0
// if the connection ended instead.
func speak(conn net.Conn, send []frames, body string) (status int, answer string, err error) {
	f := begin(conn)
	for _, s := range send {
		if s.headers != nil {
			headers(f, 1, s.headers, s.end)
		} else {
			_ = f.WriteData(1, s.end, []byte(strings.ReplaceAll(s.data, "$BODY", body)))
		}
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return 0, answer, err
		}
		switch frame := frame.(type) {
		case *h2.MetaHeadersFrame:
			_, _ = fmt.Sscan(frame.PseudoValue("status"), &status)
		case *h2.DataFrame:
			answer += string(frame.Data())
			if frame.StreamEnded() {
				return status, answer, nil
			}
		case *h2.RSTStreamFrame:
			return -1, answer, fmt.Errorf("stream reset: %v", frame.ErrCode)
		}
	}
}

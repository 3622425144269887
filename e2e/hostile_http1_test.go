package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"weir/internal/gatewaytest"
	"weir/metadata"
)

// exchange is bytes on a connection of their own and what must come of them.
type exchange struct {
	name string
	// send holds $BODY, a body of $LEN (in hexadecimal $HEX) bytes with a model
	// that only this exchange has.
	send string
	// want are the responses, after which the connection ends.
	want []outcome
	// headers are what the provider receives beside host, content-length and
	// its key; requests with one response of 200 only.
	headers []string
}

// outcome is a response: 200 for one of the provider's, or an error.
type outcome struct {
	status              int
	path, code, message string
}

// passes is the response of a provider.
var passes = outcome{status: 200}

func bad(code, message string) []outcome {
	return []outcome{{specified[code].status, "", code, message}}
}

const (
	chat     = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
	withBody = "Content-Length: $LEN\r\n\r\n$BODY"
	chunked  = "Transfer-Encoding: chunked\r\n\r\n$HEX\r\n$BODY\r\n0\r\n\r\n"
)

var (
	notHTTP     = bad("invalid_body", "the request is not valid HTTP")
	headersSize = []outcome{{431, "", "request_too_large", "the request headers are larger than 60 KiB, or more than 100"}}
	oldHTTP     = []outcome{{426, "", "invalid_body", "the gateway speaks HTTP/1.1 and HTTP/2, not the HTTP of this request (in nginx, set proxy_http_version 1.1)"}}
	oddTarget   = bad("not_implemented", "https:// request targets are not supported: the gateway is not a forward proxy")
	noProxy     = bad("not_implemented", "CONNECT is not supported: the gateway is not a forward proxy. Use its address as the base URL of the API, not as a proxy")
	oddEncoding = bad("not_implemented", "the only supported Transfer-Encoding is chunked")
	smuggled    = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 22\r\n\r\n" + `{"model":"p:smuggled"}`
)

func target(t string) string {
	return "POST " + t + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: $LEN\r\n\r\n$BODY"
}

func manyHeaders(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-%d: y\r\n", i)
	}
	return b.String()
}

// clientHello is what a client sends first that takes the gateway for one with
// TLS.
func clientHello() string {
	near, far := net.Pipe()
	defer far.Close()
	go func() { _ = tls.Client(near, &tls.Config{ServerName: "gateway.internal"}).Handshake() }()
	b := make([]byte, 16<<10)
	n, err := far.Read(b)
	if err != nil {
		panic(err)
	}
	return string(b[:n])
}

var wire = []exchange{
	{"plain", chat + withBody, []outcome{passes}, nil},
	{"chunked", chat + chunked, []outcome{passes}, nil},
	{"chunked, in capitals", chat + "Transfer-Encoding: CHUNKED\r\n\r\n$HEX;ext=\"1\"\r\n$BODY\r\n0\r\n\r\n", []outcome{passes}, nil},
	{"trailers", chat + "Trailer: Authorization\r\nTransfer-Encoding: chunked\r\n\r\n$HEX\r\n$BODY\r\n0\r\nAuthorization: Bearer client-secret\r\nX-Weir-Stream: 1\r\n\r\n", []outcome{passes}, []string{"trailer: Authorization"}},
	{"two on a connection", "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n" + withBody + chat + withBody, []outcome{passes, passes}, nil},
	{"lines without CR", strings.ReplaceAll(chat+withBody, "\r\n", "\n"), []outcome{passes}, nil},
	{"folded header", chat + "X-A: a\r\n\tContent-Length: 3\r\n" + withBody, []outcome{passes}, []string{"x-a: a\tContent-Length: 3"}},
	{"CR in a header", chat + "X-A: a\rContent-Length: 3\r\n" + withBody, []outcome{passes}, []string{"x-a: aContent-Length: 3"}},
	{"expectation", chat + "Expect: 200-maybe\r\n" + withBody, []outcome{passes}, nil},
	{"100 headers", chat + manyHeaders(97) + withBody, []outcome{passes}, strings.Split(strings.TrimSpace(strings.ToLower(manyHeaders(97))), "\r\n")},
	{"header of 61,300 bytes", chat + "X-A: " + strings.Repeat("a", 61_300) + "\r\n" + withBody, []outcome{passes}, []string{"x-a: " + strings.Repeat("a", 61_300)}},

	{"no body", chat + "\r\n", bad("invalid_body", strings.ReplaceAll(noBody, "PATH", "/v1/chat/completions")), nil},
	{"content-length 0", chat + "Content-Length: 0\r\n\r\n", bad("invalid_body", strings.ReplaceAll(noBody, "PATH", "/v1/chat/completions")), nil},
	{"no chunk", chat + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", bad("invalid_body", "the request body is empty, it must be a JSON object"), nil},
	{"only trailers", chat + "Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\n\r\n", bad("invalid_body", "the request body is empty, it must be a JSON object"), nil},

	// Who talks to whom: hop-by-hop headers and authorities.
	{"Connection: authorization", chat + "Connection: authorization, x-custom\r\nAuthorization: Bearer client-secret\r\nX-Custom: y\r\n" + withBody, []outcome{passes}, nil},
	{"Connection: content-type", chat + "Connection: content-type, content-length\r\nContent-Type: text/plain\r\n" + withBody, []outcome{passes}, nil},
	{"Connection: x-weir-stream", chat + "Connection: x-weir-stream, x-envoy-attempt-count\r\n" + withBody, []outcome{passes}, nil},
	{"Connection: x-forwarded-for", chat + "Connection: x-forwarded-for\r\n" + withBody, notHTTP, nil},
	{"Connection: host", chat + "Connection: host\r\n" + withBody, notHTTP, nil},
	{"Connection: transfer-encoding", chat + "Connection: transfer-encoding\r\n" + chunked, []outcome{passes}, nil},
	{"no host", strings.Replace(chat, "Host: h\r\n", "", 1) + withBody, notHTTP, nil},
	{"two hosts", chat + "Host: q.internal\r\n" + withBody, []outcome{passes}, nil},
	{"host of a provider", strings.Replace(chat, "Host: h", "Host: q.internal", 1) + withBody, []outcome{passes}, nil},
	{"host with a space", strings.Replace(chat, "Host: h", "Host: h q.internal", 1) + withBody, notHTTP, nil},
	{"pseudo header", chat + ":authority: q.internal\r\n" + withBody, notHTTP, nil},
	{"two authorizations", chat + "Authorization: Bearer a\r\nAuthorization: Bearer b\r\nX-Api-Key: c\r\nX-Api-Key: d\r\n" + withBody, []outcome{passes}, nil},

	// Where a message ends.
	{"content-length and chunked", chat + "Content-Length: 5\r\n" + chunked + smuggled, notHTTP, nil},
	{"chunked and content-length", chat + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + smuggled, notHTTP, nil},
	{"two content-lengths", chat + "Content-Length: 1\r\n" + withBody + smuggled, notHTTP, nil},
	{"content-length twice", chat + "Content-Length: $LEN\r\n" + withBody, notHTTP, nil},
	{"list of content-lengths", chat + "Content-Length: $LEN, $LEN\r\n\r\n$BODY", notHTTP, nil},
	{"+ content-length", chat + "Content-Length: +$LEN\r\n\r\n$BODY", notHTTP, nil},
	{"- content-length", chat + "Content-Length: -1\r\n\r\n$BODY", notHTTP, nil},
	{"hexadecimal content-length", chat + "Content-Length: 0x$HEX\r\n\r\n$BODY", notHTTP, nil},
	{"content-length over 64 bits", chat + "Content-Length: 99999999999999999999\r\n\r\n$BODY", notHTTP, nil},
	{"content-length 0, and more", strings.Replace(chat, "Connection: close\r\n", "", 1) + "Content-Length: 0\r\n\r\n" + smuggled, bad("invalid_body", strings.ReplaceAll(noBody, "PATH", "/v1/chat/completions")), nil},
	{"xchunked", chat + strings.Replace(chunked, "chunked", "xchunked", 1) + smuggled, oddEncoding, nil},
	{"gzip, chunked", chat + strings.Replace(chunked, "chunked", "gzip, chunked", 1), oddEncoding, nil},
	{"chunked, then identity", chat + "Transfer-Encoding: identity\r\n" + chunked, oddEncoding, nil},
	{"chunked with a tab", chat + strings.Replace(chunked, " chunked", " \x0bchunked", 1), notHTTP, nil},
	{"space before the colon", chat + strings.Replace(chunked, "Encoding:", "Encoding :", 1), notHTTP, nil},
	{"chunk extension with LF", chat + "Transfer-Encoding: chunked\r\n\r\n$HEX;\nxx\r\n$BODY\r\n0\r\n\r\n", notHTTP, nil},
	{"chunk size over 64 bits", chat + "Transfer-Encoding: chunked\r\n\r\n1000000000000000$HEX\r\n$BODY\r\n0\r\n\r\n", notHTTP, nil},
	{"chunk size of no digits", chat + "Transfer-Encoding: chunked\r\n\r\n\r\n$BODY\r\n0\r\n\r\n", notHTTP, nil},
	{"negative chunk", chat + "Transfer-Encoding: chunked\r\n\r\n-$HEX\r\n$BODY\r\n0\r\n\r\n", notHTTP, nil},
	// Envoy takes what follows a chunk on its line for padding.
	{"chunk too long", chat + "Transfer-Encoding: chunked\r\n\r\n1\r\n$BODY\r\n0\r\n\r\n" + smuggled, bad("invalid_body", "the request body is truncated: it ends at byte 1, inside its JSON object"), nil},

	// Bytes that are no message.
	{"TLS", clientHello(), notHTTP, nil},
	{"NUL in a header", chat + "X-A: a\x00b\r\n" + withBody, notHTTP, nil},
	{"control in a header", chat + "X-A: a\x01b\r\n" + withBody, notHTTP, nil},
	{"space in a name", chat + "X A: b\r\n" + withBody, notHTTP, nil},
	{"no name", chat + ": b\r\n" + withBody, notHTTP, nil},
	{"no colon", chat + "XA\r\n" + withBody, notHTTP, nil},
	{"unknown method", strings.Replace(chat, "POST", "BREW", 1) + withBody, notHTTP, nil},
	{"method in small letters", strings.Replace(chat, "POST", "post", 1) + withBody, notHTTP, nil},
	// These would fit, but not with those that Envoy and Weir add.
	{"header of 61,440 bytes", chat + "X-A: " + strings.Repeat("a", 61_440) + "\r\n" + withBody, headersSize, nil},
	{"300 headers", chat + manyHeaders(300) + withBody, headersSize, nil},
	{"101 headers", chat + manyHeaders(101) + withBody, headersSize, nil},
	{"header of 70 KB", chat + "X-A: " + strings.Repeat("a", 70_000) + "\r\n" + withBody, headersSize, nil},
	{"target of 70 KB", target("/v1/chat/completions?" + strings.Repeat("a", 70_000)), headersSize, nil},
	{"HTTP/1.0", strings.Replace(chat, "HTTP/1.1", "HTTP/1.0", 1) + withBody, oldHTTP, nil},
	{"HTTP/0.9", "GET /v1/models\r\n\r\n", oldHTTP, nil},
	{"HTTP/1.2", strings.Replace(chat, "HTTP/1.1", "HTTP/1.2", 1) + withBody, oldHTTP, nil},

	// Request targets.
	{"absolute", target("http://q.internal/v1/chat/completions"), []outcome{passes}, nil},
	{"absolute with userinfo", target("http://user:password@q.internal/v1/chat/completions"), []outcome{passes}, nil},
	{"absolute, a host alone", target("http://q.internal"), bad("unknown_path", `"/"`+notServed), nil},
	{"absolute, dots", target("http://h/v1/../v1/chat/completions"), bad("unknown_path", unknownPath("/v1/../v1/chat/completions")), nil},
	{"https", target("https://q.internal/v1/chat/completions"), oddTarget, nil},
	{"ftp", target("ftp://q.internal/v1/chat/completions"), notHTTP, nil},
	{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", bad("unknown_path", "the request target is not a path of this gateway"), nil},
	{"no slash", target("v1/chat/completions"), notHTTP, nil},
	{"only a query", target("?/v1/chat/completions"), notHTTP, nil},
	{"path in the query", target("/?/v1/chat/completions"), bad("unknown_path", `"/"`+notServed), nil},
	{"fragment", target("/v1/chat/completions#/v1/messages"), notHTTP, nil},
	{"backslash", target(`/v1\chat/completions`), bad("unknown_path", unknownPath(`/v1\chat/completions`)), nil},
	{"broken escape", strings.Replace(chat, "POST /v1/chat/completions", "GET /v1/models/%zz", 1) + "\r\n", bad("unknown_path", `"/v1/models/%zz" is not a path of this gateway`), nil},
	{"space", target("/v1/chat/completions /v1/messages"), notHTTP, nil},
	{"not ASCII", target("/v1/chat/completions\xc3\xa9"), notHTTP, nil},
	{"CONNECT", "CONNECT q.internal:443 HTTP/1.1\r\nHost: q.internal:443\r\n\r\n", noProxy, nil},
	{"CONNECT to itself", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", noProxy, nil},
	{"messages of 0 bytes", strings.Replace(chat, "chat/completions", "messages", 1) + "Content-Length: 0\r\n\r\n",
		[]outcome{{400, "/v1/messages", "invalid_body", strings.ReplaceAll(noBody, "PATH", "/v1/messages")}}, nil},
}

// http1 sends everything at once, each on a connection of its own: Envoy takes
// a second to close one after an error.
func (h *hostile) http1(t *testing.T) {
	received := make([][]byte, len(wire))
	var all sync.WaitGroup
	for i, x := range wire {
		conn := h.Dial()
		body := fmt.Sprintf(`{"model":"p:case-%d."}`, i)
		send := strings.NewReplacer("$BODY", body, "$LEN", fmt.Sprint(len(body)), "$HEX", fmt.Sprintf("%x", len(body))).Replace(x.send)
		all.Go(func() {
			go func() { _, _ = io.WriteString(conn, send) }()
			received[i], _ = io.ReadAll(conn) // a reset is an end too
		})
	}
	all.Wait()

	total := 0
	for i, x := range wire {
		t.Run(x.name, func(t *testing.T) {
			stream := bufio.NewReader(bytes.NewReader(received[i]))
			sent := 0
			for _, want := range x.want {
				resp, err := http.ReadResponse(stream, nil)
				if err != nil {
					t.Fatalf("%v in %.1000q", err, received[i])
				}
				b, err := io.ReadAll(resp.Body)
				a := gatewaytest.Response{Status: resp.StatusCode, Header: resp.Header, Body: string(b), Err: err}
				if want.status == 200 {
					sent++
					if a.Status != 200 || !strings.Contains(a.Body, h.p.ResponseText(fmt.Sprintf("case-%d.", i))) {
						t.Errorf("response %d %s", a.Status, a.Body)
					}
					continue
				}
				if want := errorBody(want.path, want.code, want.message); a.Body != want {
					t.Errorf("response %s\nwant     %s", a.Body, want)
				}
				if a.Status != want.status || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("X-Weir-Attempts") != "0" || !resp.Close {
					t.Errorf("response %d %v, closes: %v, want %d", a.Status, a.Header, resp.Close, want.status)
				}
			}
			if rest, _ := io.ReadAll(stream); len(rest) > 0 {
				t.Errorf("after the last response: %.1000q", rest)
			}
			total += sent
			h.wantArrived(t, fmt.Sprintf("case-%d.", i), sent, x.headers)
		})
	}
	if n := len(h.p.Requests()); n != total {
		t.Errorf("p received %d requests, want %d", n, total)
	}
	h.p.Reset()
	h.nothingSent(t)
}

// wantArrived checks what p received of an exchange.
func (h *hostile) wantArrived(t *testing.T, model string, n int, headers []string) {
	t.Helper()
	body := fmt.Sprintf(`{"model":%q}`, model)
	for _, r := range h.p.Requests() {
		if string(r.Body) != body {
			continue
		}
		n--
		got := slices.DeleteFunc(slices.Clone(r.RawHeader), func(s string) bool {
			return strings.HasPrefix(s, "x-request-id: ") || strings.HasPrefix(s, metadata.HopHeader+": weir-")
		})
		want := slices.Concat([]string{"host: " + h.p.Addr()}, headers, []string{fmt.Sprintf("content-length: %d", len(body)), "authorization: Bearer key-of-p"})
		if r.Method != "POST" || r.Path != "/v1/chat/completions" || !slices.Equal(got, want) || len(r.Trailer) > 0 {
			t.Errorf("p received %s %s %q %v\nwant %q", r.Method, r.Path, got, r.Trailer, want)
		}
	}
	if n != 0 {
		t.Errorf("p received %d requests too few", n)
	}
}

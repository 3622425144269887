package recorder_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/recorder"
)

const chat = `{"model":"m1","messages":[{"role":"user","content":"hi"}]}`

const streamed = `{"model":"m1","stream":true,"messages":[{"role":"user","content":"hi"}]}`

// client trusts the provider, asks for the server name and speaks HTTP/2 if
// asked to.
func client(t *testing.T, p *recorder.Provider, serverName string, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	if ca := p.CA(); ca != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: ca.Pool(), ServerName: serverName, NextProtos: []string{"http/1.1"}}
		if http2 {
			transport.TLSClientConfig.NextProtos = []string{"h2"}
		}
	} else if http2 {
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func post(t *testing.T, c *http.Client, url string, body io.Reader) (status int, answer string, err error) {
	t.Helper()
	response, err := c.Post(url, "application/json", body)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return response.StatusCode, string(raw), err
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRecordsHTTP1AsReceived(t *testing.T) {
	p := recorder.Start(t)
	c := dial(t, p.Addr())
	io.WriteString(c, "POST /providers/meta-llama%2FLlama-3.1/v1/chat/completions?a=%20b&c HTTP/1.1\r\n"+
		"hOsT: api.example.com:8443\r\nX-B: 2\r\nx-a: 1\r\nX-B:3\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n"+
		"5;ext=1\r\n{\"mod\r\nc\r\nel\":\"caf\xc3\xa9\"}\r\n0\r\nX-End: yes\r\n\r\n"+
		// The next request on the same connection, sent before the first answer.
		"POST /v1/embeddings HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}"+
		"GET /v1/models HTTP/1.1\r\nHost: c\r\n\r\n")
	requests := p.WaitRequests(t, 3)

	r := requests[0]
	if r.Method != "POST" || r.Path != "/providers/meta-llama%2FLlama-3.1/v1/chat/completions?a=%20b&c" || r.Proto != "HTTP/1.1" || r.Authority != "api.example.com:8443" {
		t.Errorf("got %s %s %s for %s", r.Method, r.Path, r.Proto, r.Authority)
	}
	raw := []string{"hOsT: api.example.com:8443", "X-B: 2", "x-a: 1", "X-B:3", "Transfer-Encoding: chunked", "Trailer: x-end"}
	if !slices.Equal(r.RawHeader, raw) {
		t.Errorf("raw header %q, want %q", r.RawHeader, raw)
	}
	if !slices.Equal(r.Header["X-B"], []string{"2", "3"}) || r.Header.Get("x-a") != "1" || r.Trailer.Get("x-end") != "yes" {
		t.Errorf("header %v, trailer %v", r.Header, r.Trailer)
	}
	if string(r.Body) != `{"model":"café"}` || r.BodyErr != nil || r.ContentLength != -1 || !slices.Equal(r.TransferEncoding, []string{"chunked"}) {
		t.Errorf("body %q (%v), length %d, %v", r.Body, r.BodyErr, r.ContentLength, r.TransferEncoding)
	}
	if r.TLS || r.SNI != "" || r.ConnID != 1 {
		t.Errorf("TLS %v, SNI %q, connection %d", r.TLS, r.SNI, r.ConnID)
	}
	if r := requests[1]; !slices.Equal(r.RawHeader, []string{"Host: b", "Content-Length: 2"}) || string(r.Body) != "{}" || r.ContentLength != 2 || r.ConnID != 1 {
		t.Errorf("second request: %q %q", r.RawHeader, r.Body)
	}
	if r := requests[2]; !slices.Equal(r.RawHeader, []string{"Host: c"}) || len(r.Body) != 0 {
		t.Errorf("third request: %q %q", r.RawHeader, r.Body)
	}
	if p.Conns() != 1 {
		t.Errorf("%d connections, want 1", p.Conns())
	}
}

func TestRecordsLargeBodies(t *testing.T) {
	body := make([]byte, 30<<20)
	rand.NewChaCha8([32]byte{}).Read(body)
	plain := recorder.Start(t, recorder.WithProtocols("http/1.1", "h2"))
	encrypted := recorder.Start(t, recorder.WithTLS())
	tests := []struct {
		name    string
		p       *recorder.Provider
		http2   bool
		reader  io.Reader
		length  int64
		proto   string
		rawHead bool
	}{
		{"content length", plain, false, bytes.NewReader(body), 30 << 20, "HTTP/1.1", true},
		{"chunked", plain, false, io.MultiReader(bytes.NewReader(body)), -1, "HTTP/1.1", true},
		{"HTTP/2 in clear", plain, true, bytes.NewReader(body), 30 << 20, "HTTP/2.0", false},
		{"TLS chunked", encrypted, false, io.MultiReader(bytes.NewReader(body)), -1, "HTTP/1.1", true},
		{"TLS HTTP/2", encrypted, true, bytes.NewReader(body), 30 << 20, "HTTP/2.0", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := post(t, client(t, test.p, "localhost", test.http2), test.p.URL()+"/anything", test.reader); err != nil {
				t.Fatal(err)
			}
			r := test.p.Last(t)
			if !bytes.Equal(r.Body, body) || r.BodyErr != nil || r.ContentLength != test.length || r.Proto != test.proto || (r.RawHeader != nil) != test.rawHead {
				t.Errorf("got %d bytes (%v), length %d, %s, %q", len(r.Body), r.BodyErr, r.ContentLength, r.Proto, r.RawHeader)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	ca := recorder.NewCA(t)
	tests := []struct {
		protocols []string
		http2     bool
		alpn      string
	}{
		{nil, true, "h2"},
		{nil, false, "http/1.1"},
		{[]string{"h2"}, true, "h2"},
		{[]string{"http/1.1"}, false, "http/1.1"},
	}
	for _, test := range tests {
		options := []recorder.Option{recorder.WithTLS("api.example.com"), recorder.WithCA(ca)}
		if test.protocols != nil {
			options = append(options, recorder.WithProtocols(test.protocols...))
		}
		p := recorder.Start(t, options...)
		status, answer, err := post(t, client(t, p, "api.example.com", test.http2), p.URL()+"/v1/chat/completions", strings.NewReader(chat))
		if err != nil || status != 200 || !strings.Contains(answer, p.ResponseText("m1")) {
			t.Errorf("%v: %d %s %v", test, status, answer, err)
			continue
		}
		if r := p.Last(t); !r.TLS || r.SNI != "api.example.com" || r.ALPN != test.alpn || r.Authority != p.Addr() || string(r.Body) != chat {
			t.Errorf("%v: TLS %v, SNI %q, ALPN %q, authority %q, body %q", test, r.TLS, r.SNI, r.ALPN, r.Authority, r.Body)
		}
	}
}

func TestTLSRefusals(t *testing.T) {
	p := recorder.Start(t, recorder.WithTLS("api.example.com"))
	if _, _, err := post(t, client(t, p, "other.example.com", true), p.URL()+"/x", nil); err == nil {
		t.Error("a certificate for another name was accepted")
	}
	other := recorder.NewCA(t)
	c := client(t, p, "api.example.com", false)
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = other.Pool()
	if _, _, err := post(t, c, p.URL()+"/x", nil); err == nil {
		t.Error("a certificate by another CA was accepted")
	}

	clients := recorder.NewCA(t)
	p = recorder.Start(t, recorder.WithTLS(), recorder.WithClientCA(clients))
	c = client(t, p, "localhost", false)
	if _, _, err := post(t, c, p.URL()+"/x", nil); err == nil {
		t.Error("a client without a certificate was accepted")
	}
	if p.Conns() == 0 || len(p.Requests()) != 0 {
		t.Errorf("%d connections and %d requests, want some and none", p.Conns(), len(p.Requests()))
	}
	pair, err := tls.LoadX509KeyPair(clients.IssueFiles(t, "weir"))
	if err != nil {
		t.Fatal(err)
	}
	c.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{pair}
	if _, _, err := post(t, c, p.URL()+"/x", nil); err != nil {
		t.Error(err)
	}
}

func TestDefaultAnswers(t *testing.T) {
	p := recorder.Start(t, recorder.WithName("alpha"))
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	w.WriteField("model", "whisper")
	file, _ := w.CreateFormFile("file", "a.wav")
	file.Write([]byte("RIFF\x00\xff"))
	w.Close()

	tests := []struct {
		method, path, contentType, body string
		status                          int
		want                            string
	}{
		{"POST", "/v1/chat/completions", "", chat, 200, `"content":"alpha answers as m1"`},
		{"POST", "/openai/deployments/D/chat/completions?api-version=1", "", `{}`, 200, `"content":"alpha answers as "`},
		{"POST", "/v1/chat/completions", "", streamed, 200, `"content":" answers"`},
		{"POST", "/v1/completions", "", `{"model":"m2","prompt":"x","max_tokens":1}`, 200, `"text":"alpha answers as m2"`},
		{"POST", "/v1/responses", "", `{"model":"m3"}`, 200, `"text":"alpha answers as m3"`},
		{"POST", "/v1/embeddings", "", `{"model":"m4","input":"x"}`, 200, `"model":"m4"`},
		{"POST", "/v1/messages", "", `{"model":"m5","max_tokens":1,"stream":true}`, 200, `"text":" m5"`},
		{"POST", "/v1/messages/count_tokens", "", `{"messages":[{"role":"user","content":"a b"}]}`, 200, `{"input_tokens":2}`},
		{"POST", "/v1/audio/transcriptions", w.FormDataContentType(), form.String(), 200, `{"text":"alpha answers as whisper"}`},
		{"POST", "/v1/audio/transcriptions", "text/plain", "x", 400, `isn't multipart`},
		{"GET", "/v1/models", "", "", 200, `"id":"alpha"`},
		{"POST", "/v1/files?x", "", "{}", 404, `"message":"alpha does not know POST /v1/files?x"`},
		{"GET", "/v1/messages", "", "", 404, `{"error":{"message":"alpha does not know GET /v1/messages","type":"not_found_error"},"type":"error"}`},
		{"POST", "/v1/messages", "", "nonsense", 400, `"type":"invalid_request_error"`},
	}
	for _, test := range tests {
		r, err := http.NewRequest(test.method, p.URL()+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", test.contentType)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, err)
			continue
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != test.status || !strings.Contains(string(answer), test.want) || err != nil {
			t.Errorf("%s %s %s\n got %d %s (%v)\nwant %d %s", test.method, test.path, test.body, response.StatusCode, answer, err, test.status, test.want)
		}
		if last := p.Last(t); string(last.Body) != test.body {
			t.Errorf("%s %s: recorded %q, want %q", test.method, test.path, last.Body, test.body)
		}
	}
}

func TestScriptThenRespondThenDefault(t *testing.T) {
	p := recorder.Start(t)
	p.Script(recorder.Status(429, http.Header{"retry-after": {"7"}}, "later"), recorder.Error(529))
	p.Respond(func(w http.ResponseWriter, r *http.Request, body []byte) {
		again, _ := io.ReadAll(r.Body)
		io.WriteString(w, string(body)+" "+string(again))
	})
	ask := func() (int, string) {
		t.Helper()
		status, answer, err := post(t, http.DefaultClient, p.URL()+"/v1/messages", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		return status, answer
	}
	for _, want := range []struct {
		status int
		answer string
	}{
		{429, "later"},
		{529, `{"error":{"message":"provider refuses with 529","type":"overloaded_error"},"type":"error"}`},
		{200, "{} {}"},
		{200, "{} {}"},
	} {
		if status, answer := ask(); status != want.status || answer != want.answer {
			t.Errorf("got %d %s, want %d %s", status, answer, want.status, want.answer)
		}
	}
	if n := len(p.Requests()); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
	p.Reset()
	if len(p.Requests()) != 0 {
		t.Error("requests after Reset")
	}
	if _, answer := ask(); !strings.Contains(answer, "provider answers as") {
		t.Errorf("got %s, want the default answer", answer)
	}
}

// lines reads the events of a stream and why it ended, nil for a proper end.
func lines(r io.Reader) (events []string, err error) {
	scanner := bufio.NewReader(r)
	event := ""
	for {
		line, err := scanner.ReadString('\n')
		event += line
		switch {
		case err == io.EOF:
			return events, nil
		case err != nil:
			return events, err
		case line == "\n":
			events = append(events, event)
			event = ""
		}
	}
}

func TestFaults(t *testing.T) {
	reset := func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
	eof := func(err error) bool { return errors.Is(err, io.EOF) }
	short := func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
	some := func(err error) bool { return err != nil }
	tests := []struct {
		name    string
		answer  recorder.Response
		path    string
		headers bool // are there any
		events  int
		plain   func(error) bool // what HTTP/1.1 in clear sees
	}{
		{"reset before headers", recorder.ResetBeforeHeaders, "/v1/chat/completions", false, 0, reset},
		{"close before headers", recorder.CloseBeforeHeaders, "/v1/chat/completions", false, 0, eof},
		{"cut after headers", recorder.CutMidStream(0), "/v1/chat/completions", true, 0, reset},
		{"cut mid stream", recorder.CutMidStream(2), "/v1/chat/completions", true, 2, reset},
		{"cut mid stream of messages", recorder.CutMidStream(3), "/v1/messages", true, 3, reset},
		{"cut where there is no stream", recorder.CutMidStream(1), "/v1/embeddings", true, 1, reset},
		{"cut mid body", recorder.CutMidBody(10), "/v1/chat/completions", true, 0, short},
	}
	variants := []struct {
		name    string
		options []recorder.Option
		http2   bool
	}{
		{"plain", nil, false},
		{"TLS", []recorder.Option{recorder.WithTLS()}, false},
		{"TLS HTTP/2", []recorder.Option{recorder.WithTLS()}, true},
	}
	for _, variant := range variants {
		p := recorder.Start(t, variant.options...)
		for _, test := range tests {
			t.Run(variant.name+" "+test.name, func(t *testing.T) {
				p.Reset()
				// More than one: Go's client may try again.
				p.Script(slices.Repeat([]recorder.Response{test.answer}, 9)...)
				want := test.plain
				if variant.name != "plain" {
					want = some
				}
				response, err := client(t, p, "localhost", variant.http2).Post(p.URL()+test.path, "application/json", strings.NewReader(chat))
				if r := p.Last(t); string(r.Body) != chat {
					t.Errorf("recorded %q", r.Body)
				}
				if !test.headers {
					if err == nil || !want(err) {
						t.Errorf("got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatalf("no headers: %v", err)
				}
				defer response.Body.Close()
				events, err := lines(response.Body)
				if response.StatusCode != 200 || len(events) != test.events || !want(err) {
					t.Errorf("got %d, %d events and %v, want %d events", response.StatusCode, len(events), err, test.events)
				}
				select {
				case <-p.Last(t).Closed:
					t.Error("the provider's own cut counts as the peer's")
				default:
				}
			})
		}
	}
}

func TestSilence(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer recorder.Response
		events int
	}{
		{"silence", recorder.Silence, -1},
		{"headers then silence", recorder.StallMidStream(0), 0},
		{"stall mid stream", recorder.StallMidStream(2), 2},
	} {
		for _, http2 := range []bool{false, true} {
			p := recorder.Start(t, recorder.WithTLS())
			p.Script(test.answer)
			c := client(t, p, "localhost", http2)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, err := http.NewRequestWithContext(ctx, "POST", p.URL()+"/v1/chat/completions", strings.NewReader(streamed))
			if err != nil {
				t.Fatal(err)
			}
			if test.events < 0 {
				go func() {
					p.WaitRequests(t, 1)
					leave()
				}()
				if response, err := c.Do(r); err == nil {
					response.Body.Close()
					t.Errorf("%s: an answer", test.name)
				}
			} else {
				response, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				reader := bufio.NewReader(response.Body)
				for range 2 * test.events {
					if _, err := reader.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
				leave()
			}
			<-p.Last(t).Closed
			<-p.Last(t).Done
		}
	}
}

func TestGated(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		p := recorder.Start(t, recorder.WithTLS())
		gate := make(chan struct{})
		p.Script(recorder.Gated(gate), recorder.Gated(gate))
		c := client(t, p, "localhost", http2)
		ask := func() *http.Response {
			response, err := c.Post(p.URL()+"/v1/chat/completions", "application/json", strings.NewReader(streamed))
			if err != nil {
				t.Fatal(err)
			}
			return response
		}

		// The first event comes while the provider holds the second.
		response := ask()
		gate <- struct{}{}
		first := make([]byte, 6)
		if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "data: " {
			t.Errorf("got %q %v", first, err)
		}
		response.Body.Close()
		r := p.Last(t)
		<-r.Closed
		<-r.Done

		// An open gate lets everything pass.
		response = ask()
		close(gate)
		events, err := lines(response.Body)
		response.Body.Close()
		if err != nil || len(events) != 7 || events[6] != "data: [DONE]\n\n" {
			t.Errorf("got %q %v", events, err)
		}
		r = p.Last(t)
		<-r.Done
		select {
		case <-r.Closed:
			t.Error("a finished answer counts as left")
		default:
		}
	}
}

func TestStreams(t *testing.T) {
	p := recorder.Start(t)
	tests := []struct {
		name, path string
		answer     recorder.Response
		events     int
		size       int
	}{
		{"slow", "/v1/chat/completions", recorder.SlowEvents(3, time.Millisecond), 1 + 3 + 2, 3 * len(" word")},
		{"big", "/v1/chat/completions", recorder.BigStream(500, 20_000), 1 + 500 + 2, 500 * 20_000},
		{"big messages", "/v1/messages", recorder.BigStream(500, 100), 2 + 500 + 3, 500 * 100},
	}
	for _, test := range tests {
		p.Script(test.answer)
		_, answer, err := post(t, http.DefaultClient, p.URL()+test.path, strings.NewReader(`{"model":"m","max_tokens":1}`))
		events, _ := lines(strings.NewReader(answer))
		size := 0
		for _, event := range events {
			_, data, _ := strings.Cut(event, "data: ")
			var v struct {
				Choices []struct{ Delta struct{ Content string } }
				Delta   struct{ Text string }
			}
			_ = json.Unmarshal([]byte(data), &v) // [DONE] is none
			size += len(v.Delta.Text)
			for _, choice := range v.Choices {
				size += len(choice.Delta.Content)
			}
		}
		if err != nil || len(events) != test.events || size != test.size {
			t.Errorf("%s: %d events with %d bytes (%v), want %d with %d", test.name, len(events), size, err, test.events, test.size)
		}
	}
	p.Script(recorder.Events("data: {\"err", "or\":1}\n\n", ": comment\n\n"))
	if _, answer, err := post(t, http.DefaultClient, p.URL()+"/x", nil); err != nil || answer != "data: {\"error\":1}\n\n: comment\n\n" {
		t.Errorf("got %q %v", answer, err)
	}
}

func TestBodyCutByThePeer(t *testing.T) {
	p := recorder.Start(t)
	c := dial(t, p.Addr())
	io.WriteString(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"mo")
	c.Close()
	if r := p.WaitRequests(t, 1)[0]; string(r.Body) != `{"mo` || r.BodyErr == nil {
		t.Errorf("got %q %v", r.Body, r.BodyErr)
	}
}

func TestConnections(t *testing.T) {
	p := recorder.Start(t)
	c := client(t, p, "", false)
	for range 2 {
		if _, _, err := post(t, c, p.URL()+"/v1/responses", strings.NewReader(streamed)); err != nil {
			t.Fatal(err)
		}
	}
	c.CloseIdleConnections()
	if _, _, err := post(t, c, p.URL()+"/v1/responses", strings.NewReader(chat)); err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, r := range p.WaitRequests(t, 3) {
		ids = append(ids, r.ConnID)
	}
	if !slices.Equal(ids, []int{1, 1, 2}) || p.Conns() != 2 {
		t.Errorf("connections %v of %d, want 1 1 2 of 2", ids, p.Conns())
	}
}

func TestClosedAddr(t *testing.T) {
	addr := recorder.ClosedAddr(t)
	for range 3 {
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if l, err := net.Listen("tcp", addr); err == nil {
		l.Close()
		t.Errorf("%s was free for another", addr)
	}
}

func TestStartRaw(t *testing.T) {
	addr := recorder.StartRaw(t, func(c net.Conn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, "got "+line)
		io.Copy(io.Discard, c) // until the test ends
	})
	c := dial(t, addr)
	io.WriteString(c, "hello\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "got hello\n" {
		t.Errorf("got %q %v", line, err)
	}
}

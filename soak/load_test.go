package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/gatewaytest"
)

// load is the clients of one gateway.
type load struct {
	url, address string
	// wrong is told of an outcome that must not be.
	wrong func(format string, args ...any)
	// epoch is odd while Weir or Envoy is being killed. A request that met such
	// a time may fail; it must still not get a wrong response.
	epoch  atomic.Int64
	counts counts
}

// counts are how many requests each kind of client sent.
type counts struct {
	mu    sync.Mutex
	kinds map[string]int
}

func (c *counts) add(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kinds == nil {
		c.kinds = map[string]int{}
	}
	c.kinds[kind]++
}

func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.kinds)
}

// client is one worker with connections of its own.
type client struct {
	*load
	key   string
	http  *http.Client
	http2 bool
}

const (
	wideKey   = "soak-wide-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	narrowKey = "soak-narrow-00112233445566778899aabbccddeeff"
	// maxBody is the gateway's max_body_bytes.
	maxBody = 8 << 20
)

func (l *load) client(key string, http2 bool) *client {
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	return &client{load: l, key: key, http2: http2, http: &http.Client{Transport: transport, Timeout: gatewaytest.Patience}}
}

// workers are the kinds of clients, each repeated until ctx ends.
func (l *load) workers() []func(context.Context) {
	repeat := func(kind string, c *client, do func(context.Context, *client)) func(context.Context) {
		return func(ctx context.Context) {
			defer c.http.CloseIdleConnections()
			for ctx.Err() == nil {
				do(ctx, c)
				l.counts.add(kind)
			}
		}
	}
	var out []func(context.Context)
	for _, http2 := range []bool{false, true} {
		out = append(out,
			repeat("chat", l.client(narrowKey, http2), func(ctx context.Context, c *client) {
				c.chat(ctx, prompt(1<<10), task{}, "steady")
			}),
			repeat("failover", l.client(wideKey, http2), func(ctx context.Context, c *client) {
				c.chat(ctx, prompt(1<<10), task{}, "flaky", "secure", "steady")
			}),
			repeat("stream", l.client(wideKey, http2), func(ctx context.Context, c *client) {
				c.stream(ctx, prompt(1<<10), task{Events: 20, Pause: 5 * time.Millisecond, Answer: 20 << 10}, "flaky", "steady")
			}),
			repeat("large", l.client(wideKey, http2), func(ctx context.Context, c *client) {
				c.chat(ctx, prompt(rand.IntN(maxBody/2)), task{Answer: rand.IntN(1 << 20)}, "flaky", "secure")
				pause(ctx, 100*time.Millisecond)
			}),
			repeat("cut", l.client(wideKey, http2), func(ctx context.Context, c *client) {
				c.cut(ctx, "secure")
				pause(ctx, 50*time.Millisecond)
			}),
			repeat("leave", l.client(wideKey, http2), func(ctx context.Context, c *client) {
				c.leave(ctx, "steady")
			}),
			repeat("refused", l.client(narrowKey, http2), func(ctx context.Context, c *client) {
				c.refused(ctx)
				pause(ctx, 20*time.Millisecond)
			}),
		)
	}
	for _, kind := range []struct {
		name string
		do   func(context.Context, *client)
	}{{"slow reader", slowReader}, {"slow upload", slowUpload}, {"rubbish", rubbish}, {"silent", silent}} {
		out = append(out, repeat(kind.name, l.client(wideKey, false), kind.do), repeat(kind.name, l.client(wideKey, false), kind.do))
	}
	return out
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// prompt is text of about that many bytes, never the same twice.
func prompt(size int) string {
	word := fmt.Sprintf("%016x ", rand.Uint64())
	return strings.Repeat(word, 1+size/len(word))
}

func body(text string, stream bool, todo task, providers []string) []byte {
	user, _ := json.Marshal(todo) // plain numbers always marshal
	var models []string
	for _, p := range providers {
		models = append(models, p+":m")
	}
	out, _ := json.Marshal(map[string]any{
		"models": models, "stream": stream, "user": string(user),
		"messages": []any{map[string]any{"role": "user", "content": text}},
	})
	return out
}

// send sends a body and returns the response's status and body. disturbed
// reports whether the gateway was being killed meanwhile.
func (c *client) send(ctx context.Context, path, key string, body []byte) (status int, got string, err error, disturbed bool) {
	before := c.epoch.Load()
	// Not ctx: a round ends when its requests have their responses.
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err, false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := c.http.Do(req)
	if err == nil {
		var b []byte
		status = resp.StatusCode
		b, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		got = string(b)
	}
	disturbed = before%2 == 1 || c.epoch.Load() != before
	if err != nil || disturbed {
		c.http.CloseIdleConnections()
	}
	return status, got, err, disturbed
}

// judge reports an outcome that must not be. A request that met a kill may have
// got an error in place of its response, also one of status 200: without Weir,
// nobody looks at responses before they pass. Nor does anybody for clients that
// speak HTTP/2.
func (c *client) judge(kind string, right bool, status int, got string, err error, disturbed bool) {
	if right || disturbed && (err != nil || status >= 500) || got == errorAnswer && (disturbed || c.http2) {
		return
	}
	c.wrong("%s: status %d, error %v, body %.300q (of %d bytes)", kind, status, err, got, len(got))
}

func anyAnswer(got string, providers []string, text string) bool {
	return slices.ContainsFunc(providers, func(p string) bool { return got == answerOf(p, "m", text) })
}

func (c *client) chat(ctx context.Context, text string, todo task, providers ...string) {
	status, got, err, disturbed := c.send(ctx, "/v1/chat/completions", c.key, body(text, false, todo, providers))
	var answer struct {
		Choices []struct{ Message struct{ Content string } }
	}
	right := err == nil && status == 200 && json.Unmarshal([]byte(got), &answer) == nil &&
		len(answer.Choices) == 1 && anyAnswer(answer.Choices[0].Message.Content, providers, text)
	c.judge("chat "+providers[0], right, status, got, err, disturbed)
}

// read returns the text of a stream and whether it came to its end.
func read(stream string) (text string, whole bool) {
	for line := range strings.Lines(stream) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		var event struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		switch {
		case !ok:
		case data == "[DONE]":
			return strings.TrimSpace(text), true
		case json.Unmarshal([]byte(data), &event) == nil && len(event.Choices) == 1:
			text += event.Choices[0].Delta.Content
		}
	}
	return text, false
}

func (c *client) stream(ctx context.Context, text string, todo task, providers ...string) {
	status, got, err, disturbed := c.send(ctx, "/v1/chat/completions", c.key, body(text, true, todo, providers))
	answer, whole := read(got)
	right := err == nil && status == 200 && whole && anyAnswer(answer, providers, text)
	if disturbed && !whole {
		return // it was cut with the gateway
	}
	c.judge("stream "+providers[0], right, status, got, err, disturbed)
}

// cut asks for a stream that its provider breaks: the client must learn of it.
func (c *client) cut(ctx context.Context, provider string) {
	status, got, err, disturbed := c.send(ctx, "/v1/chat/completions", c.key, body(prompt(100), true, task{Events: 10, Cut: 5}, []string{provider}))
	_, whole := read(got)
	c.judge("cut", status == 200 && !whole && err != nil, status, got, err, disturbed)
}

// leave goes away in the middle of a stream.
func (c *client) leave(ctx context.Context, provider string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(1+rand.IntN(60))*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/chat/completions",
		bytes.NewReader(body(prompt(1<<10), true, task{Events: 50, Pause: 2 * time.Millisecond}, []string{provider})))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.key)
	if resp, err := c.http.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// refused sends what must be refused, and how.
func (c *client) refused(ctx context.Context) {
	text := prompt(100)
	for _, r := range []struct {
		name, path, key string
		body            []byte
		status          int
		code            string
	}{
		{"unknown key", "/v1/chat/completions", "soak-nobody", body(text, false, task{}, []string{"steady"}), 401, "invalid_api_key"},
		{"provider out of scope", "/v1/chat/completions", narrowKey, body(text, false, task{}, []string{"secure"}), 403, "_not_allowed"},
		{"no JSON", "/v1/chat/completions", wideKey, []byte("{"), 400, "invalid_body"},
		{"two models", "/v1/chat/completions", wideKey, []byte(`{"model":"steady:m","model":"secure:m"}`), 400, "duplicate_key"},
		{"unknown path", "/v1/no/such/thing", wideKey, []byte("{}"), 404, "unknown_path"},
		{"unknown model", "/v1/chat/completions", wideKey, body(text, false, task{}, []string{"nobody"}), 404, "model_not_found"},
	} {
		status, got, err, disturbed := c.send(ctx, r.path, r.key, r.body)
		c.judge(r.name, err == nil && status == r.status && strings.Contains(got, r.code), status, got, err, disturbed)
	}
}

// dial opens a raw connection with a small receive buffer.
func (c *client) dial(ctx context.Context) net.Conn {
	conn, err := net.Dial("tcp", c.address)
	if err != nil { // Envoy is away
		pause(ctx, 50*time.Millisecond)
		return nil
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	_ = conn.SetDeadline(time.Now().Add(gatewaytest.Patience))
	return conn
}

// head returns the headers of a request after which the connection ends.
func (c *client) head(length int) string {
	return fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: soak\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", c.key, length)
}

// slowReader asks for a large response, reads a little of it and leaves. While Weir is
// being killed the response may be a short error, after which the connection ends.
func slowReader(ctx context.Context, c *client) {
	conn := c.dial(ctx)
	if conn == nil {
		return
	}
	defer conn.Close()
	b := body(prompt(100), false, task{Answer: 8 << 20}, []string{"steady"})
	_, _ = io.WriteString(conn, c.head(len(b)))
	_, _ = conn.Write(b)
	for range 20 {
		if _, err := io.CopyN(io.Discard, conn, 2<<10); err != nil {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// slowUpload sends a part of a body and leaves.
func slowUpload(ctx context.Context, c *client) {
	conn := c.dial(ctx)
	if conn == nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, c.head(maxBody))
	for range 20 {
		if _, err := conn.Write(make([]byte, 100<<10)); err != nil {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// rubbish sends bytes that are no request.
func rubbish(ctx context.Context, c *client) {
	for _, text := range []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x04\x09\x00",
		"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 100<<10) + "\r\n\r\n",
	} {
		if conn := c.dial(ctx); conn != nil {
			_, _ = io.WriteString(conn, text)
			_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}
}

// silent opens connections and sends nothing.
func silent(ctx context.Context, c *client) {
	var all []net.Conn
	for range 50 {
		if conn := c.dial(ctx); conn != nil {
			all = append(all, conn)
		}
	}
	pause(ctx, time.Second)
	for _, conn := range all {
		_ = conn.Close()
	}
}

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// sizes are those around the limit on bodies.
func (h *hostile) sizes(t *testing.T) {
	tooLarge := fmt.Sprintf("the request body is larger than %d bytes", maxBody)
	body := func(n int) string {
		const head, tail = `{"model":"p:m","x":"`, `"}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}
	for _, size := range []int{maxBody, maxBody + 1, maxBody + 2<<20, 8 * maxBody} {
		for _, chunked := range []bool{false, true} {
			for name, client := range map[string]*http.Client{"HTTP/1.1": http1(t), "HTTP/2": http2(t)} {
				for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
					t.Run(fmt.Sprintf("%d over, chunked %v, %s %s", size-maxBody, chunked, name, path), func(t *testing.T) {
						a := post(t, client, h.URL+path, []byte(body(size)), !chunked)
						if size > maxBody {
							wantRefusal(t, a, path, "request_too_large", tooLarge)
							h.nothingSent(t)
							return
						}
						r := h.wantSent(t, a, path, strings.Replace(body(size), "p:m", "m", 1))
						if r.ContentLength != maxBody-2 || r.TransferEncoding != nil {
							t.Errorf("p received length %d, %v", r.ContentLength, r.TransferEncoding)
						}
					})
				}
			}
		}
	}
	t.Run("never ends", func(t *testing.T) {
		for _, head := range []string{"Transfer-Encoding: chunked", "Content-Length: 1000000000000"} {
			conn := h.Dial()
			sent := make(chan int)
			go func() {
				n, _ := fmt.Fprintf(conn, "POST /v1/messages HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", head)
				chunk := []byte("10000\r\n" + strings.Repeat("[", 0x10000) + "\r\n")
				for err := error(nil); err == nil; {
					var m int
					m, err = conn.Write(chunk)
					n += m
				}
				sent <- n
			}()
			wantRefusal(t, answers(t, conn, 1)[0], "/v1/messages", "request_too_large", tooLarge)
			_ = conn.Close()
			// What Envoy took off the socket before it answered, and buffers.
			if n := <-sent; n > 64<<20 {
				t.Errorf("%s: %d bytes were read", head, n)
			}
		}
		h.nothingSent(t)
	})
}

// answers reads n answers from a connection.
func answers(t *testing.T, conn net.Conn, n int) []gatewaytest.Response {
	t.Helper()
	r := bufio.NewReader(conn)
	var out []gatewaytest.Response
	for range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("response %d of %d: %v", len(out)+1, n, err)
		}
		b, err := io.ReadAll(resp.Body)
		out = append(out, gatewaytest.Response{Status: resp.StatusCode, Header: resp.Header, Body: string(b), Err: err})
	}
	return out
}

// idle waits until Envoy has no request left.
func (h *hostile) idle(t *testing.T) {
	t.Helper()
	gatewaytest.Eventually(t, "Envoy to have no request", func() bool {
		n, err := h.EnvoyAdmin.ActiveRequests(context.Background())
		return err == nil && n == 0
	})
}

// slowHead begins a request whose body has 15 bytes.
const slowHead = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 15\r\n"

// slowHeaders opens connections that begin a request and send no more, by what they
// send. Envoy waits 10 s for the headers; meanwhile other tests run.
func (h *hostile) slowHeaders() map[string]net.Conn {
	slow := map[string]net.Conn{"": h.Dial(), "P": h.Dial(), "POST ": h.Dial(), slowHead + "X-A: ": h.Dial()}
	for sent, conn := range slow {
		_, _ = io.WriteString(conn, sent)
	}
	return slow
}

// patience is for clients that are slow, or go away.
func (h *hostile) patience(t *testing.T, slow map[string]net.Conn) {
	const head = slowHead
	t.Run("byte by byte", func(t *testing.T) {
		conn := h.Dial()
		for _, b := range []byte(head + "\r\n" + `{"model":"p:m"}`) {
			_, _ = conn.Write([]byte{b})
		}
		h.wantSent(t, answers(t, conn, 1)[0], "/v1/chat/completions", `{"model":"m"}`)
	})
	t.Run("100-continue", func(t *testing.T) {
		conn := h.Dial()
		_, _ = io.WriteString(conn, head+"Expect: 100-continue\r\n\r\n")
		r := bufio.NewReader(conn)
		if line, err := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q %v", line, err)
		}
		_, _ = r.ReadString('\n')
		_, _ = io.WriteString(conn, `{"model":"p:m"}`)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		a := gatewaytest.Response{Status: resp.StatusCode, Header: resp.Header, Body: string(b), Err: err}
		if r := h.wantSent(t, a, "/v1/chat/completions", `{"model":"m"}`); r.Header.Get("Expect") != "" {
			t.Error("p received Expect")
		}
	})
	t.Run("leaves inside the body", func(t *testing.T) {
		for range 50 {
			conn := h.Dial()
			_, _ = io.WriteString(conn, head+"\r\n"+`{"model":`)
			_ = conn.Close()
		}
		h.idle(t)
		h.nothingSent(t)
	})
	t.Run("leaves while the provider thinks", func(t *testing.T) {
		h.p.Script(recorder.Silence)
		conn := h.Dial()
		_, _ = io.WriteString(conn, head+"\r\n"+`{"model":"p:m"}`)
		r := h.p.WaitRequests(t, 1)[0]
		_ = conn.Close()
		<-r.Closed // the provider is not left to think on
		h.idle(t)
		h.p.Reset()
	})
	t.Run("slow bodies hold up nobody", func(t *testing.T) {
		var conns []net.Conn
		for range 50 {
			conn := h.Dial()
			_, _ = io.WriteString(conn, head+"\r\n"+`{"model":"p:n`)
			conns = append(conns, conn)
		}
		gatewaytest.Eventually(t, "50 requests under way", func() bool {
			n, err := h.EnvoyAdmin.ActiveRequests(context.Background())
			return err == nil && n >= 50
		})
		h.wantSent(t, h.Post("/v1/chat/completions", `{"model":"p:m"}`), "/v1/chat/completions", `{"model":"m"}`)
		for _, conn := range conns {
			_ = conn.Close()
		}
		h.nothingSent(t)
	})
	t.Run("slow headers", func(t *testing.T) {
		for sent, conn := range slow {
			_ = conn.SetDeadline(time.Now().Add(gatewaytest.Patience))
			if len(sent) < len("POST ") {
				// Too little to tell HTTP from anything else.
				if b, err := io.ReadAll(conn); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%q: response %q, %v", sent, b, err)
				}
				continue
			}
			a := answers(t, conn, 1)[0]
			if want := errorBody("", "timeout", "the request did not arrive in time"); a.Status != 408 || a.Body != want {
				t.Errorf("%q: response %d %s\nwant   408 %s", sent, a.Status, a.Body, want)
			}
		}
		h.nothingSent(t)
	})
}

package faults

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// longest bounds a row: none should come near it.
const longest = 30 * time.Second

// client sends one request and reads its response as it comes.
type client struct {
	ctx    context.Context
	cancel context.CancelFunc
	close  func() // the connection

	mu      sync.Mutex
	got     int                // bytes of the body
	atLeave int                // got when the client left
	more    chan struct{}      // closed and replaced with each read
	left    chan time.Duration // how long the provider's connection outlived the client's
}

func newClient(ctx context.Context) *client {
	c := &client{more: make(chan struct{}), left: make(chan time.Duration, 1)}
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// received is what the client got. The response may have broken off: there is
// an error then.
type received struct {
	status int // 0 if there was no response
	header http.Header
	body   []byte
	err    error
	took   time.Duration
	// trailer is what followed the body.
	trailer http.Header
}

func (c *client) post(url, body string, http2 bool) received {
	// A client that closes its connection with the last byte may be faster than
	// the gateway's last look at the provider: it would seem to have left.
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	c.close = transport.CloseIdleConnections
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	time.AfterFunc(longest, c.cancel)
	req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return received{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	start := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return received{err: err, took: time.Since(start)}
	}
	defer resp.Body.Close()
	out := received{status: resp.StatusCode, header: resp.Header}
	buffer := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buffer)
		out.body = append(out.body, buffer[:n]...)
		c.mu.Lock()
		c.got += n
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			if err != io.EOF {
				out.err = err
			}
			out.took, out.trailer = time.Since(start), resp.Trailer
			return out
		}
	}
}

// waitFor waits until the client has n bytes of the body.
func (c *client) waitFor(n int, gone <-chan struct{}) {
	for {
		c.mu.Lock()
		got, more := c.got, c.more
		c.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-more:
		case <-gone:
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// leave closes the client's connection. gone is closed with the connection of
// the provider that is being asked. What the provider sends from here on may
// still reach the client, or not.
func (c *client) leave(gone <-chan struct{}) {
	c.mu.Lock()
	c.atLeave = c.got
	c.mu.Unlock()
	at := time.Now()
	c.cancel()
	go func() {
		<-gone
		c.left <- time.Since(at)
	}()
}

// hadAtLeave returns how many bytes of the body the client had when it left.
func (c *client) hadAtLeave() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.atLeave
}

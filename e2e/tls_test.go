package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// pair is a certificate with its key, as the files of a listener.
type pair struct {
	cert, key string
	x509      *x509.Certificate
}

func newPair(t *testing.T, ca *recorder.CA) pair {
	t.Helper()
	issued := ca.Issue(t, "gateway.internal", "127.0.0.1")
	key, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), issued.Leaf,
	}
}

// secret is a line of the key, which must not show anywhere.
func (p pair) secret() string { return strings.Split(p.key, "\n")[1] }

// tlsGateway is a gateway whose listener speaks TLS.
type tlsGateway struct {
	*gatewaytest.Gateway
	ca  *recorder.CA
	dir string
}

func (g tlsGateway) file(name string) string { return filepath.Join(g.dir, name) }

// client has connections of its own, and speaks one protocol.
func (g tlsGateway) client(config *tls.Config, http2 bool) *http.Client {
	return g.speaking(config, !http2, http2)
}

func (g tlsGateway) speaking(config *tls.Config, http1, http2 bool) *http.Client {
	config.RootCAs, config.ServerName = g.ca.Pool(), "gateway.internal"
	transport := &http.Transport{TLSClientConfig: config, Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetHTTP1(http1)
	transport.Protocols.SetHTTP2(http2)
	return &http.Client{Transport: transport, Timeout: gatewaytest.Patience}
}

// ask posts a request and returns what was answered over which connection.
func (g tlsGateway) ask(client *http.Client) (*http.Response, string, error) {
	resp, err := client.Post(g.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"p:m"}`))
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// TestTLS: clients by TLS, and a certificate that is rotated under load.
func TestTLS(t *testing.T) {
	p := recorder.Start(t, recorder.WithName("p"))
	ca := recorder.NewCA(t)
	dir := t.TempDir()
	first, second := newPair(t, ca), newPair(t, ca)
	write(t, filepath.Join(dir, "tls.crt"), first.cert)
	write(t, filepath.Join(dir, "tls.key"), first.key)
	write(t, filepath.Join(dir, "ca.crt"), string(ca.PEM()))
	config := func(more string) string {
		return fmt.Sprintf("tls: {cert_file: %s/tls.crt, key_file: %s/tls.key%s}\nproviders: [{id: p, base_url: %q, models: [{id: m}], api_keys: [{value: key-of-p}]}]\n", dir, dir, more, p.URL())
	}
	g := tlsGateway{gatewaytest.Start(t, config(""), gatewaytest.Secrets("key-of-p", first.secret(), second.secret())), ca, dir}
	plain := g.URL
	g.URL = strings.Replace(g.URL, "http:", "https:", 1)

	t.Run("protocols", func(t *testing.T) {
		for _, test := range []struct {
			http1, http2 bool
			proto        string
		}{{false, true, "HTTP/2.0"}, {true, false, "HTTP/1.1"}, {true, true, "HTTP/1.1"}} {
			resp, body, err := g.ask(g.speaking(&tls.Config{}, test.http1, test.http2))
			if err != nil || resp.StatusCode != 200 || resp.Proto != test.proto || resp.TLS.Version != tls.VersionTLS13 {
				t.Errorf("%s: %v %v %s", test.proto, resp, err, body)
			}
		}
		if resp, _, err := g.ask(g.client(&tls.Config{MaxVersion: tls.VersionTLS12}, true)); err != nil || resp.StatusCode != 200 {
			t.Errorf("TLS 1.2: %v", err)
		}
		if _, _, err := g.ask(g.client(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, true)); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("TLS 1.1: %v", err)
		}
		if resp, err := http.Get(plain + "/v1/models"); err == nil {
			t.Errorf("plain HTTP: response %d", resp.StatusCode)
			_ = resp.Body.Close()
		}
		if line := metric(t, g.Gateway, `weir_certificate_expiry_timestamp_seconds{file="`+dir+`/tls.crt"}`); line != strconv.FormatFloat(float64(first.x509.NotAfter.Unix()), 'g', -1, 64) {
			t.Errorf("metric %s, want %d", line, first.x509.NotAfter.Unix())
		}
	})

	t.Run("rotation", func(t *testing.T) {
		kept := g.client(&tls.Config{}, false) // one connection for the whole test
		served := func(t *testing.T, client *http.Client) *x509.Certificate {
			t.Helper()
			resp, body, err := g.ask(client)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%v %v %s", resp, err, body)
			}
			return resp.TLS.PeerCertificates[0]
		}
		if !served(t, kept).Equal(first.x509) {
			t.Fatal("the gateway serves another certificate")
		}
		stop := make(chan struct{})
		var asked, failed atomic.Int64
		var clients sync.WaitGroup
		for i := range 4 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					fresh := g.client(&tls.Config{}, i%2 == 0)
					for range 3 {
						if resp, _, err := g.ask(fresh); err != nil || resp.StatusCode != 200 {
							t.Errorf("%v %v", resp, err)
							failed.Add(1)
						}
						asked.Add(1)
					}
					fresh.CloseIdleConnections()
				}
			})
		}
		end := sync.OnceFunc(func() {
			close(stop)
			clients.Wait()
		})
		defer end()
		load := func(t *testing.T, n int64) {
			t.Helper()
			from := asked.Load()
			gatewaytest.Eventually(t, "requests", func() bool { return asked.Load() >= from+n || failed.Load() > 0 })
		}
		stage(t, "half of a pair changes nothing, and is reported", func(t *testing.T) {
			load(t, 12)
			waitRejected(t, g.Gateway, func() { write(t, g.file("tls.crt"), second.cert) })
			if h := health(t, g.Gateway); h.Status != "degraded" || len(h.Config.Problems) != 1 || !strings.Contains(h.Config.Problems[0], "tls: "+dir+"/tls.crt and "+dir+"/tls.key: tls: private key does not match public key") {
				t.Errorf("/healthz %+v", h)
			}
			if !served(t, g.client(&tls.Config{}, true)).Equal(first.x509) {
				t.Error("the gateway serves half of the new pair")
			}
		})
		stage(t, "the whole pair is taken, and cuts nobody", func(t *testing.T) {
			load(t, 12)
			listeners := g.EnvoyStat("listener_manager.listener_modified")
			write(t, g.file("tls.key"), second.key)
			gatewaytest.Eventually(t, "the new certificate", func() bool {
				fresh := g.client(&tls.Config{}, true)
				defer fresh.CloseIdleConnections()
				return served(t, fresh).Equal(second.x509)
			})
			load(t, 12)
			end()
			if !served(t, kept).Equal(first.x509) {
				t.Error("the connection from before the rotation is closed")
			}
			if now := g.EnvoyStat("listener_manager.listener_modified"); now != listeners {
				t.Errorf("the listener changed %d times", now-listeners)
			}
		})
		if h := health(t, g.Gateway); h.Status != "ok" {
			t.Errorf("/healthz %+v", h)
		}
	})

	t.Run("certificates of clients", func(t *testing.T) {
		g.Reload(config(", client_ca_file: " + g.file("ca.crt")))
		gatewaytest.Eventually(t, "a client without a certificate to be refused", func() bool {
			fresh := g.client(&tls.Config{}, true)
			defer fresh.CloseIdleConnections()
			_, _, err := g.ask(fresh)
			return err != nil
		})
		for _, http2 := range []bool{true, false} {
			if resp, _, err := g.ask(g.client(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "client")}}, http2)); err != nil || resp.StatusCode != 200 {
				t.Errorf("a client of this authority: %v %v", resp, err)
			}
			if resp, _, err := g.ask(g.client(&tls.Config{Certificates: []tls.Certificate{recorder.NewCA(t).Issue(t, "client")}}, http2)); err == nil {
				t.Errorf("a client of another authority: response %d", resp.StatusCode)
			}
		}
		// The authority can be replaced like the certificate.
		other := recorder.NewCA(t)
		write(t, g.file("ca.crt"), string(other.PEM()))
		mine := []tls.Certificate{other.Issue(t, "client")}
		gatewaytest.Eventually(t, "the new authority", func() bool {
			fresh := g.client(&tls.Config{Certificates: mine}, true)
			defer fresh.CloseIdleConnections()
			_, _, err := g.ask(fresh)
			return err == nil
		})
		if _, _, err := g.ask(g.client(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "client")}}, true)); err == nil {
			t.Error("the replaced authority is still trusted")
		}
	})
}

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// Weir leaves the path of a response while it is on its way: whatever moment that
// is, no byte is lost, doubled or out of place.
func TestGateLosesNothing(t *testing.T) {
	const requests, workers = 600, 12
	answer := func(seed int) []byte {
		random := rand.New(rand.NewPCG(uint64(seed), 7))
		var b bytes.Buffer
		b.WriteString(roleOnly)
		for range random.IntN(4) {
			fmt.Fprintf(&b, ": %x\n\n", random.Uint64())
		}
		for b.Len() < 1+random.IntN(200_000) {
			text := bytes.Repeat([]byte{byte('a' + random.IntN(26))}, random.IntN(8000))
			fmt.Fprintf(&b, "data: {\"n\":%d,\"choices\":[{\"delta\":{\"content\":\"%s\"}}]}\n\n", random.Uint32(), text)
		}
		fmt.Fprintf(&b, "data: {\"choices\":[{\"delta\":{\"content\":\"end %d\"}}]}\n\ndata: [DONE]\n\n", seed)
		return b.Bytes()
	}
	plain := recorder.Start(t, recorder.WithName("plain"))
	tls := recorder.Start(t, recorder.WithName("tls"), recorder.WithTLS())
	for _, p := range []*recorder.Provider{plain, tls} {
		p.Respond(func(w http.ResponseWriter, r *http.Request, body []byte) {
			_, rest, _ := bytes.Cut(body, []byte(`"seed":`))
			digits, _, _ := bytes.Cut(rest, []byte("}"))
			seed, _ := strconv.Atoi(string(digits))
			random := rand.New(rand.NewPCG(uint64(seed), 8))
			w.Header().Set("Content-Type", "text/event-stream")
			for rest := answer(seed); len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(20_000))
				if random.IntN(3) == 0 {
					n = min(len(rest), 1+random.IntN(50))
				}
				_, _ = w.Write(rest[:n])
				rest = rest[n:]
				if random.IntN(2) == 0 {
					_ = http.NewResponseController(w).Flush()
				}
			}
		})
	}
	g := gatewaytest.Start(t, fmt.Sprintf(`
providers:
  - {id: plain, base_url: %s}
  - {id: tls, base_url: %s, tls: {ca_file: %s}}
`, plain.URL(), tls.URL(), tls.CA().File(t)))
	var all sync.WaitGroup
	for worker := range workers {
		client := http1(t)
		if worker%2 == 0 {
			client = http2(t)
		}
		all.Go(func() {
			for seed := worker; seed < requests; seed += workers {
				first, second := "plain", "tls"
				if seed/workers%2 == 0 {
					first, second = second, first
				}
				body := fmt.Sprintf(`{"model":"%s:m","models":["%s:m"],"stream":true,"seed":%d}`, first, second, seed)
				resp, err := client.Post(g.URL+"/v1/chat/completions", "application/json", bytes.NewReader([]byte(body)))
				if err != nil {
					t.Errorf("request %d: %v", seed, err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if want := answer(seed); err != nil || !bytes.Equal(got, want) || resp.Header.Get("X-Weir-Attempts") != "1" {
					t.Errorf("request %d: %v, %d bytes of %d, %s attempts", seed, err, len(got), len(want), resp.Header.Get("X-Weir-Attempts"))
				}
			}
		})
	}
	all.Wait()
}

// A response that is held when Weir dies passes: most responses are good, and a dead
// Weir cannot judge this one.
func TestGateOfDeadWeir(t *testing.T) {
	first, second := recorder.Start(t, recorder.WithName("first")), recorder.Start(t, recorder.WithName("second"))
	g := gatewaytest.Serve(t, fmt.Sprintf("providers:\n  - {id: first, base_url: %s}\n  - {id: second, base_url: %s}\n", first.URL(), second.URL()))
	const content = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n"
	gone := make(chan struct{})
	leave := sync.OnceFunc(func() { close(gone) })
	defer leave()
	first.Script(func(x *recorder.Exchange) {
		x.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(x, roleOnly)
		x.Flush()
		<-gone
		_, _ = io.WriteString(x, content)
	})
	var a gatewaytest.Response
	var answered sync.WaitGroup
	answered.Go(func() {
		a = g.Post("/v1/chat/completions", `{"model":"first:m","models":["second:m"],"stream":true}`)
	})
	first.WaitRequests(t, 1)
	gatewaytest.Eventually(t, "the response to be held", func() bool {
		return g.EnvoyStat("^cluster.weir.upstream_rq_active") == 2 // discovery, and the gate
	})
	g.Kill()
	leave()
	answered.Wait()
	if a.Status != 200 || a.Err != nil || a.Body != roleOnly+content {
		t.Errorf("response %d %v %q", a.Status, a.Err, a.Body)
	}
	if n := len(second.Requests()); n != 0 {
		t.Errorf("the second provider received %d requests", n)
	}
}

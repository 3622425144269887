package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

const (
	// heapMiB is the heap of the Envoys here: that of a machine with 512 MiB.
	heapMiB = 256
	// ceilingMiB is what Envoy may take in all: its heap, its code, what its
	// allocator keeps, and what comes in until it looks at its heap again, which
	// is much on a busy machine.
	ceilingMiB = heapMiB + 400
)

// endless asks for a response that does not end.
const endless = `{"model":"p:m","stream":true,"user":"endless"}`

// memoryTest is a gateway with a small heap and one provider, whose responses to
// bodies with "endless" do not end.
type memoryTest struct {
	*gatewaytest.Gateway
	p      *recorder.Provider
	envoy  int // process ID
	before int // MiB, before the attack
}

// startMemory takes limits beside those of memory, and other configuration.
func startMemory(t *testing.T, limits, more string) *memoryTest {
	t.Helper()
	p := recorder.Start(t)
	event := "data: {\"choices\":[{\"delta\":{\"content\":\"" + strings.Repeat("word ", 1<<12) + "\"}}]}\n\n"
	p.Respond(func(w http.ResponseWriter, r *http.Request, body []byte) {
		if !bytes.Contains(body, []byte("endless")) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"here"}}]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, event); err != nil {
				return
			}
		}
	})
	g := gatewaytest.Start(t, fmt.Sprintf(`
providers:
  - {id: p, base_url: %s, models: [{id: m}], supported_api_surfaces: [{format: openai}, {format: anthropic}]}
limits: {envoy_heap_bytes: %d%s}
%s
`, p.URL(), heapMiB<<20, limits, more))
	m := &memoryTest{Gateway: g, p: p, envoy: g.EnvoyPID()}
	m.before = m.memory(t, "VmRSS")
	return m
}

// memory returns a size of Envoy's process in MiB.
func (m *memoryTest) memory(t *testing.T, field string) int {
	t.Helper()
	return gatewaytest.Memory(t, m.envoy, field) >> 20
}

// peak checks the most memory that Envoy ever took.
func (m *memoryTest) peak(t *testing.T, mostMiB int) {
	t.Helper()
	most := m.memory(t, "VmHWM")
	t.Logf("Envoy: %d MiB before, %d MiB at most, %d MiB now", m.before, most, m.memory(t, "VmRSS"))
	if most > mostMiB {
		t.Errorf("Envoy took %d MiB, want at most %d", most, mostMiB)
	}
}

// servesOthers waits until another client gets what it asks for.
func (m *memoryTest) servesOthers(t *testing.T, header ...string) {
	t.Helper()
	// From another address: limits count by it.
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: gatewaytest.Patience}
	gatewaytest.Eventually(t, "another client to be served", func() bool {
		resp, err := client.Do(newPost(t.Context(), t, m.URL+"/v1/chat/completions", strings.NewReader(`{"model":"p:m"}`), header...))
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == 200
	})
}

// saysOverloaded waits until Weir shows that Envoy's heap was full.
func (m *memoryTest) saysOverloaded(t *testing.T) {
	t.Helper()
	gatewaytest.Eventually(t, "the limit in /healthz and /metrics", func() bool {
		var health struct {
			Status string
			Limits []struct{ Limit, Advice string }
		}
		if err := json.Unmarshal([]byte(m.Admin("/healthz")), &health); err != nil {
			t.Fatal(err)
		}
		for _, l := range health.Limits {
			if l.Limit == "envoy_heap" && strings.Contains(l.Advice, "limits.envoy_heap_bytes") {
				return health.Status == "degraded" && strings.Contains(m.Admin("/metrics"), `weir_limit_active{limit="envoy_heap"} 1`)
			}
		}
		return false
	})
}

// Attacks on memory. Envoy stays under a ceiling, serves others meanwhile or soon
// after, and gives the memory back, mostly after a minute.
func TestMemory(t *testing.T) {
	const bodyBytes = ", max_buffered_body_bytes: 4294967296, max_buffered_body_bytes_per_key: 4294967296"
	http1, http2 := startMemory(t, bodyBytes, ""), startMemory(t, bodyBytes, "")
	bodies := startMemory(t, bodyBytes, "max_body_bytes: 67108864")
	t.Run("large bodies", bodies.large)
	t.Run("uploads over HTTP/1.1", http1.uploads)
	t.Run("uploads over HTTP/2", http2.uploadsHTTP2)
	t.Run("header bomb", memoryHeaderBomb)
	t.Run("slow readers", memorySlowReaders)
	t.Run("one connection", memoryOneConnection)
	t.Parallel() // the attacks had the machine for themselves; now others run while the minute passes
	t.Run("given back", func(t *testing.T) {
		gatewaytest.Eventually(t, "Weir to give the memory back", func() bool {
			return gatewaytest.Memory(t, bodies.Cmd.Process.Pid, "VmRSS")>>20 < 96
		})
		for _, m := range []*memoryTest{bodies, http1, http2} {
			m.givesBack(t)
		}
	})
}

// givesBack waits until Envoy has given back half of the memory that the attack took.
// Its allocator plans for the demand of the last minute, and for that of the last five.
func (m *memoryTest) givesBack(t *testing.T) {
	t.Helper()
	most := (m.before + m.memory(t, "VmHWM")) / 2
	for end := time.Now().Add(6 * time.Minute); m.memory(t, "VmRSS") > most; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("Envoy still has %d MiB, want at most %d", m.memory(t, "VmRSS"), most)
		}
	}
}

// A few bytes of HPACK can stand for 4 KiB of headers, in each of many streams.
// With a key or without, and whether or not the client reads what it is told.
func memoryHeaderBomb(t *testing.T) {
	const key = "a-key-of-sixteen-characters"
	for name, config := range map[string]string{
		"anonymous":     "",
		"without a key": `access_keys: [{name: a, value: "` + key + `"}]`,
	} {
		for _, reads := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, reads %v", name, reads), func(t *testing.T) {
				m := startMemory(t, "", config)
				var bomb bytes.Buffer
				bomb.WriteString(h2.ClientPreface)
				f := h2.NewFramer(&bomb, nil)
				_ = f.WriteSettings()
				for i := range uint32(1024) {
					_ = f.WriteHeaders(h2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: bombBlock(i == 0), EndHeaders: true})
				}
				var all sync.WaitGroup
				for range 30 {
					conn := m.Dial()
					all.Go(func() {
						_, _ = conn.Write(bomb.Bytes())
						if !reads {
							return
						}
						// Until Envoy has looked at all of it.
						f := h2.NewFramer(conn, conn)
						_ = f.WritePing(false, [8]byte{1})
						for {
							frame, err := f.ReadFrame()
							if err != nil {
								return
							}
							if p, ok := frame.(*h2.PingFrame); ok && p.IsAck() {
								return
							}
						}
					})
				}
				all.Wait()
				m.servesOthers(t, "Authorization", "Bearer "+key)
				m.peak(t, ceilingMiB)
			})
		}
	}
}

// bombBlock is a block of headers that names one of 4,064 bytes 14 times. The
// first of a connection also puts it into the table.
func bombBlock(first bool) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/v1/chat/completions"}, {":authority", "h"}, {"content-type", "application/json"}} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
	if first { // RFC 7541 6.2.1, without Huffman codes
		const name, size = "x-a", 4061
		b.Write([]byte{0x40, byte(len(name))})
		b.WriteString(name)
		b.Write([]byte{0x7f, (size-127)%128 | 0x80, (size - 127) / 128})
		b.WriteString(strings.Repeat("a", size))
	}
	b.Write(bytes.Repeat([]byte{0x80 | 62}, 14)) // RFC 7541 6.1
	return b.Bytes()
}

// large has clients that send 40 MB one after the other, of which both processes
// take several times as much.
func (m *memoryTest) large(t *testing.T) {
	for range 2 {
		body := io.MultiReader(strings.NewReader(`{"model":"p:m","x":"`), io.LimitReader(spaces{}, 40_000_000), strings.NewReader(`"}`))
		if a := m.Send(http.MethodPost, "/v1/chat/completions", body, "Content-Type", "application/json"); a.Status != 200 {
			t.Errorf("response %d %s", a.Status, a.Body)
		}
	}
	m.p.Reset()
	m.peak(t, ceilingMiB)
	if most := gatewaytest.Memory(t, m.Cmd.Process.Pid, "VmHWM") >> 20; most < 100 {
		t.Errorf("Weir took %d MiB at most: the bodies did not get there", most)
	}
}

// uploads has fifty clients that send up to 30 MiB each, and do not say how much
// it will be. Those that are refused are told so, in the shape of their API.
func (m *memoryTest) uploads(t *testing.T) {
	chunk := []byte("10000\r\n" + strings.Repeat(" ", 1<<16) + "\r\n")
	var refused atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		path := []string{"/v1/chat/completions", "/v1/messages"}[i%2]
		conn := m.Dial()
		all.Go(func() {
			_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", path)
			for n := 0; n < 480 && err == nil; n++ {
				_, err = conn.Write(chunk)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				return // closed while it was writing
			}
			b, err := io.ReadAll(resp.Body)
			want := errorBody(path, "overloaded", "the gateway has no memory left for this request now: try again later")
			if resp.StatusCode != 503 || err != nil || string(b) != want || resp.Header.Get("Retry-After") != "5" {
				t.Errorf("%s: response %d %v %s %v\nwant 503 %s", path, resp.StatusCode, resp.Header, b, err, want)
			}
			refused.Add(1)
		})
	}
	all.Wait()
	if refused.Load() == 0 {
		t.Error("no client was told that it was refused")
	}
	m.servesOthers(t)
	m.peak(t, ceilingMiB)
	m.saysOverloaded(t)
}

// uploadsHTTP2 is uploads over HTTP/2, where Envoy resets the streams.
func (m *memoryTest) uploadsHTTP2(t *testing.T) {
	var all sync.WaitGroup
	for range 50 {
		client := clientOf(t, true)
		all.Go(func() {
			resp, err := client.Post(m.URL+"/v1/chat/completions", "application/json", io.LimitReader(spaces{}, 30<<20))
			if err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	m.servesOthers(t)
	m.peak(t, ceilingMiB)
	m.saysOverloaded(t)
}

// spaces is a body of nothing but spaces.
type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// Forty clients ask for responses without end and read nothing.
func memorySlowReaders(t *testing.T) {
	m := startMemory(t, "", "")
	for range 40 {
		_, _ = fmt.Fprintf(m.Dial(), "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(endless), endless)
	}
	m.stuck(t, 40)
	m.servesOthers(t)
	m.peak(t, m.before+60)
}

// stuck waits until the provider can write no more in any of n responses.
func (m *memoryTest) stuck(t *testing.T, n int) {
	t.Helper()
	m.p.WaitRequests(t, n)
	last := -1
	gatewaytest.Eventually(t, "the responses to stop", func() bool {
		now := m.EnvoyStat("^cluster.weir/p/.*upstream_cx_rx_bytes_total")
		same := now == last
		last = now
		return same
	})
}

// One connection opens as many streams as it may, and takes no data on them; or
// on the connection.
func memoryOneConnection(t *testing.T) {
	for name, window := range map[string]uint32{"no stream window": 0, "no connection window": 1 << 24} {
		t.Run(name, func(t *testing.T) {
			m := startMemory(t, "", "")
			conn := m.Dial()
			f := begin(conn)
			_ = f.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: window})
			streams := make(chan uint32, 1)
			go func() {
				for {
					frame, err := f.ReadFrame()
					if err != nil {
						return
					}
					if s, ok := frame.(*h2.SettingsFrame); ok && !s.IsAck() {
						n, _ := s.Value(h2.SettingMaxConcurrentStreams)
						streams <- n
					}
				}
			}()
			n := <-streams
			if n != 100 {
				t.Errorf("SETTINGS_MAX_CONCURRENT_STREAMS is %d, want 100", n)
			}
			for i := range n {
				headers(f, 2*i+1, []string{":method", "POST", ":scheme", "http", ":path", "/v1/chat/completions", ":authority", "h", "content-type", "application/json", "content-length", strconv.Itoa(len(endless))}, false)
				_ = f.WriteData(2*i+1, true, []byte(endless))
			}
			m.stuck(t, int(n))
			m.servesOthers(t)
			m.peak(t, m.before+100)
		})
	}
}

// Weir's own memory has the configured limit, unless the environment says
// another.
func TestWeirMemoryLimit(t *testing.T) {
	const config = "limits: {weir_memory_bytes: 134217728}"
	for _, c := range []struct {
		name    string
		options []gatewaytest.Option
		want    string
	}{
		{"configured", nil, "go_gc_gomemlimit_bytes 1.34217728e+08\n"},
		{"GOMEMLIMIT", []gatewaytest.Option{gatewaytest.Env("GOMEMLIMIT", "256MiB")}, "go_gc_gomemlimit_bytes 2.68435456e+08\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := gatewaytest.Start(t, config, c.options...)
			if m := g.Admin("/metrics"); !strings.Contains(m, c.want) {
				t.Errorf("no %s in\n%s", c.want, m)
			}
		})
	}
}

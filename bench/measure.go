package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// figures are one load on one subject.
type figures struct {
	cpuPerThousand         float64 // seconds, Envoy and processor
	p50, p99               time.Duration
	first                  time.Duration // p50 of the time to the first byte of the body
	perSecond              float64
	rssEnvoy, rssProcessor float64 // MiB, after
}

func (f figures) cpu() float64 { return f.cpuPerThousand }

// measure runs a load for about a duration.
func (s *subject) measure(ctx context.Context, l load, d time.Duration) (figures, error) {
	payload := []byte(l.request(s.models))
	before := cpuTime(s.envoy) + cpuTime(s.processor)
	begin := time.Now()
	times, firsts := make([][]time.Duration, l.connections), make([][]time.Duration, l.connections)
	errs := make([]error, l.connections)
	var wg sync.WaitGroup
	for i := range l.connections {
		wg.Add(1)
		go func() {
			defer wg.Done()
			times[i], firsts[i], errs[i] = one(ctx, s.target, payload, begin.Add(d))
		}()
	}
	wg.Wait()
	elapsed := time.Since(begin)
	used := cpuTime(s.envoy) + cpuTime(s.processor) - before
	for _, err := range errs {
		if err != nil {
			return figures{}, err
		}
	}
	all, first := slices.Concat(times...), slices.Concat(firsts...)
	slices.Sort(all)
	slices.Sort(first)
	n := float64(len(all))
	return figures{
		cpuPerThousand: used / n * 1000,
		p50:            all[len(all)/2], p99: all[len(all)*99/100], first: first[len(first)/2],
		perSecond: n / elapsed.Seconds(),
		rssEnvoy:  rss(s.envoy), rssProcessor: rss(s.processor),
	}, nil
}

func (l load) request(models string) string {
	stream := ""
	if l.events > 0 {
		stream = fmt.Sprintf(`"stream":true,"events":%d,"pause":%d,`, l.events, l.pause.Microseconds())
	}
	head := `{"model":"bench:m",` + models + stream + `"messages":[{"role":"user","content":"`
	body := head + strings.Repeat("x", max(0, l.body-len(head)-4)) + `"}]}`
	return "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAuthorization: Bearer an-access-key-for-the-bench\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// one is a client with one connection that sends requests in turn.
func one(ctx context.Context, target string, payload []byte, until time.Time) (times, firsts []time.Duration, err error) {
	conn, err := net.Dial("tcp", target)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(until.Add(30 * time.Second))
	r := bufio.NewReaderSize(conn, 64<<10)
	var byte1 [1]byte
	for time.Now().Before(until) && ctx.Err() == nil {
		start := time.Now()
		if _, err := conn.Write(payload); err != nil {
			return nil, nil, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, nil, err
		}
		if _, err := io.ReadFull(resp.Body, byte1[:]); err != nil {
			return nil, nil, err
		}
		firsts = append(firsts, time.Since(start))
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return nil, nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, nil, fmt.Errorf("status %d", resp.StatusCode)
		}
		times = append(times, time.Since(start))
	}
	return times, firsts, ctx.Err()
}

// cpuTime is the CPU time of a process in seconds (proc(5): utime and stime in
// clock ticks, of which Linux has 100 a second).
func cpuTime(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if pid == 0 || err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// rss is the resident memory of a process in MiB.
func rss(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if pid == 0 || err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

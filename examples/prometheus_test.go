package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"weir/internal/gatewaytest"
)

// prometheus is a running Prometheus.
type prometheus struct{ url string }

// startPrometheus builds Prometheus, without its service discoveries for clouds,
// and runs it with a configuration.
func startPrometheus(t *testing.T, config string) prometheus {
	t.Helper()
	dir := t.TempDir()
	binary, file, address := filepath.Join(dir, "prometheus"), filepath.Join(dir, "prometheus.yaml"), gatewaytest.FreeAddr(t)
	build := exec.Command("go", "build", "-tags", "remove_all_sd", "-o", binary, "github.com/prometheus/prometheus/cmd/prometheus")
	build.Dir = filepath.Join(gatewaytest.Root(), "tools", "prometheus")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of Prometheus:\n%s", &log)
		}
	})
	p := prometheus{"http://" + address}
	eventually(t, "Prometheus to be ready", func() bool {
		resp, err := http.Get(p.url + "/-/ready")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	return p
}

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit, tick := time.After(gatewaytest.Patience), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// get asks the HTTP API, as Grafana does.
func (p prometheus) get(path string, into any, params ...string) error {
	query := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		query.Add(params[i], params[i+1])
	}
	resp, err := http.Get(p.url + "/api/v1/" + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Data  any    `json:"data"`
		Error string `json:"error"`
	}{Data: into}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return nil
}

// result is a series of a response: one sample, or one for each step.
type result struct {
	Metric map[string]string
	Value  sample
	Values []sample
}

// sample is a time and a number, which is written as a string.
type sample [2]any

func (s sample) number() (float64, error) {
	text, _ := s[1].(string)
	return strconv.ParseFloat(text, 64)
}

// instant evaluates an expression now.
func (p prometheus) instant(expr string) ([]result, error) {
	var data struct{ Result []result }
	err := p.get("query", &data, "query", expr)
	return data.Result, err
}

// window evaluates an expression over the last minute.
func (p prometheus) window(expr string) ([]result, error) {
	var data struct{ Result []result }
	now := time.Now()
	err := p.get("query_range", &data, "query", expr, "step", "1",
		"start", strconv.FormatInt(now.Add(-time.Minute).Unix(), 10), "end", strconv.FormatInt(now.Unix()+1, 10))
	return data.Result, err
}

// sum is the sum of a metric's series at the last scrape.
func (p prometheus) sum(metric string) float64 {
	results, err := p.instant("sum(" + metric + ")")
	if err != nil || len(results) == 0 {
		return 0
	}
	n, _ := results[0].Value.number()
	return n
}

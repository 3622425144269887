package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// subject is one gateway under load.
type subject struct {
	name      string
	target    string // host:port
	envoy     int    // pid
	processor int    // pid, 0 for none
	models    string // what requests ask for beside "model", as JSON members
	children  []*child
}

// held is the same gateway, with a second model in the request: the response
// is held until it has content.
func (s *subject) held() *subject {
	return &subject{name: s.name + ", held", target: s.target, envoy: s.envoy, processor: s.processor, models: `"models":["bench:second"],`}
}

func (s *subject) stop() {
	for _, c := range s.children {
		c.stop()
	}
}

// child is a process that bench started.
type child struct {
	cmd  *exec.Cmd
	file string // where it writes its address
	out  bytes.Buffer
}

func start(ctx context.Context, name string, args ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, name, args...)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c, c.cmd.Start()
}

func startSelf(ctx context.Context, role, address string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := start(ctx, self, "-role", role, "-address", address)
	if err != nil {
		return nil, err
	}
	c.file = address
	return c, nil
}

func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = c.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = c.cmd.Process.Kill()
		<-done
	}
}

// until polls: the processes have no other way to report that they are ready.
func until(what string, ready func() bool) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ready() {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready in time", what)
}

func (c *child) address() (string, error) {
	var address string
	err := until("a helper process", func() bool {
		b, err := os.ReadFile(c.file)
		address = strings.TrimSpace(string(b))
		return err == nil && address != ""
	})
	return address, err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func responds(target string) func() bool {
	return func() bool {
		resp, err := http.Post("http://"+target+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"bench:m"}`))
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
}

// envoyConfig is the static configuration of the two subjects without a
// control plane. Socket is the processor's; empty for the bare Envoy.
var envoyConfig = template.Must(template.New("envoy").Parse(`
static_resources:
  listeners:
  - name: l
    per_connection_buffer_limit_bytes: 34603008
    address: {socket_address: {address: 127.0.0.1, port_value: {{.Port}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          http_filters:
          {{if .Socket}}
          - name: envoy.filters.http.ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {envoy_grpc: {cluster_name: processor}}
              message_timeout: 10s
              processing_mode: {request_header_mode: SEND, response_header_mode: SKIP, request_body_mode: BUFFERED, response_body_mode: NONE, request_trailer_mode: SKIP, response_trailer_mode: SKIP}
          {{end}}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:
            - name: v
              domains: ["*"]
              routes: [{match: {prefix: /}, route: {cluster: provider, timeout: 60s}}]
  clusters:
  - name: provider
    type: STATIC
    load_assignment: {cluster_name: provider, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: {{.Host}}, port_value: {{.UpstreamPort}}}}}}]}]}
    {{if .Socket}}
  - name: processor
    type: STATIC
    load_assignment: {cluster_name: processor, endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: {{.Socket}}}}}}]}]}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    {{end}}
`))

func startEnvoy(ctx context.Context, path, dir, name, upstream, socket string) (*subject, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	host, upstreamPort, _ := strings.Cut(upstream, ":")
	var config bytes.Buffer
	if err := envoyConfig.Execute(&config, map[string]any{"Port": port, "Host": host, "UpstreamPort": upstreamPort, "Socket": socket}); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name+".yaml")
	if err := os.WriteFile(file, config.Bytes(), 0o600); err != nil {
		return nil, err
	}
	c, err := start(ctx, path, "-c", file, "--disable-hot-restart", "--log-level", "error")
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, target: "127.0.0.1:" + strconv.Itoa(port), envoy: c.cmd.Process.Pid, children: []*child{c}}
	if err := until(name, responds(s.target)); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, c.out.String())
	}
	return s, nil
}

func startBare(ctx context.Context, path, dir, upstream string) (*subject, error) {
	return startEnvoy(ctx, path, dir, "bare", upstream, "")
}

func startSmallest(ctx context.Context, path, dir, upstream string) (*subject, error) {
	socket := filepath.Join(dir, "processor.sock")
	c, err := startSelf(ctx, "processor", socket)
	if err != nil {
		return nil, err
	}
	s, err := startEnvoy(ctx, path, dir, "smallest", upstream, socket)
	if err != nil {
		return nil, err
	}
	s.processor = c.cmd.Process.Pid
	s.children = append(s.children, c)
	return s, nil
}

func startWeir(ctx context.Context, name, path, dir, upstream string, providers int, telemetry, strategy string) (*subject, error) {
	binary := filepath.Join(dir, "weir")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/weir").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build ./cmd/weir: %w\n%s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	var config strings.Builder
	fmt.Fprintf(&config, "listen: 127.0.0.1:%d\nadmin: {listen: 127.0.0.1:0}\ntelemetry: %s\naccess_keys: [{name: bench, value: an-access-key-for-the-bench}]\non_http_request:\n- type: ai-gateway\n  config:\n    model_selection: {strategy: [%s]}\n    providers:\n", port, telemetry, strategy)
	for i := range providers {
		id := "bench"
		if i > 0 {
			id = fmt.Sprintf("bench-%d", i)
		}
		fmt.Fprintf(&config, "    - {id: %s, base_url: \"http://%s\", api_keys: [{value: a-provider-key}], models: [{id: m}, {id: model-%d}]}\n", id, upstream, i)
	}
	file := filepath.Join(dir, name+".yaml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		return nil, err
	}
	c, err := start(ctx, binary, "run", "-c", file, "--envoy", path, "--log-format", "json")
	if err != nil {
		return nil, err
	}
	s := &subject{name: name, target: "127.0.0.1:" + strconv.Itoa(port), processor: c.cmd.Process.Pid, children: []*child{c}}
	err = until("weir", func() bool {
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.target+"/v1/chat/completions", strings.NewReader(`{"model":"bench:m"}`))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer an-access-key-for-the-bench")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, c.out.String())
	}
	s.envoy, err = onlyChild(s.processor)
	return s, err
}

// onlyChild finds the Envoy that weir started.
func onlyChild(parent int) (int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range dirs {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("process %d has no child", parent)
}

package envoy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// Admin is a client of Envoy's admin interface.
type Admin struct {
	socket string // "" when it listens on TCP
	client http.Client
	host   string
}

// NewAdmin returns an Admin for an absolute path of a Unix socket, or a host:port. It
// does not connect: Envoy may come and go.
func NewAdmin(address string) *Admin {
	network, host, socket := "tcp", address, ""
	if filepath.IsAbs(address) {
		network, host, socket = "unix", "admin", address
	}
	return &Admin{socket: socket, host: host, client: http.Client{Transport: &http.Transport{
		// A kept connection could lead to an Envoy that has exited.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}}}
}

// Get returns the body of a GET of path, which may have a query. It fails unless the
// status is 200.
func (a *Admin) Get(ctx context.Context, path string) ([]byte, error) {
	return a.do(ctx, http.MethodGet, path)
}

// Post is Get for requests that change Envoy's state.
func (a *Admin) Post(ctx context.Context, path string) ([]byte, error) {
	return a.do(ctx, http.MethodPost, path)
}

func (a *Admin) do(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.host+path, nil)
	if err != nil {
		return nil, fmt.Errorf("envoy admin: %w", err)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("envoy admin: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("envoy admin: %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		line, _, _ := bytes.Cut(body, []byte("\n"))
		return nil, fmt.Errorf("envoy admin: %s: %s: %s", path, resp.Status, line)
	}
	return body, nil
}

// Listener is a listener of Envoy's with the address it is bound to.
type Listener struct {
	Name    string
	Address string // host:port, or the path of a Unix socket
}

// Listeners returns the active listeners. A configured port 0 appears as the port that
// was bound.
func (a *Admin) Listeners(ctx context.Context) ([]Listener, error) {
	body, err := a.Get(ctx, "/listeners?format=json")
	if err != nil {
		return nil, err
	}
	var reply struct {
		Statuses []struct {
			Name    string       `json:"name"`
			Address adminAddress `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return nil, fmt.Errorf("envoy admin: /listeners: %w", err)
	}
	listeners := make([]Listener, len(reply.Statuses))
	for i, s := range reply.Statuses {
		listeners[i] = Listener{s.Name, s.Address.String()}
	}
	return listeners, nil
}

// Counters returns Envoy's nonzero counters whose names match a regular expression, by
// name.
func (a *Admin) Counters(ctx context.Context, pattern string) (map[string]uint64, error) {
	query := url.Values{"filter": {pattern}, "format": {"json"}, "type": {"Counters"}, "usedonly": {""}}
	body, err := a.Get(ctx, "/stats?"+query.Encode())
	if err != nil {
		return nil, err
	}
	var reply struct {
		Stats []struct {
			Name  string `json:"name"`
			Value uint64 `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return nil, fmt.Errorf("envoy admin: /stats: %w", err)
	}
	out := make(map[string]uint64, len(reply.Stats))
	for _, s := range reply.Stats {
		out[s.Name] = s.Value
	}
	return out, nil
}

// ActiveRequests returns the number of requests that Envoy is serving, without those
// to its own admin interface.
func (a *Admin) ActiveRequests(ctx context.Context) (int, error) {
	query := url.Values{
		"filter": {`^http\..*\.downstream_rq_active$`},
		"format": {"json"},
		"type":   {"Gauges"},
	}
	body, err := a.Get(ctx, "/stats?"+query.Encode())
	if err != nil {
		return 0, err
	}
	var reply struct {
		Stats []struct {
			Name  string `json:"name"`
			Value int    `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return 0, fmt.Errorf("envoy admin: /stats: %w", err)
	}
	active := 0
	for _, s := range reply.Stats {
		if s.Name != "http.admin.downstream_rq_active" {
			active += s.Value
		}
	}
	return active, nil
}

// ConfigDump returns Envoy's whole configuration as JSON. Envoy redacts secrets.
func (a *Admin) ConfigDump(ctx context.Context) ([]byte, error) {
	return a.Get(ctx, "/config_dump")
}

// removeSocket deletes the socket file, which Envoy leaves behind.
func (a *Admin) removeSocket() {
	if a != nil && a.socket != "" {
		os.Remove(a.socket) // it may never have been made
	}
}

// adminAddress is Envoy's core.v3.Address, in the two forms that are used here.
type adminAddress struct {
	Pipe struct {
		Path string `json:"path" yaml:"path"`
	} `json:"pipe" yaml:"pipe"`
	Socket struct {
		Address string `json:"address" yaml:"address"`
		Port    int    `json:"port_value" yaml:"port_value"`
	} `json:"socket_address" yaml:"socket_address"`
}

func (a adminAddress) String() string {
	switch {
	case a.Pipe.Path != "":
		return a.Pipe.Path
	case a.Socket.Address != "":
		return net.JoinHostPort(a.Socket.Address, strconv.Itoa(a.Socket.Port))
	default:
		return ""
	}
}

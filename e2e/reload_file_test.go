package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/gatewaytest"
	"weir/internal/recorder"
)

// healthOf is the body of /healthz.
type healthOf struct {
	Status string
	Ready  bool
	Config struct {
		Version  string
		Problems []string
	}
	Envoys []struct {
		Node       string
		Synced     bool
		Pending    []string
		Rejections map[string]string
	}
}

func health(t *testing.T, g *gatewaytest.Gateway) healthOf {
	t.Helper()
	var h healthOf
	if err := json.Unmarshal([]byte(g.Admin("/healthz")), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// metric returns the line of a metric.
func metric(t *testing.T, g *gatewaytest.Gateway, name string) string {
	t.Helper()
	for line := range strings.Lines(g.Admin("/metrics")) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Errorf("no metric %s", name)
	return ""
}

const rejection = "configuration rejected, the previous one stays in force"

// rejected counts the configurations that were turned down.
func rejected(g *gatewaytest.Gateway) int {
	return strings.Count(g.Log(), `"msg":"`+rejection+`"`)
}

func waitRejected(t *testing.T, g *gatewaytest.Gateway, change func()) {
	t.Helper()
	before := rejected(g)
	change()
	g.WaitLog(func([]map[string]any) bool { return rejected(g) > before }, "the change to be rejected")
}

func TestBadFileChangesNothing(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	good := setup{providers: []string{"id: alpha, base_url: " + p.URL() + ", api_keys: [{value: key-of-alpha}]"}}
	g := gatewaytest.Start(t, good.String(), gatewaytest.Secrets("key-of-alpha", "literal-of-a-bad-file"))
	version := health(t, g).Config.Version
	config := filepath.Base(g.Config)
	cases := []struct {
		name, config string
		want         []string // problems, each with its place
	}{
		{"two problems", strings.ReplaceAll(good.String(), p.URL(), "ftp://x") + "max_body_bytes: 3\n", []string{
			config + ":6: on_http_request[0].config.providers[0].base_url: ", config + ":7: max_body_bytes: must be from 1024",
		}},
		{"an unknown field", "listn: x\n" + good.String(), []string{config + `:1: unknown field "listn"`}},
		{"not YAML", "\"on_http\n", []string{config + ":1: not valid YAML"}},
		{"a missing secret", strings.ReplaceAll(good.String(), "key-of-alpha", `"${secrets.get('store', 'key')}"`), []string{
			config + `:6: on_http_request[0].config.providers[0].api_keys[0].value: secret "key" of store "store" is missing`,
		}},
		{"a bad secret", strings.ReplaceAll(good.String(), "key-of-alpha", `" literal-of-a-bad-file"`), []string{
			config + ":6: on_http_request[0].config.providers[0].api_keys[0].value: ",
		}},
		{"empty", "", []string{"is empty"}},
	}
	l := newLoad(t, g.URL)
	l.chat(`{"model":"alpha:m"}`, "m", p)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			waitRejected(t, g, func() { g.Write(c.config) })
			h := health(t, g)
			if h.Status != "degraded" || !h.Ready || h.Config.Version != version {
				t.Errorf("/healthz %+v", h)
			}
			if len(h.Config.Problems) != len(c.want) {
				t.Fatalf("problems %q, want %q", h.Config.Problems, c.want)
			}
			for i, want := range c.want {
				if got := h.Config.Problems[i]; !strings.Contains(got, want) {
					t.Errorf("problem %q, want %q", got, want)
				}
				if reason := g.Field(rejection, "reason"); !strings.Contains(reason, h.Config.Problems[i]) {
					t.Errorf("the log has %q, want %q", reason, h.Config.Problems[i])
				}
			}
			if got := metric(t, g, "weir_config_last_reload_successful"); got != "0" {
				t.Errorf("weir_config_last_reload_successful %s", got)
			}
			if got := metric(t, g, `weir_config_info{version="`+version+`"}`); got != "1" {
				t.Errorf("weir_config_info %s", got)
			}
			waitRejected(t, g, func() { hup(t, g) })

			waitInForce(t, g, func() { g.Write(good.String()) })
			if h := health(t, g); h.Status != "ok" || len(h.Config.Problems) != 0 || h.Config.Version != version {
				t.Errorf("/healthz %+v after the good file is back", h)
			}
			if got := metric(t, g, "weir_config_last_reload_successful"); got != "1" {
				t.Errorf("weir_config_last_reload_successful %s", got)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		waitRejected(t, g, func() {
			if err := os.Remove(g.Config); err != nil {
				t.Fatal(err)
			}
		})
		waitInForce(t, g, func() { g.Write(good.String()) })
	})
	l.end()
	if l.sent.Load() == 0 {
		t.Error("no request was sent meanwhile")
	}
	if got, want := metric(t, g, `weir_config_reloads_total{result="rejected"}`), fmt.Sprint(rejected(g)); got != want {
		t.Errorf("weir_config_reloads_total of rejected is %s, want %s", got, want)
	}
}

// TestFilesAreNoticed changes files in the ways in which people, editors and
// Kubernetes do.
func TestFilesAreNoticed(t *testing.T) {
	t.Parallel()
	p := recorder.Start(t)
	// config has a header with this value, and a key from the secrets' folder.
	config := func(secrets, value string) string {
		return setup{top: "secrets: {dir: " + secrets + "}", providers: []string{
			"id: alpha, base_url: " + p.URL() + ", api_keys: [{value: \"${secrets.get('store', 'key')}\"}], headers: {x-value: " + value + "}",
		}}.String()
	}
	start := func(t *testing.T, file string) *gatewaytest.Gateway {
		t.Helper()
		g := gatewaytest.New(t, "", gatewaytest.Env("WEIR_TEST", t.Name()))
		g.Config = file
		g.Launch("run", "-c", file)
		g.WaitReady()
		return g
	}
	// sees waits until a change is in force, and looks at what arrives.
	sees := func(t *testing.T, g *gatewaytest.Gateway, key, value string, change func()) {
		t.Helper()
		waitInForce(t, g, change)
		if a := g.Post("/v1/chat/completions", `{"model":"alpha:m"}`); a.Status != http.StatusOK {
			t.Fatalf("response %d %s", a.Status, a.Body)
		}
		r := p.Last(t)
		if r.Header.Get("Authorization") != "Bearer "+key || r.Header.Get("X-Value") != value {
			t.Errorf("key %q and value %q arrived, want %q and %q", r.Header.Get("Authorization"), r.Header.Get("X-Value"), key, value)
		}
	}
	overwrite := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(t *testing.T, target, path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path+".next"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".next", path); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("plain files", func(t *testing.T) {
		dir := t.TempDir()
		file, secrets := dir+"/weir.yaml", dir+"/secrets"
		write(t, secrets+"/store/key", "key-1")
		write(t, file, config(secrets, "v1"))
		g := start(t, file)
		stage(t, "the file is replaced", func(t *testing.T) {
			sees(t, g, "key-1", "v2", func() { write(t, file, config(secrets, "v2")) })
		})
		stage(t, "the file is written in place", func(t *testing.T) {
			sees(t, g, "key-1", "v3", func() { overwrite(t, file, config(secrets, "v3")) })
		})
		stage(t, "a secret is replaced", func(t *testing.T) {
			sees(t, g, "key-2", "v3", func() { write(t, secrets+"/store/key", "key-2\n") })
		})
		stage(t, "a secret is written in place", func(t *testing.T) {
			sees(t, g, "key-3", "v3", func() { overwrite(t, secrets+"/store/key", "key-3") })
		})
		t.Run("in a recreated folder", func(t *testing.T) {
			waitRejected(t, g, func() {
				if err := os.RemoveAll(secrets); err != nil {
					t.Fatal(err)
				}
			})
			sees(t, g, "key-4", "v3", func() { write(t, secrets+"/store/key", "key-4") })
			sees(t, g, "key-5", "v3", func() { write(t, secrets+"/store/key", "key-5") })
		})
		t.Run("in a folder that replaces another", func(t *testing.T) {
			write(t, dir+"/other/store/key", "key-6")
			sees(t, g, "key-6", "v3", func() {
				if err := os.Rename(secrets+"/store", dir+"/old"); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(dir+"/other/store", secrets+"/store"); err != nil {
					t.Fatal(err)
				}
			})
			sees(t, g, "key-7", "v3", func() { write(t, secrets+"/store/key", "key-7") })
		})
		t.Run("in a folder that the configuration did not name before", func(t *testing.T) {
			fresh := dir + "/fresh/folder"
			write(t, fresh+"/store/key", "key-8")
			sees(t, g, "key-8", "v4", func() { write(t, file, config(fresh, "v4")) })
			sees(t, g, "key-9", "v4", func() { write(t, fresh+"/store/key", "key-9") })
		})
		t.Run("a secret that was missing", func(t *testing.T) {
			missing := dir + "/not/there"
			waitRejected(t, g, func() { write(t, file, config(missing, "v5")) })
			sees(t, g, "key-10", "v5", func() { write(t, missing+"/store/key", "key-10") })
			sees(t, g, "key-11", "v5", func() { write(t, missing+"/store/key", "key-11") })
			secrets = missing
		})
		t.Run("in a folder with constant writes", func(t *testing.T) {
			done, busy := make(chan struct{}), sync.WaitGroup{}
			busy.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					case <-time.After(10 * time.Millisecond):
						_ = os.WriteFile(dir+"/busy.log", fmt.Append(nil, i), 0o600)
					}
				}
			})
			sees(t, g, "key-11", "v6", func() { write(t, file, config(secrets, "v6")) })
			close(done)
			busy.Wait()
		})
		t.Run("SIGHUP", func(t *testing.T) {
			sees(t, g, "key-11", "v6", func() { hup(t, g) })
		})
	})

	t.Run("access keys", func(t *testing.T) {
		dir := t.TempDir()
		const first, second = "the-first-key-of-a-client", "the-second-key-of-a-client"
		write(t, dir+"/secrets/clients/a", first)
		write(t, dir+"/weir.yaml", setup{
			top:       "secrets: {dir: secrets}\naccess_keys: [{name: a, value: \"${secrets.get('clients', 'a')}\"}]",
			providers: []string{"id: alpha, base_url: " + p.URL()},
		}.String())
		g := start(t, dir+"/weir.yaml")
		waitInForce(t, g, func() { write(t, dir+"/secrets/clients/a", second) })
		for key, want := range map[string]int{first: http.StatusUnauthorized, second: http.StatusOK} {
			if a := g.Post("/v1/chat/completions", `{"model":"alpha:m"}`, "Authorization", "Bearer "+key); a.Status != want {
				t.Errorf("response %d to %s, want %d", a.Status, key, want)
			}
		}
	})

	// A Kubernetes volume: what is seen are links into a link, ..data, to a
	// folder with the present state; the kubelet makes a new folder, moves the
	// link and deletes the old folder.
	t.Run("Kubernetes volumes", func(t *testing.T) {
		dir := t.TempDir()
		mount := func(volume, state string, files map[string]string) {
			for name, text := range files {
				write(t, filepath.Join(dir, volume, state, name), text)
			}
			old, _ := os.Readlink(filepath.Join(dir, volume, "..data"))
			link(t, state, filepath.Join(dir, volume, "..data"))
			if old != "" {
				if err := os.RemoveAll(filepath.Join(dir, volume, old)); err != nil {
					t.Fatal(err)
				}
			}
		}
		mount("config", "..1", map[string]string{"weir.yaml": config(dir+"/secrets", "v1")})
		link(t, "..data/weir.yaml", dir+"/config/weir.yaml")
		mount("secrets", "..1", map[string]string{"store/key": "key-1"})
		link(t, "..data/store", dir+"/secrets/store")
		g := start(t, dir+"/config/weir.yaml")
		for i := 2; i < 5; i++ {
			state, key, value := fmt.Sprint("..", i), fmt.Sprint("key-", i), fmt.Sprint("v", i)
			sees(t, g, fmt.Sprint("key-", i-1), value, func() {
				mount("config", state, map[string]string{"weir.yaml": config(dir+"/secrets", value)})
			})
			sees(t, g, key, value, func() { mount("secrets", state, map[string]string{"store/key": key}) })
		}
	})

	t.Run("a link to a release", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir+"/releases/1/weir.yaml", config("secrets", "v1"))
		write(t, dir+"/releases/2/weir.yaml", config("secrets", "v2"))
		write(t, dir+"/etc/secrets/store/key", "key-1")
		link(t, "releases/1", dir+"/current")
		link(t, dir+"/current/weir.yaml", dir+"/etc/weir.yaml")
		g := start(t, dir+"/etc/weir.yaml")
		sees(t, g, "key-1", "v2", func() { link(t, "releases/2", dir+"/current") })
		sees(t, g, "key-1", "v3", func() { write(t, dir+"/releases/2/weir.yaml", config("secrets", "v3")) })
	})
}

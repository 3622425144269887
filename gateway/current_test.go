package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"weir/internal/recorder"
	"weir/policy"
)

// TestAccessKeysAlone: a change of access keys is in force at the next request, and
// changes nothing else: the policy is the same, and no Envoy is sent anything.
func TestAccessKeysAlone(t *testing.T) {
	const (
		keyOne, keyTwo = "key-one-0123456789", "key-two-0123456789"
		one, two       = "  - {name: one, value: " + keyOne + "}\n", "  - {name: two, value: " + keyTwo + "}\n"
	)
	p := recorder.Start(t)
	keys := func(list string) string { return "access_keys:\n" + list + provider("p", p.URL()) }
	b := newRig(t, keys(one))
	b.serve()
	b.envoy("envoy")
	type state struct {
		policy                    *policy.Policy
		published, sent, replaced int
	}
	now := func() state {
		nodes := b.publisher.server.Nodes()
		return state{b.current.Load(), int(b.publisher.server.Publication()), int(nodes[0].Acknowledged), len(b.book.Kept())}
	}
	ask := func(key string) int {
		resp := b.askWith(key, `{"model":"p:m"}`)
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	logged := func() int { return strings.Count(b.log.String(), `changed="access keys"`) }
	reload := func(what, config string, always, changes bool, want map[string]int) {
		t.Helper()
		before, version, lines := now(), b.Health().Config.AccessKeys.Version, logged()
		b.config = config
		b.reload(t.Context(), always)
		if after := now(); after != before {
			t.Errorf("%s: %+v, before %+v", what, after, before)
		}
		h := b.Health()
		if h.Status != "ok" || h.Config.Version != b.current.Load().Version {
			t.Errorf("%s: /healthz %+v", what, h)
		}
		if got := h.Config.AccessKeys.Version != version; got != changes {
			t.Errorf("%s: another version of the keys: %v", what, got)
		}
		if got := logged() == lines+1; got != changes {
			t.Errorf("%s: logged: %v", what, got)
		}
		for key, status := range want {
			if got := ask(key); got != status {
				t.Errorf("%s: %s gets %d, want %d", what, key, got, status)
			}
		}
	}
	with := func(key, fields string) string { return keys(strings.Replace(key, "}", ", "+fields+"}", 1)) }
	reload("nothing", keys(one), false, false, map[string]int{keyOne: 200, keyTwo: 401})
	reload("one more", keys(one+two), false, true, map[string]int{keyOne: 200, keyTwo: 200})
	reload("the first is gone", keys(two), false, true, map[string]int{keyOne: 401, keyTwo: 200})
	reload("a scope, and a signal", with(two, "configuration: {access: {models: {allow: []}}}"), true, true, map[string]int{keyTwo: 403})
	reload("metadata", with(two, "metadata: {team: x}"), false, true, map[string]int{keyTwo: 200})
	if k := b.current.load().Keys.Named("two"); k == nil || k.Metadata["team"] != "x" {
		t.Errorf("the key is %+v", k)
	}
	for metric, want := range map[string]string{"weir_access_key_changes_total": "4", "weir_access_keys": "1", `weir_config_reloads_total{result="accepted"}`: "5"} {
		if _, body := b.get("/metrics"); !strings.Contains(body, "\n"+metric+" "+want+"\n") {
			t.Errorf("%s is not %s", metric, want)
		}
	}

	// Bad keys change nothing. Good ones after them are a change of keys alone.
	good := b.config
	bad := func() {
		t.Helper()
		before, version := now(), b.Health().Config.AccessKeys.Version
		b.config = keys(one + one)
		b.reload(t.Context(), false)
		if h := b.Health(); now() != before || h.Status != "degraded" || len(h.Config.Problems) != 2 || h.Config.AccessKeys.Version != version || ask(keyTwo) != 200 {
			t.Errorf("%+v, before %+v: /healthz %+v", now(), before, h.Config)
		}
	}
	bad()
	reload("the good ones again", good, false, false, map[string]int{keyTwo: 200})
	bad()
	reload("other good ones", keys(one), false, true, map[string]int{keyOne: 200, keyTwo: 401})

	// Without keys the gateway serves everybody: that is another policy.
	other := func(config string, want int) {
		t.Helper()
		before := now()
		b.config = config
		b.reload(t.Context(), false)
		if after := now(); after.policy == before.policy || after.published == before.published || after.replaced != before.replaced+1 {
			t.Errorf("%+v, before %+v", after, before)
		}
		if got := ask("nobody"); got != want {
			t.Errorf("without a key: %d, want %d", got, want)
		}
	}
	other(provider("p", p.URL()), 200)
	other(keys(one), 401)
	if got := ask(keyOne); got != 200 {
		t.Errorf("with the key: %d", got)
	}
}

// askWith asks with an access key.
func (b *rig) askWith(key, body string) *http.Response {
	b.t.Helper()
	sockets, err := b.addresses.sockets(b.current.Load())
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, "http://"+sockets[0].String()+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

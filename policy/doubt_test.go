package policy

import (
	"strings"
	"testing"
	"time"
)

// TestDoubtfulKeys: keys that no provider accepts, and keys that are written in the file, are
// warnings at their place. No warning contains a key.
func TestDoubtfulKeys(t *testing.T) {
	const secret = `"${secrets.get('p', 'key')}"`
	f := func(value, env, want string) {
		t.Helper()
		w := newWorld()
		w.env["WEIR_SECRET_P_KEY"] = env
		w.files["/s/p/key"] = env
		loaded := w.loaded(t, "secrets: {dir: /s}\nproviders:\n- id: my-p\n  base_url: http://localhost:1\n  api_keys:\n  - value: "+value+"\n", Loaded{})
		got := loaded.Warnings(time.Now()).Error()
		if want != "" {
			want = "weir.yaml:6: providers[0].api_keys[0].value: the key " + want
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("value %s, variable %q: %q, want %q", value, env, got, want)
		}
		if key := strings.Trim(value, `"'`); strings.Contains(got, "sk-1") || env == "" && strings.Contains(got, key) {
			t.Errorf("value %s, variable %q: %q contains the key", value, env, got)
		}
		values := loaded.Policy.Credentials(loaded.Policy.Clusters[0].Name)
		if strings.ContainsAny(strings.Join(values, ""), "\r\n") {
			t.Errorf("value %s, variable %q: a line break in %q", value, env, values)
		}
	}
	f(secret, "sk-1", "")
	f(secret, "sk-1\n", "")
	f(secret, "sk-1\r\n", "")
	f(secret, "\ufeffsk-1\n", "begins with a byte order mark")
	f(secret, "sk-1•••", "has a character that is not ASCII at byte 4")
	f(secret, "sk-1\u200b", "has a character that is not ASCII at byte 4")
	f(secret, `"sk-1"`, "is in quotes")
	f(secret, "'sk-1'", "is in quotes")
	f(secret, "sk-1'", "is in quotes")
	f(secret, "Bearer sk-1", `begins with "bearer"`)
	f(secret, "sk-1 sk-2", "has white space")
	f(secret, "sk-1\tsk-2", "has white space")
	f(secret, "os.environ/OPENAI_API_KEY", "is the name of an environment variable")
	f(secret, "$OPENAI_API_KEY", "is the name of an environment variable")
	f(secret, "${OPENAI_API_KEY}", "is the name of an environment variable")
	f(secret, "op://vault/openai/key", "is a reference to a secret manager")
	f(secret, "<your key>", "has white space")
	f(secret, "<your-key>", "is the placeholder")
	f(secret, "YOUR_API_KEY", "is the placeholder")
	f(secret, "sk-xxxx", "is the placeholder")
	f(`"${secrets.get('p', 'key')}${''}"`, "sk-1 2", "has white space")
	f("sk-1abc", "", "is written in the file: write ${secrets.get('my-p', 'api-key')}, and put the key into WEIR_SECRET_MY_P_API_KEY")
	f("ollama", "", "")
	f("EMPTY", "", "")
	f("xxxx", "", "is the placeholder")
	f("'\"abcdefgh\"'", "", "is in quotes")
	// Where the configuration says how the key is sent, a scheme may be part of it.
	f("sk-1\n  auth: {header: x-auth}", "", "is written")
	f(secret+"\n  auth: {header: x-auth}", "Token sk-1", "")
}

// TestDoubtMoves: the warning is at the line of the file that was read last.
func TestDoubtMoves(t *testing.T) {
	const provider = "providers: [{id: p, base_url: 'http://localhost:1', api_keys: [{value: sk-1abc}]}]\n"
	w := newWorld()
	first := w.loaded(t, "access_keys: [{name: a, value: 0123456789abcdef}]\n"+provider, Loaded{})
	second := w.loaded(t, "access_keys:\n- {name: a, value: 0123456789abcdef}\n- {name: b, value: 0123456789abcdeg}\n"+provider, first)
	if first.Policy != second.Policy {
		t.Error("access keys compile a policy")
	}
	for loaded, line := range map[*Loaded]string{&first: "weir.yaml:2:", &second: "weir.yaml:4:"} {
		if got := loaded.Warnings(time.Now()).Error(); !strings.HasPrefix(got, line) {
			t.Errorf("%q, want %s", got, line)
		}
	}
}

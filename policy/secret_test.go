package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"weir/policy/config"
)

const hunter = "hunter2"

// holder has secrets where methods cannot be called on them, too.
type holder struct {
	Public  config.Secret
	Pointer *config.Secret
	List    []config.Secret
	ByName  map[string]config.Secret
	Any     any
	private config.Secret
	inner   struct{ deeper []config.Secret }
}

// printed gives every form that a value can be printed in.
func printed(t *testing.T, v any) map[string]string {
	t.Helper()
	forms := map[string]string{"Sprint": fmt.Sprint(v), "error": fmt.Errorf("with %v", v).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%U", "%e", "%o", "%b", "%T", "%10s", "%-3v", "% x", "%p"} {
		forms[verb] = fmt.Sprintf(verb, v)
	}
	if b, err := json.Marshal(v); err == nil {
		forms["json"] = string(b)
	}
	b, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	forms["yaml"] = string(b)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("m", "secret", v, slog.Group("g", "secret", v))
		forms[name] = b.String()
	}
	return forms
}

// A secret's value is in no form of printing, wherever the secret stands.
func TestSecretIsNeverPrinted(t *testing.T) {
	s := config.NewSecret(hunter)
	h := holder{Public: s, Pointer: &s, List: []config.Secret{s}, ByName: map[string]config.Secret{"k": s}, Any: s, private: s}
	h.inner.deeper = []config.Secret{s}
	for what, v := range map[string]any{
		"itself": s, "pointer": &s, "slice": []config.Secret{s}, "array": [1]config.Secret{s}, "value of a map": map[string]config.Secret{"k": s}, "key of a map": map[config.Secret]int{s: 1},
		"struct": h, "pointer to a struct": &h, "in an interface": []any{s}, "certificate": Certificate{"chain", s}, "key reference": keyRef{"#1", "#0", s},
		"template": config.Template(hunter), "mixed template": config.Template(hunter + "${secrets.get('a', 'b')}" + hunter), "struct of templates": config.APIKeyConfig{Value: hunter},
		"map of templates": config.GatewayConfig{Headers: map[string]config.Template{"x": hunter}},
	} {
		for form, text := range printed(t, v) {
			if form == "%p" && strings.Contains(what, "template") {
				continue // a string has no address, and the complaint of fmt asks no method
			}
			for _, trace := range []string{hunter, fmt.Sprintf("%x", hunter), fmt.Sprintf("% x", hunter), strings.Trim(fmt.Sprint([]byte(hunter)), "[]")} {
				if strings.Contains(strings.ToLower(text), trace) {
					t.Errorf("%s as %s: %s", what, form, text)
				}
			}
		}
	}
}

func TestSecretForms(t *testing.T) {
	s := config.NewSecret(hunter)
	forms := printed(t, s)
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%10s"} {
		if forms[form] != config.Redacted {
			t.Errorf("%s: %s", form, forms[form])
		}
	}
	if s.String() != config.Redacted || s.GoString() != config.Redacted || forms["json"] != `"[redacted]"` || forms["yaml"] != "'[redacted]'\n" {
		t.Errorf("%s %s json %s yaml %s", s.String(), s.GoString(), forms["json"], forms["yaml"])
	}
	if s.Reveal() != hunter || (config.Secret{}).Reveal() != "" || config.NewSecret("").Reveal() != "" {
		t.Error("Reveal")
	}
	//lint:ignore SA9005 that it cannot be read is what is tested
	if err := json.Unmarshal([]byte(`"x"`), &s); err == nil {
		t.Error("a secret can be read from JSON, and so be made of its redacted form")
	}
}

func TestTemplateForms(t *testing.T) {
	for template, want := range map[config.Template]string{
		"": "", hunter: config.Redacted, "${secrets.get('a','b')}": "${secrets.get('a','b')}",
		"x ${secrets.get('a','b')} y ${ secrets.get( \"c\" , 'd' ) } z": "${secrets.get('a','b')}${ secrets.get( \"c\" , 'd' ) }",
	} {
		if got := template.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestSecretStore(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/s/denied/key", Err: fs.ErrPermission}
	store := config.SecretStore{
		Dir: "/s",
		Getenv: func(name string) string {
			return map[string]string{"WEIR_SECRET_A_B_C_D_1": "env", "WEIR_SECRET_LINE_KEY": "a\nb", "WEIR_SECRET_WIDE_KEY": "a ", "WEIR_SECRET__N_KEY": "odd"}[name]
		},
		ReadFile: func(name string) ([]byte, error) {
			switch name {
			case "/s/file/key":
				return []byte("from a file\n"), nil
			case "/s/empty/key":
				return []byte("\r\n"), nil
			case "/s/denied/key":
				return nil, denied
			}
			return nil, fs.ErrNotExist
		},
	}
	f := func(name, key, want string) {
		t.Helper()
		v, err := store.Get(name, key)
		got := v.Reveal()
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%s, %s:\n got %s\nwant %s", name, key, got, want)
		}
	}
	f("a.b", "c/d-1", "env")
	f("A-B", "C_D 1", "env")
	f("ün", "key", "odd")
	f("file", "key", "from a file")
	f("empty", "key", `error: secret "key" of store "empty" is empty`)
	f("line", "key", `error: secret "key" of store "line" has a control character at byte 1: it cannot be sent in a header`)
	f("wide", "key", `error: secret "key" of store "wide" begins or ends with white space, which a header cannot carry`)
	f("denied", "key", `error: secret "key" of store "denied" is missing: set the environment variable WEIR_SECRET_DENIED_KEY, or write the file /s/denied/key (open /s/denied/key: permission denied)`)
	f("none", "key", `error: secret "key" of store "none" is missing: set the environment variable WEIR_SECRET_NONE_KEY, or write the file /s/none/key`)
	for _, name := range []string{"..", ".", "", "/", "a/../b"} {
		f(name, "key", fmt.Sprintf(`error: secret store %q, key "key": names must be single path segments`, name))
		f("store", name, fmt.Sprintf(`error: secret store "store", key %q: names must be single path segments`, name))
	}
	store.Dir = ""
	f("file", "key", `error: secret "key" of store "file" is missing: set the environment variable WEIR_SECRET_FILE_KEY`)
}

// Secrets are read in the order of the specification, each place for itself.
func TestLoadSecrets(t *testing.T) {
	const config = `
secrets: {dir: secrets}
providers:
  - {id: p, base_url: https://p.internal, api_keys: [{value: "${secrets.get('my-store', 'api.key')}"}]}
`
	f := func(env, file, want string) {
		t.Helper()
		w := newWorld()
		w.env["WEIR_SECRET_MY_STORE_API_KEY"] = env
		if file != "" {
			w.files["secrets/my-store/api.key"] = file
		}
		p := w.load(t, config)
		var got []string
		for _, s := range p.Secrets {
			got = append(got, s.Reveal())
		}
		if !slices.Equal(got, []string{want}) {
			t.Errorf("env %q, file %q: got %q, want %q", env, file, got, want)
		}
		if _, inFiles := p.inputs[inputFile+"secrets/my-store/api.key"]; inFiles != (env == "") {
			t.Errorf("env %q: inputs %q", env, p.inputs)
		}
	}
	f("from env", "", "from env")
	f("from env", "from file", "from env")
	f("", "from file", "from file")
	f("", "from file\r\n", "from file")
	f("", "two ${secrets.get('a','b')} words\n\n", "two ${secrets.get('a','b')} words")
}

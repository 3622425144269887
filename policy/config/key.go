package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// environmentForms are the ways in which other programs refer to an environment variable.
// Weir expands none of them. The first group is the name of the variable.
//
//   - os.environ/NAME: LiteLLM (https://docs.litellm.ai/docs/proxy/configs)
//   - os.environ["NAME"], os.getenv("NAME"), process.env.NAME: Python and Node
//   - $NAME, ${NAME}, ${NAME:-default}: shells and Docker Compose
//     (https://docs.docker.com/reference/compose-file/interpolation/)
//   - $env:NAME, %NAME%: PowerShell and cmd
//   - env.NAME, env:NAME, env/NAME, env(NAME), {{ env.NAME }}: other gateways and templates
var environmentForms = []*regexp.Regexp{
	form(`os\.environ/(\w+)`),
	form(`os\.(?:environ|getenv|environ\.get)[\[(]\s*['"](\w+)['"].*[\])]`),
	form(`\$([A-Za-z_]\w*)`),
	form(`\$\{(?:env[.:])?([A-Z_][A-Z0-9_]*)(?::?[-?+].*)?\}`),
	form(`(?i:\$env:)(\w+)`),
	form(`%([A-Za-z_]\w*)%`),
	form(`(?:process\.)?(?i:env)[.:/](\w+)`),
	form(`(?i:env)[\[(]\s*['"]?(\w+)['"]?\s*[\])]`),
	form(`\{\{\s*(?:env[.:]|\$)?\.?([\w.]+)\s*\}\}`),
}

// form compiles an expression for a whole value, with or without a scheme before it.
func form(expr string) *regexp.Regexp {
	return regexp.MustCompile(`^(?i:bearer )?\s*` + expr + `$`)
}

// environmentHint returns what to write in place of a reference to an environment variable,
// or an empty string if text is not one.
func environmentHint(text string) string {
	for _, f := range environmentForms {
		if m := f.FindStringSubmatch(strings.TrimSpace(text)); m != nil {
			store, key := secretNamed(m[1])
			return fmt.Sprintf("environment variables are not expanded: write ${secrets.get('%s', '%s')}; it reads %s", store, key, EnvName(store, key))
		}
	}
	return ""
}

// secretNamed returns the store and the key of a secret for an environment variable:
// OPENAI_API_KEY is "openai", "api-key".
func secretNamed(variable string) (store, key string) {
	store, key, found := strings.Cut(strings.ReplaceAll(strings.ToLower(variable), "_", "-"), "-")
	if !found || store == "" || key == "" {
		return "openai", "api-key"
	}
	return store, key
}

// unusedKeys are what the documentation of servers without keys tells clients to send, in
// lower case. They are not secrets.
//
//   - ollama: https://docs.ollama.com/api/openai-compatibility
//   - lm-studio: https://lmstudio.ai/docs/developer/openai-compat
//   - empty: https://docs.vllm.ai/en/latest/getting_started/quickstart.html
//   - sk-no-key-required: https://github.com/ggml-org/llama.cpp/tree/master/tools/server
var unusedKeys = []string{"ollama", "lm-studio", "empty", "none", "null", "unused", "dummy", "no-key", "not-needed", "sk-no-key-required"}

// secretManagers match references to a secret manager: 1Password, HashiCorp Vault, AWS,
// Google Cloud, vals and Kubernetes CSI drivers.
var secretManagers = form(`(?:op://|vault:|file://|arn:aws:secretsmanager:|projects/[^/]+/secrets/|ref\+\w+:|awssm:|gcpsm:).*`)

// fillIns match what examples have in place of a key.
var fillIns = form(`(?i:<.*>|(?:sk-)?(?:your|insert|enter|replace)[-_ ]?.*(?:key|token|secret).*|change-?_?me|(?:sk-)?(?:x{3,}|\*{3,}|\.{3,}))`)

// KeyDoubt returns why a value cannot be the key of a provider, or an empty string. Every
// request with such a key would get status 401. scheme says that Weir sends the key after a
// scheme of its own. The text does not repeat the value.
func KeyDoubt(value string, scheme bool) string {
	if value == "" {
		return ""
	}
	first, _, spaced := strings.Cut(value, " ")
	switch i := strings.IndexFunc(value, func(r rune) bool { return r > unicode.MaxASCII }); {
	case environmentHint(value) != "":
		return "the key is the name of an environment variable that nothing has expanded"
	case secretManagers.MatchString(value):
		return "the key is a reference to a secret manager, which Weir does not read: set the secret to the key itself"
	case strings.HasPrefix(value, "\ufeff"):
		return "the key begins with a byte order mark: save the file as UTF-8 without one"
	case i >= 0:
		return fmt.Sprintf("the key has a character that is not ASCII at byte %d: copy the key again", i)
	case strings.ContainsAny(value[:1], "'\"`") || strings.ContainsAny(value[len(value)-1:], "'\"`"):
		return "the key is in quotes, which would be sent: remove them"
	case scheme && spaced && (strings.EqualFold(first, "bearer") || strings.EqualFold(first, "basic")):
		return fmt.Sprintf("the key begins with %q, which Weir adds itself: remove it", strings.ToLower(first))
	case scheme && strings.ContainsAny(value, " \t"):
		return "the key has white space in it: copy the key again"
	case fillIns.MatchString(value):
		return "the key is the placeholder of an example: set it to a real key"
	}
	return ""
}

// Doubt returns what is wrong with a template as a provider's key of the given value, or an
// empty string. A key that is written in the file is readable to everybody who can read
// the file. provider is the id of the provider.
func (t Template) Doubt(value Secret, provider string, scheme bool) string {
	if doubt := KeyDoubt(value.Reveal(), scheme); doubt != "" {
		return doubt
	}
	if strings.Contains(string(t), "${") || slices.Contains(unusedKeys, strings.ToLower(string(t))) {
		return ""
	}
	return fmt.Sprintf("the key is written in the file: write ${secrets.get('%s', 'api-key')}, and put the key into %s", provider, EnvName(provider, "api-key"))
}

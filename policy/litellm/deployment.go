package litellm

import (
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"weir/policy/config"
)

// environ is how LiteLLM writes a reference to an environment variable.
const environ = "os.environ/"

// deployment reads an entry of model_list.
func (i *importer) deployment(path string, n *yaml.Node) {
	all := fields(n)
	named, _ := find(all, "model_name")
	params, ok := find(all, "litellm_params")
	if !ok || text(named.value) == "" {
		i.note(field{line: lineOf(n)}, path, "is left out: it has no model_name or no litellm_params")
		return
	}
	for _, f := range all {
		switch f.name {
		case "model_name", "litellm_params", "model_info":
		default:
			i.note(f, path+"."+f.name, "has no counterpart")
		}
	}
	d := deployment{name: text(named.value)}
	path += ".litellm_params"
	p := i.params(path, fields(params.value), params)
	if p == nil {
		return
	}
	d.model = model{ID: d.name, sent: p.model}
	if info, ok := find(all, "model_info"); ok {
		i.info(strings.TrimSuffix(path, ".litellm_params")+".model_info", info, &d.model)
	}
	d.provider = i.provider(p)
	i.deployments = append(i.deployments, d)
}

// target is where a deployment's requests go.
type target struct {
	family  family
	model   string // what the provider calls it; "*" stands for all of its models
	base    string
	key     string // the expression of the secret
	headers map[string]string
}

// identity distinguishes providers: deployments that share all of this are one.
func (t *target) identity() string {
	var b strings.Builder
	for _, s := range []string{t.family.id, t.base, t.key, strconv.FormatBool(t.everything())} {
		b.WriteString(strconv.Quote(s))
	}
	for _, name := range sortedKeys(t.headers) {
		b.WriteString(strconv.Quote(name) + strconv.Quote(t.headers[name]))
	}
	return b.String()
}

// everything reports whether the target is a server of which every model may be asked for.
// It is a provider of its own: one that lists models serves no other bare names.
func (t *target) everything() bool { return t.model == "*" && !t.family.builtIn }

// params reads litellm_params; nil if the provider cannot be reached.
func (i *importer) params(path string, all []field, at field) *target {
	value := func(name string) string {
		f, _ := find(all, name)
		return text(f.value)
	}
	full := value("model")
	prefix, rest, found := strings.Cut(full, "/")
	if custom := value("custom_llm_provider"); custom != "" && custom != prefix {
		prefix, rest, found = custom, full, true
	}
	f, known := families[prefix]
	switch {
	case !found:
		f, rest = families[authorOf(full)], full
	case !known:
		i.note(at, path, "is left out: provider %q has no API of OpenAI's or Anthropic's format that Weir knows. If it has one, add it under providers", prefix)
		return nil
	}
	if rest == "" {
		i.note(at, path, "is left out: it names no model")
		return nil
	}
	if strings.Contains(rest, "*") && rest != "*" {
		i.note(at, path, "is a pattern: every model of the provider may be asked for")
		rest = "*"
	}
	t := &target{family: f, model: rest}
	base, _ := find(all, "api_base")
	if base.value == nil {
		base, _ = find(all, "base_url")
	}
	if !i.base(t, path, base, value("api_version"), at) {
		return nil
	}
	key, stated := find(all, "api_key")
	switch {
	case stated && placeholders[strings.ToLower(text(key.value))] && t.isLocal():
	case stated:
		t.key = i.secret(key, path+".api_key", t.family.id, "api-key")
	case t.family.key != "" && !f.local:
		t.key = i.reference(t.family.key)
	}
	for _, one := range all {
		switch one.name {
		case "model", "custom_llm_provider", "api_base", "base_url", "api_key", "api_version":
		case "extra_headers", "headers":
			i.headers(t, path+"."+one.name, one)
		case "organization":
			t.header("OpenAI-Organization", text(one.value))
		case "rpm", "tpm", "max_parallel_requests":
			i.note(one, path+"."+one.name, "has no counterpart: limits are those of access keys and of the gateway, not of providers")
		case "weight", "order":
			i.note(one, path+"."+one.name, "has no counterpart: providers are tried in their order, or in that of a strategy")
		case "drop_params", "additional_drop_params":
			i.note(one, path+"."+one.name, "has no counterpart: list what the model refuses under unsupported_params")
		default:
			i.note(one, path+"."+one.name, "has no counterpart")
		}
	}
	return t
}

// authorOf guesses the provider of a model without a prefix, as LiteLLM does.
func authorOf(model string) string {
	switch {
	case strings.HasPrefix(model, "claude-"):
		return "anthropic"
	case strings.HasPrefix(model, "gemini-"):
		return "gemini"
	case strings.HasPrefix(model, "deepseek-"):
		return "deepseek"
	}
	return "openai"
}

// base finds the base URL.
func (i *importer) base(t *target, path string, f field, version string, at field) bool {
	raw := text(f.value)
	if name, ok := strings.CutPrefix(raw, environ); ok {
		if raw = i.getenv(name); raw == "" {
			raw = "https://" + strings.Trim(strings.ToLower(strings.ReplaceAll(name, "_", "-")), "-") + ".invalid"
			i.note(f, path+"."+f.name, "write the value of %s: a base URL cannot come from the environment", name)
		}
	}
	if raw == "" {
		if raw = t.family.base; raw == "" {
			i.note(at, path, "is left out: provider %q needs an api_base", t.family.id)
			return false
		}
		if t.family.builtIn {
			return true
		}
	} else if t.family.builtIn {
		// A server of one's own that has this API.
		// The family's own key stays with the family: only a stated one goes there.
		t.family = family{id: hostID(raw), local: isInside(raw)}
	}
	raw = strings.TrimRight(raw, "/")
	if t.family.id == "azure" {
		raw = azure(raw, t.model, version)
	} else if s := t.family.suffix; s != "" && !strings.HasSuffix(raw, s) {
		raw += s
	}
	t.base = raw
	_, err := config.ParseBaseURL(raw, i.httpHosts)
	if u, _ := url.Parse(raw); err != nil && u != nil && u.Scheme == "http" {
		i.httpHosts = append(i.httpHosts, u.Hostname())
		i.note(f, path+"."+f.name, "is plain http to a host that may be outside: allow_http_hosts permits it")
		_, err = config.ParseBaseURL(raw, i.httpHosts)
	}
	if err != nil {
		i.note(f, path+"."+f.name, "is left out: %v", err)
		return false
	}
	return true
}

// azure returns the base URL of a deployment, or of the API that needs no version.
func azure(base, deployment, version string) string {
	if u, err := url.Parse(base); err != nil || strings.Contains(u.Path, "/openai") {
		return base
	}
	if version == "" || strings.HasPrefix(version, environ) {
		return base + "/openai/v1"
	}
	return base + "/openai/deployments/" + url.PathEscape(deployment) + "?api-version=" + url.QueryEscape(version)
}

func (t *target) isLocal() bool { return t.family.local || isInside(t.base) }

// isInside reports whether a base URL may be plain http without being listed.
func isInside(raw string) bool {
	_, err := config.ParseBaseURL("http://"+strings.TrimPrefix(strings.TrimPrefix(raw, "https://"), "http://"), nil)
	return err == nil
}

// hostID makes a provider's id of the host of a base URL.
func hostID(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return "server"
	}
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(u.Host))
	id = strings.Trim(id, ".-_")
	if len(id) > 48 {
		id = strings.Trim(id[:48], ".-_")
	}
	if id == "" {
		return "server"
	}
	return id
}

func (t *target) header(name, value string) {
	if t.headers == nil {
		t.headers = map[string]string{}
	}
	t.headers[name] = value
}

func (i *importer) headers(t *target, path string, f field) {
	for _, one := range fields(f.value) {
		value := text(one.value)
		if strings.HasPrefix(value, environ) || looksSecret(one.name) {
			value = i.secret(one, path+"."+one.name, t.family.id, strings.ToLower(one.name))
		}
		t.header(one.name, value)
	}
}

// looksSecret reports whether a header may carry a credential.
func looksSecret(header string) bool {
	name := strings.ToLower(header)
	return slices.ContainsFunc([]string{"auth", "key", "token", "secret", "cookie", "password"}, func(s string) bool { return strings.Contains(name, s) })
}

// secret returns the expression that reads a value of the file: a variable that it refers
// to, or else one that takes the place of the value.
func (i *importer) secret(f field, path, store, key string) string {
	if name, ok := strings.CutPrefix(text(f.value), environ); ok {
		return i.reference(name)
	}
	value := text(f.value)
	s, known := i.literals[value]
	if !known {
		s = i.claim(Secret{}, store, key)
		i.literals[value] = s
	}
	i.note(f, path, "is not copied, because it may be a key: set %s to it", s.Variable)
	return s.expression
}

// reference returns the expression for a variable that LiteLLM reads.
func (i *importer) reference(variable string) string {
	store, key := "litellm", secretName(strings.TrimPrefix(variable, "LITELLM_"))
	if owner, ok := strings.CutSuffix(variable, "_API_KEY"); ok && owner != "" {
		store, key = secretName(owner), "api-key"
	}
	return i.claim(Secret{From: variable}, store, key).expression
}

// claim gives a secret a name that no other secret has.
func (i *importer) claim(s Secret, store, key string) Secret {
	for n := 1; ; n++ {
		name := key
		if n > 1 {
			name = key + "-" + strconv.Itoa(n)
		}
		s.Variable, s.expression = config.EnvName(store, name), "${secrets.get('"+store+"', '"+name+"')}"
		other, taken := i.secrets[s.Variable]
		if taken && (other.From != s.From || s.From == "") {
			continue
		}
		i.secrets[s.Variable] = s
		return s
	}
}

// secretName writes a variable's name as stores and keys are written: openai for OPENAI.
func secretName(variable string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(variable))
}

// info reads model_info.
func (i *importer) info(path string, info field, m *model) {
	for _, f := range fields(info.value) {
		switch f.name {
		case "input_cost_per_token":
			m.price().Input = perMillion(text(f.value))
		case "output_cost_per_token":
			m.price().Output = perMillion(text(f.value))
		case "cache_read_input_token_cost":
			m.price().CacheRead = perMillion(text(f.value))
		case "cache_creation_input_token_cost":
			m.price().CacheWrite = perMillion(text(f.value))
		case "max_input_tokens":
			m.ContextWindow, _ = strconv.Atoi(text(f.value))
		case "max_output_tokens", "max_tokens":
			m.MaxOutput, _ = strconv.Atoi(text(f.value))
		case "mode", "id", "base_model", "description", "litellm_provider", "db_model":
		default:
			if strings.HasPrefix(f.name, "supports_") {
				if text(f.value) == "true" {
					m.Features = append(m.Features, strings.TrimPrefix(f.name, "supports_"))
				}
				continue
			}
			i.note(f, path+"."+f.name, "has no counterpart")
		}
	}
}

// perMillion returns a price of one token as that of a million, exactly.
func perMillion(price string) string {
	r, ok := new(big.Rat).SetString(price)
	if !ok || r.Sign() < 0 || len(price) > 40 {
		return ""
	}
	s := r.Mul(r, big.NewRat(1_000_000, 1)).FloatString(9)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func lineOf(n *yaml.Node) int {
	if n == nil {
		return 0
	}
	return n.Line
}

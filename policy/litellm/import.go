package litellm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Result is a configuration of Weir, and what there is to know about it.
type Result struct {
	// YAML is the configuration.
	YAML []byte
	// Secrets are the environment variables that the configuration reads, by name.
	Secrets []Secret
	// Notes say what was left out, in the order of the lines.
	Notes []Note
}

// Secret is an environment variable that the configuration reads a key from.
type Secret struct {
	Variable string
	// From is the variable that LiteLLM reads; empty where the file has the key itself.
	From string

	expression string
}

// Note is a remark on a line of LiteLLM's file.
type Note struct {
	Line int
	Path string
	Text string
}

// Import reads a configuration of LiteLLM. getenv is asked for base URLs that the file
// takes from the environment. It fails if the file is not YAML, or not such a configuration.
func Import(data []byte, getenv func(string) string) (Result, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return Result{}, err
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return Result{}, fmt.Errorf("not a configuration of LiteLLM: the file is not a map with model_list")
	}
	top := fields(root.Content[0])
	if _, ok := find(top, "model_list"); !ok {
		return Result{}, fmt.Errorf("not a configuration of LiteLLM: model_list is missing")
	}
	i := &importer{getenv: getenv, secrets: map[string]Secret{}, literals: map[string]Secret{}}
	for _, f := range top {
		switch f.name {
		case "model_list":
			for n, item := range resolve(f.value).Content {
				i.deployment(fmt.Sprintf("model_list[%d]", n), resolve(item))
			}
		case "router_settings", "litellm_settings", "general_settings":
			i.settings(f.name, f.value)
		case "environment_variables":
			i.note(f, f.name, "set these variables in the environment of Weir")
		case "include":
			i.note(f, f.name, "import each of these files as well")
		default:
			i.note(f, f.name, "has no counterpart")
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(i.config()), enc.Close()); err != nil {
		return Result{}, err
	}
	slices.SortStableFunc(i.notes, func(a, b Note) int { return cmp.Compare(a.Line, b.Line) })
	r := Result{YAML: out.Bytes(), Notes: i.notes}
	for _, name := range slices.Sorted(maps.Keys(i.secrets)) {
		r.Secrets = append(r.Secrets, i.secrets[name])
	}
	return r, nil
}

// importer collects what the file says.
type importer struct {
	getenv    func(string) string
	notes     []Note
	secrets   map[string]Secret // by variable
	literals  map[string]Secret // by the value in the file
	providers []*provider
	httpHosts []string

	deployments []deployment
	aliases     []alias
	fallbacks   []fallback
	everywhere  fallback // of models that have none of their own
	routing     string
	attempt     time.Duration
	failures    int
	ejection    time.Duration
	master      string // value of the master key
	maxBody     int64
}

// deployment is an entry of model_list: a model of a provider under a public name.
type deployment struct {
	name     string
	provider *provider
	model    model
}

// alias is another name of a model.
type alias struct {
	field
	to string
}

// fallback is an ordered list of model names that serve the name of the field if its own
// models fail.
type fallback struct {
	field
	targets []string
}

// field is a member of a map.
type field struct {
	name  string
	line  int
	value *yaml.Node
}

// fields returns the members of a map, those that `<<` merges after its own.
func fields(n *yaml.Node) []field {
	n = resolve(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var out, merged []field
	for k := 0; k+1 < len(n.Content); k += 2 {
		name, value := n.Content[k], n.Content[k+1]
		if name.Value == "<<" {
			merged = append(merged, fields(value)...)
			continue
		}
		out = append(out, field{name.Value, name.Line, value})
	}
	for _, f := range merged {
		if _, ok := find(out, f.name); !ok {
			out = append(out, f)
		}
	}
	return out
}

func find(all []field, name string) (field, bool) {
	i := slices.IndexFunc(all, func(f field) bool { return f.name == name })
	if i < 0 {
		return field{}, false
	}
	return all[i], true
}

// resolve follows aliases. The library has checked that they end.
func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// text returns a scalar, or nothing.
func text(n *yaml.Node) string {
	if n = resolve(n); n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return strings.TrimSpace(n.Value)
}

// texts returns the scalars of a list.
func texts(n *yaml.Node) []string {
	var out []string
	if n = resolve(n); n != nil && n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			out = append(out, text(item))
		}
	}
	return out
}

func (i *importer) note(f field, path, format string, args ...any) {
	i.notes = append(i.notes, Note{f.line, path, fmt.Sprintf(format, args...)})
}

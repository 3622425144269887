package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"weir/llm"
	"weir/policy/nearest"
)

// unknown reports a field that a struct does not have, with what was probably meant.
func (d *decoder) unknown(e mapEntry, path string, t reflect.Type, known []string, all []mapEntry) {
	p := Problem{File: d.pos.file, Line: e.name.Line, Column: e.name.Column, Path: path}
	p.Message = fmt.Sprintf("unknown field %q", llm.Clip(e.key))
	missing := slices.DeleteFunc(slices.Clone(known), func(name string) bool {
		return slices.ContainsFunc(all, func(other mapEntry) bool { return other.key == name })
	})
	if meant := spelled(e.key, missing); meant != "" {
		p.suggest(path, meant)
	} else if text := advice(e.key); text != "" {
		p.Message += ": " + text
	} else if meant := related(e.key, missing); len(meant) > 0 {
		p.suggest(path, meant...)
	} else if place, ok := placeOf(e.key, t); ok {
		p.move(path, place, e.key)
	} else if place, ok := placeOf(e.key, d.root); ok {
		p.move("", place, e.key)
	}
	d.add(p)
}

// suggest adds the fields that were probably meant.
func (p *Problem) suggest(path string, meant ...string) {
	p.Message += ": did you mean " + alternatives(meant) + "?"
	if len(meant) == 1 {
		p.Unread = JoinPath(path, meant[0])
	}
}

// move adds where the file can have the field: at a place below path, or at the top.
func (p *Problem) move(path, place, field string) {
	if place == "" {
		p.Message += ": it must be at the top level of the file"
	} else {
		p.Message += ": it must be under " + place
	}
	if !strings.Contains(place, "[") {
		p.Unread = JoinPath(JoinPath(path, place), field)
	}
}

// spelled returns the known field that has a similar spelling, or nothing.
func spelled(field string, known []string) string {
	for _, name := range known {
		if fold(name) == fold(field) {
			return name
		}
	}
	if near := nearest.Names(field, known, 1); len(near) > 0 {
		return near[0]
	}
	return ""
}

// related returns the known fields that an unknown one probably stands for: one that
// has this name elsewhere, one that is cut short or longer, or at most three that have
// words in common with it.
func related(field string, known []string) []string {
	for _, name := range otherNames(fold(field)) {
		if slices.Contains(known, name) {
			return []string{name}
		}
	}
	const prefix = 4 // bytes that say enough
	for _, name := range known {
		if min(len(name), len(field)) >= prefix && (strings.HasPrefix(name, field) || strings.HasPrefix(field, name)) {
			return []string{name}
		}
	}
	within := func(words, all []string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(all, word) })
	}
	var longer, shorter []string
	for _, name := range known {
		if within(words(field), words(name)) {
			longer = append(longer, name)
		} else if within(words(name), words(field)) {
			shorter = append(shorter, name)
		}
	}
	if len(longer) == 0 {
		longer = shorter
	}
	return longer[:min(len(longer), 3)]
}

// fold makes baseUrl, base-url and base_url the same.
func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(name))
}

// words returns the words of a name without a plural s.
func words(name string) []string {
	all := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '_' || r == '-' || r == '.' })
	for i, word := range all {
		all[i] = strings.TrimSuffix(word, "s")
	}
	return all
}

// alternatives returns `"a", "b" or "c"`.
func alternatives(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	last := len(quoted) - 1
	if last == 0 {
		return quoted[0]
	}
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// otherNames returns the fields here that other gateways and people call by a name,
// which is folded.
func otherNames(folded string) []string {
	switch folded {
	case "name", "slug":
		return []string{"id", "header"}
	case "uri", "endpoint", "apibase", "apihost", "upstream", "address", "addr", "host", "server", "bind", "port":
		return []string{"listen", "base_url"}
	case "key", "keys", "token", "secret", "credential", "credentials", "masterkey", "virtualkeys":
		return []string{"value", "api_keys", "access_keys"}
	case "clients", "consumers", "users":
		return []string{"access_keys"}
	case "hash", "sha", "digest":
		return []string{"sha256"}
	case "upstreams", "backends", "services", "targets", "endpoints":
		return []string{"providers"}
	case "type", "kind", "provider", "api", "apis", "apitype":
		return []string{"supported_api_surfaces"}
	case "modelname":
		return []string{"id"}
	case "deployment", "upstreammodel":
		return []string{"provider_model_id"}
	case "contextlength", "contextsize":
		return []string{"max_context_window"}
	case "routing", "router", "routingstrategy", "loadbalancing", "loadbalancer":
		return []string{"model_selection"}
	case "retryon", "statuscodes", "onstatuscodes":
		return []string{"failover_on"}
	case "cooldown", "circuitbreaker", "healthcheck", "healthchecks":
		return []string{"outlier_detection"}
	case "price", "prices", "cost", "costs":
		return []string{"pricing"}
	case "prompt":
		return []string{"input"}
	case "completion":
		return []string{"output"}
	case "enabled", "enable":
		return []string{"disabled"}
	case "ssl", "https":
		return []string{"tls"}
	case "insecure", "verify", "sslverify", "verifyssl":
		return []string{"insecure_skip_verify"}
	case "labels", "tags", "annotations":
		return []string{"metadata"}
	case "maxparallelrequests", "maxconcurrentrequests", "concurrency":
		return []string{"max_requests"}
	}
	return nil
}

// advice says what to write in place of a field that other gateways have and that has
// no single counterpart here.
func advice(field string) string {
	switch fold(field) {
	case "modellist", "litellmparams":
		return "write providers, a list in which each has id, base_url, api_keys and models"
	case "litellmsettings", "routersettings":
		return "write model_selection, failover_on and timeouts under on_http_request[].config"
	case "generalsettings":
		return "write access_keys for the keys of clients"
	case "ratelimit", "ratelimits", "rpm", "tpm", "rpmlimit", "tpmlimit", "requestsperminute", "tokensperminute":
		return "Weir limits concurrent requests, not rates: write limits.max_requests_per_key"
	case "fallback", "fallbacks", "defaultfallbacks", "contextwindowfallbacks":
		return "list the providers in the order in which they are tried; failover_on lists the failures after which the next one is tried"
	case "retry", "retries", "numretries", "maxretries", "retrypolicy", "attempts", "maxattempts":
		return "there is one attempt for each model and key; failover_on lists the failures after which the next attempt follows"
	case "weight", "priority", "order":
		return "providers are tried in the order of the file; model_selection changes the order"
	case "env", "environment", "envvars", "environmentvariables":
		return "write ${secrets.get('store', 'key')} where the value is needed; it reads WEIR_SECRET_STORE_KEY"
	}
	if strings.HasPrefix(field, "x-") {
		return "write an anchor (&name) at the first value that uses it"
	}
	return ""
}

// placeOf returns the shortest path from a struct to one that has a field. The path of
// the struct itself is empty.
func placeOf(field string, root reflect.Type) (path string, ok bool) {
	type place struct {
		t    reflect.Type
		path string
	}
	seen := map[reflect.Type]bool{}
	for queue := []place{{root, ""}}; len(queue) > 0; queue = queue[1:] {
		p := queue[0]
		for p.t.Kind() == reflect.Pointer || p.t.Kind() == reflect.Slice {
			if p.t.Kind() == reflect.Slice {
				p.path += "[]"
			}
			p.t = p.t.Elem()
		}
		if p.t.Kind() != reflect.Struct || seen[p.t] {
			continue
		}
		seen[p.t] = true
		names, index := fieldsOf(p.t)
		if slices.Contains(names, field) {
			return p.path, true
		}
		for _, name := range names {
			queue = append(queue, place{p.t.FieldByIndex(index[name]).Type, JoinPath(p.path, name)})
		}
	}
	return "", false
}

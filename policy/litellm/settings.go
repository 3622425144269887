package litellm

import (
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"
)

// settings reads the settings of the router, of the library and of the proxy, which share
// names.
func (i *importer) settings(section string, n *yaml.Node) {
	for _, f := range fields(n) {
		path := section + "." + f.name
		switch f.name {
		case "fallbacks":
			i.addFallbacks(f)
		case "default_fallbacks":
			i.everywhere = fallback{f, texts(f.value)}
		case "context_window_fallbacks", "content_policy_fallbacks":
			i.note(f, path, "has no counterpart: the fallbacks of a model follow every failure that another model may not have")
		case "model_group_alias", "model_alias_map":
			i.addAliases(f)
		case "routing_strategy":
			switch i.routing = text(f.value); i.routing {
			case "", "simple-shuffle", "latency-based-routing", "cost-based-routing":
			default:
				i.note(f, path, "%s has no counterpart: models of one name are tried in random order", i.routing)
			}
		case "timeout", "request_timeout":
			i.attempt = max(i.attempt, seconds(f.value))
		case "allowed_fails":
			i.failures, _ = strconv.Atoi(text(f.value))
		case "cooldown_time":
			i.ejection = seconds(f.value)
		case "master_key":
			i.master = i.secret(f, path, "litellm", "master-key")
		case "max_request_size_mb":
			if mb, err := strconv.ParseFloat(text(f.value), 64); err == nil && mb > 0 {
				i.maxBody = int64(mb * (1 << 20))
			}
		case "num_retries", "max_retries":
			i.note(f, path, "has no counterpart: the attempts are a model's providers and their keys, at most ten")
		case "drop_params":
			i.note(f, path, "has no counterpart: list what a model refuses under unsupported_params")
		case "set_verbose", "json_logs", "telemetry", "debug":
			// Weir logs what it logs.
		case "database_url", "store_model_in_db":
			i.note(f, path, "has no counterpart: what the database has must be written into the file")
		case "success_callback", "failure_callback", "callbacks":
			i.note(f, path, "has no counterpart: read the access log and /metrics")
		default:
			i.note(f, path, "has no counterpart")
		}
	}
}

// addFallbacks reads a list of maps from a name to names.
func (i *importer) addFallbacks(f field) {
	list := resolve(f.value)
	if list == nil || list.Kind != yaml.SequenceNode {
		return
	}
	for _, item := range list.Content {
		for _, one := range fields(item) {
			if one.name == "*" {
				i.everywhere = fallback{one, texts(one.value)}
				continue
			}
			i.fallbacks = append(i.fallbacks, fallback{one, texts(one.value)})
		}
	}
}

// addAliases reads a map from an alias to a name, or to a map with the name.
func (i *importer) addAliases(f field) {
	for _, one := range fields(f.value) {
		to := text(one.value)
		if named, ok := find(fields(one.value), "model"); ok {
			to = text(named.value)
		}
		i.aliases = append(i.aliases, alias{one, to})
	}
}

func seconds(n *yaml.Node) time.Duration {
	s, err := strconv.ParseFloat(text(n), 64)
	if err != nil || s <= 0 || s > 86400 {
		return 0
	}
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

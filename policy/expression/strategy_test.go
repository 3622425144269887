package expression

import (
	"strings"
	"testing"
)

const everything = "gpt-4o gpt-4o-mini claude-sonnet llama3.2:1b"

// TestModels tests what a strategy chooses (docs/models.md). An empty result means
// that the strategy chooses nothing.
func TestModels(t *testing.T) {
	w, models := smallWorld()
	for source, want := range map[string]string{
		// The seeds' strategies, in this world's names.
		"ai.models": everything,
		"ai.models.filter(m, m.provider_id == 'openai')":                      "gpt-4o gpt-4o-mini",
		"ai.models.filter(m, m.provider_id == 'my-provider')":                 "",
		"ai.models.filter(m, m.provider_id in ['ollama', 'gpu-2']).random()":  "llama3.2:1b",
		"ai.models.filter(m, m.provider_id == 'my-provider').random()":        "",
		"ai.models.filter(m, m.id.contains('mini') || m.id.contains('nano'))": "gpt-4o-mini",

		// Functions on lists of models.
		"ai.models.only(['GPT-4O', 'claude-sonnet'])":                               "gpt-4o claude-sonnet",
		"ai.models.only(['gpt-4o-latest'])":                                         "gpt-4o",
		"ai.models.only(['ollama:llama3.2:1b'])":                                    "llama3.2:1b",
		"ai.models.only(['OAI:gpt-4o'])":                                            "gpt-4o",
		"ai.models.only(['anthropic:gpt-4o'])":                                      "",
		"ai.models.only([])":                                                        "",
		"ai.models.ignore(['gpt-4o', 'llama3.2:1b'])":                               "gpt-4o-mini claude-sonnet",
		"ai.models.ignore([])":                                                      everything,
		"ai.models.onlyProviders(['oai', 'Ollama'])":                                "gpt-4o gpt-4o-mini llama3.2:1b",
		"ai.models.ignoreProviders(['openai'])":                                     "claude-sonnet llama3.2:1b",
		"ai.models.onlyAuthors(['Anthropic'])":                                      "claude-sonnet",
		"ai.models.ignoreAuthors(['openai', 'anthropic'])":                          "llama3.2:1b",
		"ai.models.inRegion('us-east-1')":                                           "gpt-4o gpt-4o-mini",
		"ai.models.inRegion('EU-central-1')":                                        "claude-sonnet",
		"ai.models.inRegion('mars')":                                                "",
		"ai.models.inCountryCode('us')":                                             "gpt-4o-mini",
		"ai.models.inCountryCode('DE')":                                             "claude-sonnet",
		"ai.models.underCost('input', 3)":                                           "gpt-4o gpt-4o-mini",
		"ai.models.underCost('text.input', 1.0)":                                    "gpt-4o-mini",
		"ai.models.underCost('output', 15.01)":                                      "gpt-4o gpt-4o-mini claude-sonnet",
		"ai.models.underCost('cache_read', 1.0)":                                    "claude-sonnet",
		"ai.models.underCost('cache_write', 1.0)":                                   "",
		"ai.models.sortBy('price')":                                                 "gpt-4o-mini gpt-4o claude-sonnet llama3.2:1b",
		"ai.models.sortBy(m, m.pricing.output)":                                     "gpt-4o-mini gpt-4o claude-sonnet llama3.2:1b",
		"ai.models.sortBy(m, -m.pricing.output)":                                    "claude-sonnet gpt-4o gpt-4o-mini llama3.2:1b",
		"ai.models.sortBy(m, m.id)":                                                 "claude-sonnet gpt-4o gpt-4o-mini llama3.2:1b",
		"ai.models.sortBy(m, m.provider_id == 'ollama')":                            "gpt-4o gpt-4o-mini claude-sonnet llama3.2:1b",
		"ai.models.sortBy(m, m.metadata.tier)":                                      "gpt-4o-mini gpt-4o claude-sonnet llama3.2:1b",
		"ai.models.sortBy(m, -m.metrics.global.request_count)":                      everything,
		"ai.models.sortBy(m, m.metrics.account.latency.time_to_first_token_ms_p95)": "claude-sonnet llama3.2:1b gpt-4o-mini gpt-4o",
		"ai.models.get('gpt-4o-mini')":                                              "gpt-4o-mini",
		"ai.models.get('OAI:gpt-4o-latest')":                                        "gpt-4o",
		"ai.models.get('nothing')":                                                  "",
		"ai.models.get('openai', 'gpt-4o')":                                         "gpt-4o",
		"ai.models.get('anthropic', 'gpt-4o')":                                      "",
		"ai.models[2]":                                                              "claude-sonnet",
		"ai.models[4]":                                                              "",
		"ai.models.filter(m, m.id == 'no')[0]":                                      "",
		"ai.models.filter(m, m.known && !m.custom)[-1 + 1]":                         "gpt-4o",
		"[ai.models[3], ai.models.get('nothing'), ai.models[0]]":                    "llama3.2:1b gpt-4o",
		"ai.models.onlyProviders(['ollama']) + ai.models.only(['gpt-4o'])":          "llama3.2:1b gpt-4o",
		"ai.models.filter(m, m.id == 'gpt-4o') + ai.models.filter(m, m.metrics.global.request_count == 5)": "gpt-4o gpt-4o-mini",

		// Providers and authors.
		"ai.providers.get('oai').models":                                         "gpt-4o gpt-4o-mini",
		"ai.providers.get('nobody').models":                                      "",
		"ai.providers.get('openai').getModel('gpt-4o')":                          "gpt-4o",
		"ai.providers.get('nobody').getModel('gpt-4o')":                          "",
		"ai.providers.only(['OLLAMA', 'anthropic'])[0].models":                   "claude-sonnet",
		"ai.providers.ignore(['openai'])[1].models":                              "llama3.2:1b",
		"ai.providers.filter(p, p.metadata.location == 'local')[0].models":       "llama3.2:1b",
		"ai.providers.filter(p, p.getMetadata('location') == 'cloud')[0].models": "gpt-4o gpt-4o-mini",
		"ai.providers.exists(p, p.id == 'empty') ? [] : ai.models":               everything,
		"ai.providers.size() == 3 && ai.authors.size() == 2 ? ai.models : []":    everything,
		"ai.authors.get('anthropic').models":                                     "claude-sonnet",
		"ai.authors.only(['openai'])[0].models":                                  "gpt-4o gpt-4o-mini",
		"ai.authors.ignore(['openai']).map(a, a.models)[0]":                      "claude-sonnet",

		// Fields of a model.
		"ai.models.filter(m, m.display_name == 'GPT-4o' && m.author_id == 'openai')":           "gpt-4o",
		"ai.models.filter(m, 'gpt-4o-latest' in m.id_aliases)":                                 "gpt-4o",
		"ai.models.filter(m, 'oai' in m.provider_id_aliases)":                                  "gpt-4o gpt-4o-mini",
		"ai.models.filter(m, 'image' in m.input_modalities)":                                   "gpt-4o",
		"ai.models.filter(m, m.output_modalities.size() > 0)":                                  "",
		"ai.models.filter(m, m.supported_features.exists(f, f.startsWith('cod')))":             "claude-sonnet",
		"ai.models.filter(m, m.supported_features.all(f, f == 'tool-calling'))":                "gpt-4o gpt-4o-mini llama3.2:1b",
		"ai.models.filter(m, m.max_context_window >= 128000 && m.max_output_tokens > 0)":       "gpt-4o",
		"ai.models.filter(m, m.custom)":                                                        "llama3.2:1b",
		"ai.models.filter(m, !m.known)":                                                        "",
		"ai.models.filter(m, m.pricing.input < 3)":                                             "gpt-4o gpt-4o-mini",
		"ai.models.filter(m, has(m.pricing.cache_read))":                                       "claude-sonnet",
		"ai.models.filter(m, m.pricing.input == null)":                                         "llama3.2:1b",
		"ai.models.filter(m, m.metrics.global.error_rate.total < 0.01)":                        "gpt-4o-mini claude-sonnet llama3.2:1b",
		"ai.models.filter(m, m.metrics.global.latency.upstream_ms_p95 < 1200)":                 "gpt-4o claude-sonnet llama3.2:1b",
		"ai.models.filter(m, m.metrics.global.latency.upstream_ms_avg > 0)":                    "gpt-4o gpt-4o-mini",
		"ai.models.exists(m, m.id == 'gpt-4o') ? ai.models.only(['gpt-4o']) : ai.models":       "gpt-4o",
		"ai.models.all(m, m.known) ? ai.models[0] : ai.models[1]":                              "gpt-4o",
		"ai.models.filter(m, m.metrics == m.metrics && m.metrics.global == m.metrics.account)": everything,
		"ai.models.filter(m, m.metrics == ai.models[0].metrics)":                               "gpt-4o",
		"ai.models.map(m, m.custom, m)":                                                        "llama3.2:1b",
		"ai.models.map(m, m.custom ? m : null)":                                                "llama3.2:1b",
		"ai.models.map(m, m.custom ? m : null)[0] == null ? ai.models[1] : ai.models[0]":       "gpt-4o-mini",
		"ai.models.map(m, [m][1]).size() == 4 ? ai.models[1] : ai.models[0]":                   "gpt-4o-mini",
		"ai.models.filter(m, m == ai.models[1])":                                               "gpt-4o-mini",
		"ai.models.filter(m, m in ai.models.only(['gpt-4o']))":                                 "gpt-4o",

		// What is missing reads as null, and fails nothing.
		"ai.models.filter(m, m.metadata.tier == null)":                         "claude-sonnet llama3.2:1b",
		"ai.models.filter(m, m.metadata.tier >= 2)":                            "gpt-4o",
		"ai.models.filter(m, 1 >= m.metadata.tier)":                            "gpt-4o-mini",
		"ai.models.filter(m, m.metadata.no.such.depth == null)":                everything,
		"ai.models.filter(m, m.metadata.no.such.depth.size() == 0)":            everything,
		"ai.models.filter(m, m.metadata['config']['zone'] == 'a')":             "gpt-4o",
		"ai.models.filter(m, m.metadata.config.zone.startsWith('a'))":          "gpt-4o",
		"ai.models.filter(m, m.metadata.config.zone.matches('^[a-c]$'))":       "gpt-4o",
		"ai.models.filter(m, has(m.metadata.config.zone))":                     "gpt-4o",
		"ai.models.filter(m, has(m.metadata.note) && m.metadata.note == null)": "claude-sonnet",
		"ai.models.filter(m, 'tier' in m.metadata)":                            "gpt-4o gpt-4o-mini",
		"ai.models.filter(m, 'eu-west-1' in m.metadata.regions)":               "gpt-4o",
		"ai.models.filter(m, m.metadata.regions.exists(r, r == 'eu-west-1'))":  "gpt-4o",
		"ai.models.filter(m, m.metadata.regions[1] == 'eu-west-1')":            "gpt-4o",
		"ai.models.filter(m, m.metadata.regions[7] == null)":                   everything,
		"ai.models.filter(m, m.metadata.premium)":                              "gpt-4o",
		"ai.models.filter(m, !m.metadata.premium)":                             "gpt-4o-mini claude-sonnet llama3.2:1b",
		"ai.models.filter(m, m.metadata.premium || m.metadata.tier == 1)":      "gpt-4o gpt-4o-mini",
		"ai.models.filter(m, m.metadata.premium ? true : m.custom)":            "gpt-4o llama3.2:1b",
		"ai.models.filter(m, m.getMetadata('config.zone') == 'a')":             "gpt-4o",
		"ai.models.filter(m, m.getMetadata('config.zone.deeper') == null)":     everything,
		"ai.models.random() == null ? [] : ai.models":                          everything,

		// So does all that is made of it.
		"ai.models.filter(m, m.pricing.input + m.pricing.output < 13.0)":                               "gpt-4o gpt-4o-mini",
		"ai.models.filter(m, -m.pricing.output < -9.5)":                                                "gpt-4o claude-sonnet",
		"ai.models.sortBy(m, m.pricing.input * 2.0 + m.pricing.output)":                                "gpt-4o-mini gpt-4o claude-sonnet llama3.2:1b",
		"ai.models.filter(m, m.metadata.tier + 1 == 3)":                                                "gpt-4o",
		"ai.models.filter(m, math.greatest(m.metadata.tier, 1) == 2)":                                  "gpt-4o",
		"ai.models.filter(m, timestamp(m.metadata.since).getFullYear() > 2000)":                        "",
		"ai.models.filter(m, int(m.metadata.tier) > 1)":                                                "gpt-4o",
		"ai.models.filter(m, m.metadata.config.zone.upperAscii() == 'A')":                              "gpt-4o",
		"ai.models.filter(m, 'z-' + m.metadata.config.zone == 'z-a')":                                  "gpt-4o",
		"ai.models.filter(m, m.metadata.config.zone.replace('a', 'b').size() == 1)":                    "gpt-4o",
		"int(req.headers['x-none'][0]) > 3 || req.headers['x-none'][0].trim() == 'x' ? [] : ai.models": everything,

		// A model that is not there, and its fields.
		"ai.models.get('no').metrics.global.error_rate.total < 0.1 ? ai.models.get('no') : ai.models[1]": "gpt-4o-mini",
		"ai.models.get('no').max_context_window > 5 ? [] : ai.models":                                    everything,
		"ai.models.get('no').id.startsWith('g') ? [] : ai.models":                                        everything,
		"!ai.models.get('no').known ? ai.models : []":                                                    everything,
		"ai.models.get('no').max_context_window - 1 > -5 ? [] : ai.models":                               everything,
		"ai.models[9].id.size() == 0 ? ai.models : []":                                                   everything,
		"ai.providers.get('no').id.contains('a') ? [] : ai.models":                                       everything,
		"ai.providers.get('no').models.random().custom ? [] : ai.models":                                 everything,
		"[ai.models.get('no'), ai.models.get('gpt-4o')].filter(m, m.metrics.global.request_count >= 0)":  "gpt-4o",
		"['no', 'gpt-4o-mini', 'gpt-4o'].map(i, ai.models.get(i)).sortBy(m, -m.pricing.input)":           "gpt-4o gpt-4o-mini",
		"ai.providers.map(p, p.getModel('gpt-4o')).filter(m, m.max_context_window > 1)":                  "gpt-4o",
		"[ai.models.get('no')].all(m, m.known) ? [] : ai.models":                                         everything,
		"([ai.models.get('no')] + ai.models).filter(m, m.custom).randomize().filter(m, m.known)":         "llama3.2:1b",
		"(ai.models[0].known ? [ai.models.get('no')] : ai.models).exists(m, m.known) ? [] : ai.models":   everything,

		// The request.
		"ai.models.filter(m, req.headers['x-tier'][0] == 'gold' && m.metadata.tier == 2)":                           "gpt-4o",
		"ai.models.filter(m, req.headers['X-Tier'][0].startsWith('go') && m.custom)":                                "llama3.2:1b",
		"'gold' in req.headers['x-tier'] ? ai.models[0] : ai.models[1]":                                             "gpt-4o",
		"req.headers['x-team'].size() == 2 ? ai.models[0] : ai.models[1]":                                           "gpt-4o",
		"req.headers['x-none'].size() == 0 ? ai.models[0] : ai.models[1]":                                           "gpt-4o",
		"req.headers['x-none'][0] == null ? ai.models[0] : ai.models[1]":                                            "gpt-4o",
		"req.headers['x-none'][0] == 'a' ? ai.models[0] : ai.models[1]":                                             "gpt-4o-mini",
		"'X-TIER'.lowerAscii() in req.headers ? ai.models[0] : ai.models[1]":                                        "gpt-4o",
		"has(req.headers.x_none) ? ai.models[0] : ai.models[1]":                                                     "gpt-4o-mini",
		"ai.models.only(req.headers['x-prefer'])":                                                                   "gpt-4o-mini",
		"ai.models.only([req.headers['x-none'][0]])":                                                                "",
		"ai.models.get(req.headers['x-none'][0])":                                                                   "",
		"req.headers['x-odd'][0] == 'a\\uFFFDb' ? ai.models[0] : ai.models[1]":                                      "gpt-4o",
		"[req.headers][0].exists(h, h == 'authorization') ? ai.models[0] : ai.models[1]":                            "gpt-4o-mini",
		"ai.models.filter(m, m.max_output_tokens >= req.body.max_tokens)":                                           "gpt-4o",
		"req.body.temperature < 1.0 && req.body.stream ? ai.models[0] : ai.models[1]":                               "gpt-4o",
		"req.body['top_p'] == null && !has(req.body.top_p) ? ai.models[0] : ai.models[1]":                           "gpt-4o",
		"has(req.body.user) && req.body.user == null ? ai.models[0] : ai.models[1]":                                 "gpt-4o",
		"req.body.messages.size() == 2 ? ai.models[0] : ai.models[1]":                                               "gpt-4o",
		"req.body.messages.exists(x, x.content == 'hi') ? ai.models[0] : ai.models[1]":                              "gpt-4o",
		"req.body.messages[1].content.contains('hi') ? ai.models[0] : ai.models[1]":                                 "gpt-4o-mini",
		"req.body.big > 1.0 ? ai.models[0] : ai.models[1]":                                                          "gpt-4o",
		"req.method == 'POST' && req.path.endsWith('/completions') && req.id == 'r1' ? ai.models[0] : ai.models[1]": "gpt-4o",
		"conn.client_ip.startsWith('192.0.2.') ? ai.models[0] : ai.models[1]":                                       "gpt-4o",
		"key.name == 'team-a' && key.id == 'aigk_1' ? ai.models[0] : ai.models[1]":                                  "gpt-4o",
		"key.metadata.plan == 'free' && key.metadata.x.y == null ? ai.models.filter(m, m.pricing.input < 1.0) : []": "gpt-4o-mini",

		// Names that hide others.
		"ai.models.filter(key, key.id == 'gpt-4o')":                         "gpt-4o",
		"ai.models.filter(ai, ai.id == 'gpt-4o')":                           "gpt-4o",
		"ai.models.filter(m, m.id_aliases.exists(m, m == 'gpt-4o-latest'))": "gpt-4o",
	} {
		s, issues := w.Models(source)
		if issues != nil {
			t.Errorf("%s: %v", source, issues)
			continue
		}
		for name, s := range map[string]*ModelStrategy{"shared": s, "plain": slow(s)} {
			got, err := s.Run(&Input{Numbers: w.tagged(), Request: smallRequest(), Random: seeded(1)}, models)
			if err != nil || idsOf(got) != want {
				t.Errorf("%s (%s)\n got %s %v\nwant %s", source, name, idsOf(got), err, want)
			}
		}
	}
}

// What is wrong with a strategy is said when it compiles, with its position.
func TestModelIssues(t *testing.T) {
	w, _ := smallWorld()
	for source, want := range map[string]string{
		"":                                       "1:1: the expression is empty",
		"ai.modles":                              "1:3: unknown field modles: did you mean models?",
		"ai.models.filter(m, m.provider == 'x')": "1:22: unknown field provider: did you mean providers?",
		"ai.models.filter(m, m.provider_idd == 'x')":                  "1:22: unknown field provider_idd: did you mean provider_id?",
		"ai.models.filter(m,\n  m.metrics.globl.x == 1)":              "2:12: unknown field globl: did you mean global?",
		"ai.models.rnadom()":                                          "1:17: unknown name or function rnadom: did you mean random?",
		"al.models":                                                   "1:1: unknown name or function al: did you mean ai?",
		"ai.models +":                                                 "1:12: Syntax error: mismatched input '<EOF>'",
		"ai.keys":                                                     "1:3: ai.keys can be used in api_key_selection only: a model is chosen before a key of its provider",
		"secrets.get('a', 'b') == '' ? ai.models : []":                "1:1: secrets cannot be used here",
		"ai.models.map(m, m.id)":                                      "1:1: a strategy must return models, but this returns list(string): use filter, not map",
		"ai.models.exists(m, m.custom)":                               "1:1: a strategy must return models, but this returns bool: put the condition into ai.models.filter(x, …)",
		"ai.models[0].id":                                             "1:1: a strategy must return a model or a list of models, but this returns string",
		"ai.models[0].metadata.x":                                     "1:1: a strategy must return a model or a list of models, but this returns dyn",
		"ai.providers":                                                "1:1: a strategy must return models, but this returns list(provider): take their models",
		"ai.authors.get('x')":                                         "1:1: a strategy must return models, but this returns author: take their models",
		"ai.models.sortBy('latency')":                                 `1:18: sortBy cannot sort by "latency", only by 'price'; to sort by anything else write sortBy(m, m.id)`,
		"ai.models.sortBy(ai.models[0].id)":                           "1:30: sortBy with one argument takes the constant 'price'; to sort by anything else write sortBy(m, m.id)",
		"ai.models.sortBy(m, m.metadata.x == 1 ? [1] : [2])":          "1:17: sortBy cannot compare a list(int); a key to sort by is a number, a string or a time",
		"ai.models.sortBy(1, 2)":                                      "1:18: sortBy needs a variable first: sortBy(m, m.id)",
		"ai.models.underCost('tokens', 1.0)":                          `1:21: unknown type of price "tokens" in underCost: write one of input, output, cache_read, cache_write`,
		"ai.models.underCost('input', '1')":                           "1:20: underCost does not take list(model).(string, string)",
		"ai.models.only('gpt-4o')":                                    "1:15: only does not take list(model).(string)",
		"ai.models.filter(m, m.id == 3)":                              "1:26: == does not take (string, int)",
		"ai.models.filter(m, m.metrics.global.error_rate.total == 0)": "1:55: == does not take (double, int); write the number with a decimal point",
		"req.headers['x'] == 'a' ? ai.models : []":                    "1:18: == does not take (list(string), string); a header is a list of its values: take one as [0], or use in",
		"req.headers['Authorization'][0] == 'a' ? ai.models : []":     "1:13: the header authorization holds a client's credential, which an expression may not read",
		"'cookie' in req.headers ? ai.models : []":                    "1:1: the header cookie holds a client's credential, which an expression may not read",
		"has(req.headers.authorization) ? ai.models : []":             "1:4: the header authorization holds a client's credential, which an expression may not read",
		"ai.models.filter(m, m.id.matches('['))":                      "1:34: invalid matches argument",
		"ai.models.filter(m, m.id.matches(req.path))":                 "1:37: the pattern of matches must be a constant string",
		"weir.model{}":                                                "1:11: objects cannot be made in an expression",
		"ai.models.filter(m, m.id == '\xff')":                         "",
	} {
		_, issues := w.Models(source)
		var got []string
		for _, i := range issues {
			got = append(got, i.String())
		}
		if want != "" && strings.Join(got, "\n") != want || len(got) == 0 && want != "" {
			t.Errorf("%q\n got %s\nwant %s", source, strings.Join(got, "\n     "), want)
		}
	}
}

// An error at run time has its place, and nothing of the request.
func TestModelErrors(t *testing.T) {
	w, models := smallWorld()
	for source, want := range map[string]string{
		"ai.models.filter(m, 1 / m.max_output_tokens > 0)":           "1:23: division by zero",
		"ai.models.filter(m, m.metadata.tier > 'x')":                 "1:37: no such overload",
		"ai.models.filter(m, int(req.body.messages[0].content) > 0)": "1:24: it cannot be evaluated for this request",
		"ai.models.filter(m, int(req.headers['x-tier'][0]) > 0)":     "1:24: it cannot be evaluated for this request",
		"{'a': ai.models}[req.headers['x-tier'][0]]":                 "1:17: it cannot be evaluated for this request",
		"ai.models.underCost(req.headers['x-tier'][0], 1.0)":         "1:20: unknown type of price in underCost: write one of input, output, cache_read, cache_write",
		"ai.models.sortBy(m, m.metadata.config)":                     "1:17: sortBy cannot compare a map",
		"ai.models.filter(m, ai.models.exists(n, ai.models.exists(o, ai.models.exists(p, ai.models.exists(q, ai.models.exists(r, ai.models.exists(s, ai.models.exists(t, ai.models.exists(u, m.id + n.id + o.id + p.id + q.id + r.id + s.id + t.id + u.id == '')))))))))": "it takes more than 1000000 steps, as nested loops over many elements do",
	} {
		_, err := mustModels(t, w, source).Run(&Input{Numbers: tags{w}, Request: smallRequest()}, models)
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", source, err, want)
		}
	}
}

func TestUses(t *testing.T) {
	w, _ := smallWorld()
	for source, want := range map[string]Uses{
		"ai.models": {},
		"req.headers['x'] == [] ? ai.models : []":         {Headers: true},
		"has(req.body.x) ? ai.models : []":                {Body: true},
		"req.path == '' ? ai.models : []":                 {Request: true},
		"conn.client_ip == '' ? ai.models : []":           {Conn: true},
		"key.metadata.x == 1 ? ai.models : []":            {Key: true},
		"[req].exists(r, r.path == '') ? ai.models : []":  {Headers: true, Body: true, Request: true},
		"[dyn(conn)][0].client_ip == '' ? ai.models : []": {Conn: true},
	} {
		if got := mustModels(t, w, source).Uses(); got != want {
			t.Errorf("%s: %+v", source, got)
		}
	}
}

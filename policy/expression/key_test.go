package expression

import (
	"strings"
	"testing"
)

func smallKeys() []*Key {
	known := func(n int64) Quota { return Quota{n, true} }
	return []*Key{
		{ID: "a", Tag: keyNumbers{RemainingRequests: known(50), ErrorRates: ErrorRates{ErrorTotal: 0.4, ErrorRateLimit: 0.3}}},
		{ID: "b", Place: 1, Tag: keyNumbers{RemainingRequests: known(900), RemainingTokens: known(10)}},
		{ID: "c", Place: 2},
	}
}

// TestKeys tests key strategies (docs/models.md).
func TestKeys(t *testing.T) {
	w, models := smallWorld()
	for source, want := range map[string]string{
		"ai.keys": "a b c",
		"ai.keys.filter(k, k.quota.remaining_requests > 100)":                                   "b",
		"ai.keys.filter(k, k.error_rate.rate_limit < 0.1)":                                      "b c",
		"ai.keys.filter(k, k.error_rate.total < 0.5)":                                           "a b c",
		"ai.keys.filter(k, k.quota.remaining_requests > 500 && k.error_rate.rate_limit < 0.05)": "b",
		"ai.keys.filter(k, k.quota.remaining_tokens == null)":                                   "a c",
		"ai.keys.filter(k, k.quota.remaining_requests > 5000).randomize()":                      "",
		"ai.keys.filter(k, k.id == 'c').random()":                                               "c",
		"ai.keys.filter(k, k.id == 'd').random()":                                               "",
		"ai.keys.sortBy(k, -k.quota.remaining_requests)":                                        "b a c",
		"ai.keys.filter(k, k.quota.remaining_requests - 10 > 40)":                               "b",
		"[ai.keys[7], ai.keys[1]].filter(k, k.error_rate.total < 0.5 && k.id.endsWith('b'))":    "b",
		"ai.keys[1]": "b",
		"ai.keys[3]": "",
		"key.metadata.plan == 'free' ? [ai.keys[2]] : ai.keys":                             "c",
		"ai.models.exists(m, m.id == 'gpt-4o') && ai.providers.size() == 3 ? ai.keys : []": "a b c",
	} {
		s, issues := w.Keys(source)
		if issues != nil {
			t.Errorf("%s: %v", source, issues)
			continue
		}
		keys, err := s.Run(&Input{Numbers: tags{w}, Request: smallRequest(), Random: seeded(1), Models: models}, smallKeys())
		var ids []string
		for _, k := range keys {
			ids = append(ids, k.ID)
		}
		if got := strings.Join(ids, " "); got != want || err != nil {
			t.Errorf("%s: %s %v, want %s", source, got, err, want)
		}
	}
	for source, want := range map[string]string{
		"ai.models":                            "1:1: a strategy must return a key or a list of keys, but this returns list(model)",
		"ai.keys.map(k, k.id)":                 "1:1: a strategy must return keys, but this returns list(string): use filter, not map",
		"ai.keys.filter(k, k.value == '')":     "1:20: the value of a key cannot be read: strategies see id, quota and error_rate",
		"ai.keys.filter(k, k.quota.left == 1)": "1:26: unknown field left",
	} {
		_, issues := w.Keys(source)
		if len(issues) == 0 || !strings.HasPrefix(issues[0].String(), want) {
			t.Errorf("%s: %v, want %s", source, issues, want)
		}
	}
}

// A provider without keys gives an empty list.
func TestNoKeys(t *testing.T) {
	w, _ := smallWorld()
	s, _ := w.Keys("ai.keys.random()")
	if keys, err := s.Run(&Input{Numbers: tags{w}}, nil); len(keys) != 0 || err != nil {
		t.Errorf("%v %v", keys, err)
	}
}

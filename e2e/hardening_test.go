package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"weir/internal/gatewaytest"
)

// TestHardeningPage holds what docs/hardening.md says that Weir sets to what a
// running Envoy has.
func TestHardeningPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(gatewaytest.Root(), "docs", "hardening.md"))
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, top := range []string{"", "xff_num_trusted_hops: 1\n"} {
		g := gatewaytest.Start(t, top+"providers: [{id: p, base_url: \"http://127.0.0.1:1\"}]\n")
		dump, err := g.EnvoyAdmin.Get(t.Context(), "/config_dump")
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(dump, &v); err != nil {
			t.Fatal(err)
		}
		flatten(v, "", has)
	}
	setting := regexp.MustCompile("`([a-z_]+): ([^`]+)`")
	found := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.HasPrefix(strings.TrimSpace(cells[1]), "---") {
			continue
		}
		for _, s := range setting.FindAllStringSubmatch(cells[2], -1) {
			found++
			if !has[s[1]+": "+s[2]] {
				t.Errorf("Envoy has no %s: %s", s[1], s[2])
			}
		}
		for _, s := range regexp.MustCompile("`(envoy\\.overload_actions\\.[a-z_]+)`").FindAllStringSubmatch(cells[2], -1) {
			found++
			if !has["name: "+s[1]] {
				t.Errorf("Envoy has no %s", s[1])
			}
		}
	}
	if found < 15 {
		t.Errorf("the page names %d settings: has its form changed?", found)
	}
}

// flatten notes every field of a document with its value.
func flatten(v any, name string, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			flatten(field, name, into)
		}
	case []any:
		for _, item := range v {
			flatten(item, name, into)
		}
	case float64:
		into[name+": "+strconv.FormatFloat(v, 'f', -1, 64)] = true
	default:
		into[fmt.Sprintf("%s: %v", name, v)] = true
	}
}

package config

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"
)

// TestConfigurationPage: docs/configuration.md has every name of the schema.
func TestConfigurationPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]bool{}
	for _, span := range regexp.MustCompile("`[^`\n]+`").FindAll(page, -1) {
		for _, word := range regexp.MustCompile(`[a-z0-9_]+`).FindAllString(string(span), -1) {
			code[word] = true
		}
	}
	var schema any
	if err := json.Unmarshal([]byte(Schema()), &schema); err != nil {
		t.Fatal(err)
	}
	names := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			properties, _ := v["properties"].(map[string]any)
			for name := range properties {
				names++
				if !code[name] {
					t.Errorf("docs/configuration.md does not have %s", name)
				}
			}
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(schema)
	if names < 100 {
		t.Errorf("found only %d names", names)
	}
}

package config

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// TestDecodeSeeds: the documents in seeds.yaml are valid files.
func TestDecodeSeeds(t *testing.T) {
	type provider struct {
		ID      string              `yaml:"id"`
		BaseURL string              `yaml:"base_url"`
		APIKeys []map[string]string `yaml:"api_keys"`
		Models  []struct {
			ID       string         `yaml:"id"`
			Metadata map[string]any `yaml:"metadata"`
		} `yaml:"models"`
		Metadata map[string]any `yaml:"metadata"`
	}
	type config struct {
		Providers           []provider        `yaml:"providers"`
		ConfiguredProviders bool              `yaml:"only_allow_configured_providers"`
		ConfiguredModels    bool              `yaml:"only_allow_configured_models"`
		Headers             map[string]string `yaml:"headers"`
		PerRequestTimeout   time.Duration     `yaml:"per_request_timeout"`
		TotalTimeout        time.Duration     `yaml:"total_timeout"`
		ModelSelection      struct {
			Strategy []string `yaml:"strategy"`
		} `yaml:"model_selection"`
	}
	type file struct {
		config        `yaml:",inline"`
		OnHTTPRequest []struct {
			Type   string `yaml:"type"`
			Config config `yaml:"config"`
		} `yaml:"on_http_request"`
	}
	data, err := os.ReadFile("../testdata/seeds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(data, []byte("\n---\n"))[1:]
	if len(documents) != 18 {
		t.Errorf("%d documents, the seeds have 18", len(documents))
	}
	for _, document := range documents {
		var got file
		if _, problems := Decode("seed.yaml", document, &got); len(problems) > 0 {
			t.Errorf("%s\n%v", document, problems)
			continue
		}
		c := got.config
		if len(got.OnHTTPRequest) > 0 {
			c = got.OnHTTPRequest[0].Config
		}
		if len(c.Providers) == 0 {
			t.Errorf("no providers in\n%s", document)
		}
		for _, p := range c.Providers {
			if p.BaseURL == "" && p.ID == "openai" {
				continue
			}
			if _, err := ParseBaseURL(p.BaseURL, nil); err != nil {
				t.Errorf("%s: %v", p.BaseURL, err)
			}
		}
	}
}

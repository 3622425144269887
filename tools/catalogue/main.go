// Command catalogue writes the facts of the built-in providers' models from the price table
// that the Python package litellm publishes under the MIT licence: ids, context windows,
// modalities, features and prices. It reads the package's wheel, and takes facts alone.
//
//	go run ./catalogue -version 1.110.2 -date 2026-12-01 WHEEL > ../policy/catalogue/models.json
package main

import (
	"archive/zip"
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
)

// table is where the wheel has its prices.
const table = "litellm/model_prices_and_context_window_backup.json"

// providers maps the table's name of a provider to Weir's, with the prefix that the table
// puts before some ids.
var providers = map[string]struct{ id, prefix string }{
	"openai":                 {"openai", "openai/"},
	"text-completion-openai": {"openai", ""},
	"anthropic":              {"anthropic", "anthropic/"},
	"gemini":                 {"google", "gemini/"},
	"openrouter":             {"openrouter", "openrouter/"},
	"groq":                   {"groq", "groq/"},
	"deepseek":               {"deepseek", "deepseek/"},
	"hyperbolic":             {"hyperbolic", "hyperbolic/"},
	"inception":              {"inceptionlabs", "inception/"},
	"inference_net":          {"inference-net", "inference_net/"},
}

// kinds maps the table's modes to what a model is for. Others, such as realtime and video,
// have no operation here.
var kinds = map[string]string{
	"chat": "chat", "responses": "responses", "completion": "completion", "embedding": "embedding",
	"image_generation": "image", "audio_transcription": "transcription", "audio_speech": "speech",
	"moderation": "moderation", "rerank": "rerank",
}

// row is what is read of the table's entry. Prices are decimal numbers of US dollars a token.
type row struct {
	Provider         string      `json:"litellm_provider"`
	Mode             string      `json:"mode"`
	MaxInput         json.Number `json:"max_input_tokens"`
	MaxOutput        json.Number `json:"max_output_tokens"`
	Input            json.Number `json:"input_cost_per_token"`
	Output           json.Number `json:"output_cost_per_token"`
	CacheRead        json.Number `json:"cache_read_input_token_cost"`
	CacheWrite       json.Number `json:"cache_creation_input_token_cost"`
	Modalities       []string    `json:"supported_modalities"`
	OutputModalities []string    `json:"supported_output_modalities"`
	Deprecation      string      `json:"deprecation_date"`

	Functions       bool `json:"supports_function_calling"`
	ParallelCalls   bool `json:"supports_parallel_function_calling"`
	ResponseSchema  bool `json:"supports_response_schema"`
	Reasoning       bool `json:"supports_reasoning"`
	PromptCaching   bool `json:"supports_prompt_caching"`
	Vision          bool `json:"supports_vision"`
	PDF             bool `json:"supports_pdf_input"`
	AudioInput      bool `json:"supports_audio_input"`
	AudioOutput     bool `json:"supports_audio_output"`
	VideoInput      bool `json:"supports_video_input"`
	WebSearch       bool `json:"supports_web_search"`
	ComputerUse     bool `json:"supports_computer_use"`
	SystemMessages  bool `json:"supports_system_messages"`
	AssistantPrefix bool `json:"supports_assistant_prefill"`
}

type model struct {
	Provider         string   `json:"provider"`
	ID               string   `json:"id"`
	Author           string   `json:"author"`
	Kind             string   `json:"kind"`
	ContextWindow    int      `json:"max_context_window,omitempty"`
	MaxOutput        int      `json:"max_output_tokens,omitempty"`
	InputModalities  []string `json:"input_modalities,omitempty"`
	OutputModalities []string `json:"output_modalities,omitempty"`
	Features         []string `json:"supported_features,omitempty"`
	Pricing          *pricing `json:"pricing,omitempty"`
	Deprecated       string   `json:"deprecated,omitempty"`
}

// pricing is in US dollars per million tokens.
type pricing struct {
	Input      string `json:"input,omitempty"`
	Output     string `json:"output,omitempty"`
	CacheRead  string `json:"cache_read,omitempty"`
	CacheWrite string `json:"cache_write,omitempty"`
}

func main() {
	version := flag.String("version", "", "version of the package")
	date := flag.String("date", "", "the day on which it was taken, YYYY-MM-DD")
	flag.Parse()
	if err := run(os.Stdout, flag.Arg(0), *version, *date); err != nil {
		fmt.Fprintln(os.Stderr, "catalogue:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, wheel, version, date string) error {
	if wheel == "" || version == "" || date == "" {
		return errors.New("usage: catalogue -version VERSION -date YYYY-MM-DD WHEEL")
	}
	data, err := read(wheel)
	if err != nil {
		return err
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	models := map[string]model{}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		m, ok, err := read1(name, entries[name])
		if err != nil {
			return fmt.Errorf("%s: %q: %w", table, name, err)
		}
		// An entry under its provider's prefix says more than one without it.
		if key := m.Provider + "\x00" + m.ID; ok && (models[key].ID == "" || strings.Contains(name, "/")) {
			models[key] = m
		}
	}
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "{\"source\":{\"package\":\"litellm\",\"version\":%q,\"licence\":\"MIT\",\"file\":%q,\"sha256\":\"%x\",\"date\":%q},\n\"models\":[", version, table, sha256.Sum256(data), date)
	for i, key := range slices.Sorted(maps.Keys(models)) {
		line, err := json.Marshal(models[key])
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n%s", []string{"", ","}[min(i, 1)], line)
	}
	fmt.Fprint(w, "\n]}\n")
	return w.Flush()
}

func read(wheel string) ([]byte, error) {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	f, err := z.Open(table)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// authors are the authors of models that are not named after them.
var authors = map[string]string{
	"meta-llama": "meta", "deepseek-ai": "deepseek", "whisper": "openai", "llama": "meta", "gemma": "google",
}

// author returns who made a model. Some providers serve models of others, and put the
// author before a slash in the id, or serve whole families.
func author(provider, id string) string {
	if provider != "groq" && provider != "hyperbolic" && provider != "openrouter" && provider != "inference-net" {
		return provider
	}
	first, _, slash := strings.Cut(id, "/")
	if !slash {
		first, _, _ = strings.Cut(id, "-")
	}
	first = strings.ToLower(first)
	if name := authors[first]; name != "" {
		return name
	}
	return first
}

// read1 returns the model of an entry, and whether it is one that can be asked for.
func read1(name string, raw json.RawMessage) (model, bool, error) {
	var r row
	if err := json.Unmarshal(raw, &r); err != nil {
		return model{}, false, nil // the sample entry, whose fields are sentences
	}
	p, known := providers[r.Provider]
	kind := kinds[r.Mode]
	id := strings.TrimPrefix(name, p.prefix)
	// Fine-tuned models have ids of their own. A container is a tool with a price. A size or a quality before an image
	// model's id is a price, not a model.
	if !known || kind == "" || id == "container" || strings.HasPrefix(id, "ft:") || kind == "image" && strings.Contains(id, "/") {
		return model{}, false, nil
	}
	m := model{
		Provider: p.id, ID: id, Author: author(p.id, id), Kind: kind, ContextWindow: whole(r.MaxInput), MaxOutput: whole(r.MaxOutput),
		InputModalities: r.inputs(kind), OutputModalities: r.outputs(kind), Features: r.features(), Deprecated: r.Deprecation,
	}
	price := pricing{perMillion(r.Input), perMillion(r.Output), perMillion(r.CacheRead), perMillion(r.CacheWrite)}
	if price.Input != "" || price.Output != "" {
		m.Pricing = &price
	}
	return m, true, nil
}

func (r *row) inputs(kind string) []string {
	if kind == "transcription" {
		return []string{"audio"}
	}
	return with(r.Modalities, "text", map[string]bool{"image": r.Vision, "audio": r.AudioInput, "video": r.VideoInput, "file": r.PDF})
}

func (r *row) outputs(kind string) []string {
	switch kind {
	case "embedding", "moderation", "rerank":
		return nil
	case "image":
		return []string{"image"}
	case "speech":
		return []string{"audio"}
	}
	return with(r.OutputModalities, "text", map[string]bool{"audio": r.AudioOutput})
}

// with returns the stated modalities, first where there are none, and those that a flag
// states beside them.
func with(stated []string, first string, more map[string]bool) []string {
	out := slices.Clone(stated)
	if len(out) == 0 {
		out = []string{first}
	}
	for _, name := range slices.Sorted(maps.Keys(more)) {
		if more[name] && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func (r *row) features() []string {
	var out []string
	for _, f := range []struct {
		has  bool
		name string
	}{
		{r.Functions, "tools"}, {r.ParallelCalls, "parallel_tool_calls"}, {r.ResponseSchema, "structured_outputs"},
		{r.Reasoning, "reasoning"}, {r.PromptCaching, "prompt_caching"}, {r.Vision, "vision"}, {r.PDF, "pdf_input"},
		{r.WebSearch, "web_search"}, {r.ComputerUse, "computer_use"}, {r.AssistantPrefix, "assistant_prefill"},
	} {
		if f.has {
			out = append(out, f.name)
		}
	}
	return out
}

func whole(n json.Number) int {
	f, err := n.Float64()
	if err != nil || f < 0 {
		return 0
	}
	return int(f)
}

// perMillion returns a price of one token as that of a million, exactly.
func perMillion(n json.Number) string {
	if n == "" {
		return ""
	}
	r, ok := new(big.Rat).SetString(n.String())
	if !ok || r.Sign() < 0 {
		return ""
	}
	r.Mul(r, big.NewRat(1_000_000, 1))
	s := r.FloatString(9) // nano-dollars per million: finer than any published price
	if exact, _ := new(big.Rat).SetString(s); exact.Cmp(r) != 0 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

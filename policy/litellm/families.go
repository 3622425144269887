package litellm

// family is a kind of provider in LiteLLM's configuration, named by what stands before the
// first slash in litellm_params.model.
type family struct {
	// id is the provider's id here. A built-in provider needs no base URL.
	id      string
	builtIn bool
	// base is the base URL; empty where the configuration has it as api_base.
	base string
	// suffix is what the base URL has after api_base.
	suffix string
	// key is the environment variable that LiteLLM reads if there is no api_key.
	key string
	// local is set for servers that need no key.
	local bool
}

// families has the providers whose API is OpenAI's or Anthropic's. The prefixes and
// variables are those of https://docs.litellm.ai/docs/providers, the base URLs those of the
// providers' own documentation, read on 2026-12-01.
var families = map[string]family{
	"openai":                 {id: "openai", builtIn: true, base: "https://api.openai.com/v1", key: "OPENAI_API_KEY"},
	"text-completion-openai": {id: "openai", builtIn: true, base: "https://api.openai.com/v1", key: "OPENAI_API_KEY"},
	"anthropic":              {id: "anthropic", builtIn: true, base: "https://api.anthropic.com/v1", key: "ANTHROPIC_API_KEY"},
	"gemini":                 {id: "google", builtIn: true, base: "https://generativelanguage.googleapis.com/v1beta/openai", key: "GEMINI_API_KEY"},
	"openrouter":             {id: "openrouter", builtIn: true, base: "https://openrouter.ai/api/v1", key: "OPENROUTER_API_KEY"},
	"groq":                   {id: "groq", builtIn: true, base: "https://api.groq.com/openai/v1", key: "GROQ_API_KEY"},
	"deepseek":               {id: "deepseek", builtIn: true, base: "https://api.deepseek.com", key: "DEEPSEEK_API_KEY"},
	"hyperbolic":             {id: "hyperbolic", builtIn: true, base: "https://api.hyperbolic.xyz/v1", key: "HYPERBOLIC_API_KEY"},

	"azure":        {id: "azure", key: "AZURE_API_KEY"},
	"mistral":      {id: "mistral", base: "https://api.mistral.ai/v1", key: "MISTRAL_API_KEY"},
	"xai":          {id: "xai", base: "https://api.x.ai/v1", key: "XAI_API_KEY"},
	"together_ai":  {id: "together", base: "https://api.together.xyz/v1", key: "TOGETHERAI_API_KEY"},
	"fireworks_ai": {id: "fireworks", base: "https://api.fireworks.ai/inference/v1", key: "FIREWORKS_AI_API_KEY"},
	"deepinfra":    {id: "deepinfra", base: "https://api.deepinfra.com/v1/openai", key: "DEEPINFRA_API_KEY"},
	"cerebras":     {id: "cerebras", base: "https://api.cerebras.ai/v1", key: "CEREBRAS_API_KEY"},
	"sambanova":    {id: "sambanova", base: "https://api.sambanova.ai/v1", key: "SAMBANOVA_API_KEY"},
	"nvidia_nim":   {id: "nvidia", base: "https://integrate.api.nvidia.com/v1", key: "NVIDIA_NIM_API_KEY"},
	"moonshot":     {id: "moonshot", base: "https://api.moonshot.ai/v1", key: "MOONSHOT_API_KEY"},

	"ollama":              {id: "ollama", base: "http://localhost:11434", suffix: "/v1", local: true},
	"ollama_chat":         {id: "ollama", base: "http://localhost:11434", suffix: "/v1", local: true},
	"lm_studio":           {id: "lm-studio", base: "http://localhost:1234/v1", local: true},
	"hosted_vllm":         {id: "vllm", local: true},
	"vllm":                {id: "vllm", local: true},
	"llamafile":           {id: "llamafile", base: "http://localhost:8080/v1", local: true},
	"openai_like":         {id: "server", local: true},
	"custom_openai":       {id: "server", local: true},
	"litellm_proxy":       {id: "litellm", key: "LITELLM_PROXY_API_KEY"},
	"docker_model_runner": {id: "docker", base: "http://localhost:12434/engines/llama.cpp/v1", local: true},
}

// placeholders are values of api_key that people write for servers without keys.
var placeholders = map[string]bool{
	"": true, "none": true, "null": true, "empty": true, "fake": true, "fake-key": true, "dummy": true, "dummy-key": true, "anything": true,
	"not-needed": true, "no-key": true, "nokey": true, "sk-1234": true, "sk-fake": true, "ollama": true, "lm-studio": true, "test": true, "na": true, "n/a": true,
}

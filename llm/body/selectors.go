package body

import "strings"

// selectors are top-level body keys by which some server behind a provider
// chooses another model, deployment, provider, account or address than the one
// that Weir decided on, folded. OpenRouter takes provider, route and preset;
// LiteLLM and those who follow it take the arguments of its completion function;
// Azure and OpenAI's older APIs take engine and deployment_id; Vercel's gateway
// takes providerOptions; LM Studio, LoRAX and SGLang take adapters and draft
// models. Keys with a scope may not use them.
var selectors = FoldedNames([]string{
	"fallbacks", "fallback", "fallback_models", "fallback_model", "context_window_fallbacks", "context_window_fallback_dict", "content_policy_fallbacks",
	"route", "router", "routing", "router_settings", "router_settings_override",
	"provider", "providers", "provider_options", "provider_id", "provider_name", "llm_provider", "custom_llm_provider", "preset",
	"deployment", "deployment_id", "deployment_name", "azure_deployment", "engine", "engine_id", "engine_name",
	"model_id", "model_name", "model_list", "model_alias_map", "model_group", "model_version", "base_model", "target_model", "target_variant", "draft_model",
	"target_url", "endpoint", "endpoint_id", "endpoint_name", "endpoint_url", "inference_profile_arn", "provisioned_model_id",
	"adapter", "adapter_id", "adapter_source", "lora", "lora_id", "lora_name", "lora_path", "lora_adapter", "lora_adapters", "lora_request",
	"api_base", "api_base_url", "base_url", "api_key", "api_token", "api_type", "api_version", "access_token", "organization", "organization_id", "project", "project_id", "account", "account_id",
	"user_config", "extra_headers", "extra_body", "extra_query", "headers", "default_headers",
	"azure_*", "aws_*", "vertex_*", "watsonx_*", "litellm_*", "helicone_*", "portkey_*", "cf_aig_*",
})

// FoldedNames returns the set of the names, folded by FoldKey.
func FoldedNames(list []string) *NameSet {
	folded := make([]string, len(list))
	for i, name := range list {
		stem, star := strings.CutSuffix(name, "*")
		if folded[i] = string(FoldKey(nil, stem)); star {
			folded[i] += "*"
		}
	}
	return NamesOf(folded)
}

// FoldKey appends to dst what is common to all spellings of a body key that some parser
// treats as equal: Go's parser ignores case, by Unicode's folding, and others accept camel
// case for underscores.
func FoldKey[T string | []byte](dst []byte, name T) []byte {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '_' || c == '-' || c == '.' || c == ' ':
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		case strings.HasPrefix(string(name[i:min(i+2, len(name))]), "ſ"):
			dst = append(dst, 's')
			i++
		case strings.HasPrefix(string(name[i:min(i+3, len(name))]), "\u212A"): // Kelvin
			dst = append(dst, 'k')
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// IsSelector reports whether a body key is a selector in any spelling.
func IsSelector[T string | []byte](key T) bool {
	var buffer [64]byte
	return selectors.HasKey(FoldKey(buffer[:0], key))
}

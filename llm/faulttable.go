package llm

// faultCodes are codes, types, reasons and statuses of errors that have a Fault, in lower case.
// The pages are those of 2026-12.
var faultCodes = map[string]Fault{
	// Google: https://ai.google.dev/gemini-api/docs/troubleshooting,
	// https://cloud.google.com/apis/design/errors#error_info and
	// https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto
	"api_key_invalid":               FaultKey,
	"api_key_service_blocked":       FaultKey,
	"api_key_http_referrer_blocked": FaultKey,
	"api_key_ip_address_blocked":    FaultKey,
	"access_token_expired":          FaultKey,
	"account_state_invalid":         FaultAccount,
	"billing_disabled":              FaultAccount,
	"consumer_suspended":            FaultAccount,
	"consumer_invalid":              FaultAccount,
	"service_disabled":              FaultAccount,
	"location_policy_violated":      FaultRegion,
	"location_org_policy_violated":  FaultRegion,

	// OpenAI: https://platform.openai.com/docs/guides/error-codes
	"invalid_api_key":                      FaultKey,
	"incorrect_api_key":                    FaultKey,
	"insufficient_quota":                   FaultAccount,
	"billing_hard_limit_reached":           FaultAccount,
	"billing_not_active":                   FaultAccount,
	"account_deactivated":                  FaultAccount,
	"organization_spend_limit_exceeded":    FaultAccount,
	"project_spend_limit_exceeded":         FaultAccount,
	"credit_balance_exhausted":             FaultAccount,
	"unsupported_country_region_territory": FaultRegion,
	"model_not_found":                      FaultModel,
	"context_length_exceeded":              FaultContext,

	// Anthropic: https://docs.anthropic.com/en/api/errors
	"authentication_error": FaultKey,
	"billing_error":        FaultAccount,

	// Groq: https://console.groq.com/docs/deprecations (model_decommissioned),
	// https://console.groq.com/docs/spend-limits (blocked_api_access),
	// https://community.groq.com (organization_restricted)
	"model_decommissioned":    FaultModel,
	"model_terms_required":    FaultModel,
	"blocked_api_access":      FaultAccount,
	"organization_restricted": FaultAccount,

	// Alibaba: https://help.aliyun.com/en/model-studio/error-code
	"arrearage":           FaultAccount,
	"invalidapikey":       FaultKey,
	"modelnotfound":       FaultModel,
	"model_not_supported": FaultModel, // Hugging Face, GitHub Copilot: the same word

	// Azure: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/deployment-types and
	// https://docs.github.com/rest/models/inference (GitHub Models)
	"deploymentnotfound":               FaultModel,
	"unknown_model":                    FaultModel,
	"unavailable_model":                FaultModel,
	"tokens_limit_reached":             FaultContext,
	"model_max_prompt_tokens_exceeded": FaultContext, // GitHub Copilot

	// Baidu: https://cloud.baidu.com/doc/qianfan-api/s/rmwbl43x7
	"tokens_too_long":     FaultContext,
	"characters_too_long": FaultContext,

	// Mistral and Perplexity name the type of the error so:
	// https://docs.mistral.ai/api, https://docs.perplexity.ai/guides/api-error-codes
	"invalid_model": FaultModel,

	// Together: https://docs.together.ai/docs/error-codes
	"model_not_available": FaultModel,

	// Zhipu: https://docs.bigmodel.cn/cn/api/api-code
	"1113": FaultAccount, "1211": FaultModel, "1261": FaultContext,

	// MiniMax: https://platform.minimax.io/docs/api-reference/errorcode
	"1004": FaultKey, "2049": FaultKey, "1008": FaultAccount, "1039": FaultContext,

	// SiliconFlow: https://docs.siliconflow.cn/en/faqs/error-code
	"20012": FaultModel, "30001": FaultAccount, "30003": FaultModel,

	// llama.cpp: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
	"exceed_context_size_error": FaultContext,

	// LiteLLM: https://docs.litellm.ai/docs/exception_mapping
	"contextwindowexceedederror": FaultContext,
	"context_window_exceeded":    FaultContext,

	// Moonshot: https://platform.moonshot.ai/docs/api/chat#error-codes
	"invalid_authentication_error": FaultKey,
	"incorrect_api_key_error":      FaultKey,
	"exceeded_current_quota_error": FaultAccount,
	"resource_not_found_error":     FaultModel,
}

// faultTexts are phrases of errors that have a Fault and no code that says so, in lower case. An
// asterisk stands for any text. Beside each stands who sends it, and the page that documents or
// reports it (2026-12).
var faultTexts = []struct {
	fault          Fault
	text           string
	provider, from string
}{
	{FaultKey, "api key not valid", "Google", "https://ai.google.dev/gemini-api/docs/api-key"},
	{FaultKey, "api key expired", "Google", "https://ai.google.dev/gemini-api/docs/api-key"},
	{FaultKey, "api_key_invalid", "Google, behind a proxy", "https://ai.google.dev/gemini-api/docs/troubleshooting"},
	{FaultKey, "api key not found", "Google", "https://ai.google.dev/gemini-api/docs/troubleshooting"},
	{FaultKey, "incorrect api key provided", "xAI (400), OpenAI (401)", "https://docs.x.ai/docs/key-information/debugging"},
	{FaultKey, "invalid api key", "Groq", "https://console.groq.com/docs/errors"},
	{FaultKey, "invalid api-key provided", "Alibaba", "https://help.aliyun.com/en/model-studio/error-code"},
	{FaultKey, "invalid x-api-key", "Anthropic", "https://docs.anthropic.com/en/api/errors"},

	{FaultAccount, "credit balance is too low", "Anthropic", "https://support.anthropic.com/en/articles/8114526"},
	{FaultAccount, "you have reached your specified*api usage limits", "Anthropic", "https://docs.anthropic.com/en/api/rate-limits"},
	{FaultAccount, "organization has been disabled", "Anthropic", "https://github.com/anthropics/claude-code/issues/9384"},
	{FaultAccount, "organization has been restricted", "Groq", "https://community.groq.com"},
	{FaultAccount, "billing hard limit has been reached", "OpenAI", "https://platform.openai.com/docs/guides/error-codes"},
	{FaultAccount, "your account is not active", "OpenAI", "https://platform.openai.com/docs/guides/error-codes"},
	{FaultAccount, "insufficient balance", "DeepSeek, SiliconFlow, MiniMax", "https://api-docs.deepseek.com/quick_start/error_codes"},
	{FaultAccount, "insufficient credits", "OpenRouter", "https://openrouter.ai/docs/api-reference/errors"},
	{FaultAccount, "exceeded your current quota", "OpenAI, Google", "https://platform.openai.com/docs/guides/error-codes"},
	{FaultAccount, "account is in good standing", "Alibaba", "https://help.aliyun.com/en/model-studio/error-code"},
	{FaultAccount, "your organization must be verified", "OpenAI", "https://help.openai.com/en/articles/10910291"},
	{FaultAccount, "account*is suspended", "Fireworks", "https://docs.fireworks.ai/guides/inference-error-codes"},
	{FaultAccount, "please enable billing", "Google", "https://ai.google.dev/gemini-api/docs/troubleshooting"},

	{FaultRegion, "user location is not supported", "Google", "https://github.com/google-gemini/gemini-cli/issues/1614"},
	{FaultRegion, "is not available in your country", "Google", "https://ai.google.dev/gemini-api/docs/troubleshooting"},
	{FaultRegion, "country, region, or territory not supported", "OpenAI", "https://platform.openai.com/docs/guides/error-codes"},
	{FaultRegion, "not available in your region", "Google, Groq", "https://ai.google.dev/gemini-api/docs/available-regions"},

	{FaultContext, "maximum context length", "OpenAI, vLLM, DeepSeek, OpenRouter, Mistral", "https://github.com/vllm-project/vllm/blob/main/vllm/entrypoints/openai/serving_engine.py"},
	{FaultContext, "prompt is too long", "Anthropic, Fireworks", "https://docs.anthropic.com/en/docs/build-with-claude/context-windows"},
	{FaultContext, "exceed context limit", "Anthropic", "https://docs.anthropic.com/en/docs/build-with-claude/context-windows"},
	{FaultContext, "exceeds the context window", "OpenAI", "https://platform.openai.com/docs/api-reference/responses"},
	{FaultContext, "exceeds the available context size", "llama.cpp", "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-context.cpp"},
	{FaultContext, "longer than the maximum model length", "vLLM", "https://github.com/vllm-project/vllm/blob/main/vllm/v1/engine/input_processor.py"},
	{FaultContext, "longer than the model's context length", "SGLang", "https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/managers/tokenizer_manager.py"},
	{FaultContext, "exceeds the model's maximum context", "SGLang", "https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/managers/tokenizer_manager.py"},
	{FaultContext, "token count*exceeds the maximum number of tokens", "Google", "https://ai.google.dev/gemini-api/docs/tokens"},
	{FaultContext, "maximum prompt length is", "xAI", "https://docs.x.ai/docs/models"},
	{FaultContext, "reduce the length of the messages or completion", "Groq", "https://console.groq.com/docs/errors"},
	{FaultContext, "request too large for model", "Groq", "https://console.groq.com/docs/rate-limits"},
	{FaultContext, "exceeded model token limit", "Moonshot", "https://platform.moonshot.ai/docs/api/chat"},
	{FaultContext, "range of input length should be", "Alibaba", "https://help.aliyun.com/en/model-studio/error-code"},
	{FaultContext, "model's context length is only", "vLLM", "https://github.com/vllm-project/vllm/blob/main/vllm/renderers/params.py"},
	{FaultContext, "prompt tokens too long", "Baidu", "https://cloud.baidu.com/doc/qianfan-api/s/rmwbl43x7"},
	{FaultContext, "greater than the context length", "LM Studio", "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/237"},
	{FaultContext, "input is too long for requested model", "Amazon Bedrock", "https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html"},
	{FaultContext, "too many tokens: ", "Cohere", "https://docs.cohere.com/reference/errors"},
	{FaultContext, "`max_new_tokens` must be <=", "Text Generation Inference, Together", "https://github.com/huggingface/text-generation-inference/blob/main/router/src/validation.rs"},
	{FaultContext, "must have less than*tokens", "Text Embeddings Inference", "https://github.com/huggingface/text-embeddings-inference/blob/main/core/src/tokenization.rs"},
	{FaultContext, "input length exceeds the context length", "Ollama", "https://github.com/ollama/ollama/blob/main/server/routes.go"},
	{FaultContext, "context the overflows", "LM Studio", "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/237"},
	{FaultContext, "context window exceeds limit", "MiniMax", "https://platform.minimax.io/docs/api-reference/errorcode"},
	{FaultContext, "contextwindowexceedederror", "LiteLLM", "https://docs.litellm.ai/docs/exception_mapping"},

	{FaultFeature, "does not support tools", "Ollama", "https://github.com/ollama/ollama/blob/main/server/images.go"},
	{FaultFeature, "does not support thinking", "Ollama", "https://github.com/ollama/ollama/blob/main/server/images.go"},
	{FaultFeature, "does not support chat", "Ollama", "https://github.com/ollama/ollama/blob/main/server/images.go"},
	{FaultFeature, "does not support embeddings", "Ollama", "https://github.com/ollama/ollama/blob/main/server/images.go"},
	{FaultFeature, "does not support generate", "Ollama", "https://github.com/ollama/ollama/blob/main/server/images.go"},
	{FaultFeature, "does not support image input", "OpenAI, Azure", "https://platform.openai.com/docs/guides/images-vision"},
	{FaultFeature, "does not support function calling", "DeepSeek", "https://api-docs.deepseek.com/guides/function_calling"},
	{FaultFeature, "tool choice requires --enable-auto-tool-choice", "vLLM", "https://docs.vllm.ai/en/latest/features/tool_calling.html"},
	{FaultFeature, "is not a multimodal model", "vLLM", "https://github.com/vllm-project/vllm/blob/main/vllm/entrypoints/chat_utils.py"},
	{FaultFeature, "image input is not supported", "llama.cpp", "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"},
	{FaultFeature, "support for tool use", "OpenRouter", "https://openrouter.ai/docs/features/tool-calling"},
	{FaultFeature, "`tool calling` is not supported with this model", "Groq", "https://console.groq.com/docs/tool-use"},

	{FaultModel, "invalid model name passed in model=", "LiteLLM", "https://github.com/BerriAI/litellm/blob/main/litellm/proxy/route_llm_request.py"},
	{FaultModel, "is not a valid model id", "OpenRouter", "https://openrouter.ai/docs/api-reference/errors"},
	{FaultModel, "invalid model id", "OpenAI", "https://platform.openai.com/docs/guides/error-codes"},
	{FaultModel, "the model*does not exist", "OpenAI, vLLM", "https://platform.openai.com/docs/guides/error-codes"},
	{FaultModel, "model does not exist", "SiliconFlow", "https://docs.siliconflow.cn/en/faqs/error-code"},
	{FaultModel, "model not exist", "DeepSeek, Alibaba", "https://api-docs.deepseek.com/quick_start/error_codes"},
	{FaultModel, "model not found", "xAI, LM Studio, Text Generation Inference", "https://docs.x.ai/docs/key-information/debugging"},
	{FaultModel, "has been decommissioned", "Groq", "https://console.groq.com/docs/deprecations"},
	{FaultModel, "model*has been deprecated", "OpenAI", "https://platform.openai.com/docs/deprecations"},
	{FaultModel, "reached the end of its life", "Amazon Bedrock", "https://docs.aws.amazon.com/bedrock/latest/userguide/model-lifecycle.html"},
	{FaultModel, "provided model identifier is invalid", "Amazon Bedrock", "https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html"},
	{FaultModel, "on-demand throughput isn", "Amazon Bedrock", "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles.html"},
	{FaultModel, "operation does not work with the specified model", "Azure", "https://learn.microsoft.com/azure/ai-foundry/openai/reference"},
	{FaultModel, "requested model is not supported", "GitHub Copilot", "https://docs.github.com/copilot/reference/ai-models/supported-models"},
	{FaultModel, "requested model*does not exist", "Hugging Face", "https://huggingface.co/docs/inference-providers/index"},
	{FaultModel, "model*is no longer available", "Google", "https://ai.google.dev/gemini-api/docs/deprecations"},
	{FaultModel, "model*has been retired", "Azure", "https://learn.microsoft.com/azure/ai-foundry/openai/concepts/model-retirements"},
	{FaultModel, "unable to access model", "Together", "https://docs.together.ai/docs/error-codes"},
	{FaultModel, "not a chat model", "OpenAI", "https://platform.openai.com/docs/guides/error-codes"},
	{FaultModel, "unknown model", "GitHub Models", "https://docs.github.com/rest/models/inference"},
	{FaultModel, "no models loaded", "LM Studio", "https://lmstudio.ai/docs/app/api"},
	{FaultModel, "模型不存在", "Zhipu", "https://docs.bigmodel.cn/cn/api/api-code"},
}

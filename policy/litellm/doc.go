// Package litellm turns a configuration of LiteLLM's proxy into one of Weir: providers,
// models, aliases, fallbacks, and keys as references to secrets. It lists what has no
// counterpart with its line, and never repeats a key.
//
// It reaches nothing: a variable of the environment is asked of its caller. What Weir cannot
// express is a note, never a guess.
//
// The fields are those of https://docs.litellm.ai/docs/proxy/config_settings.
package litellm

package llm

// QueryParams returns the query parameters that the APIs have for every operation: those of
// lists, beta of Anthropic's SDKs, and Azure's api-version. Sources: the API references of
// OpenAI and Anthropic, and
// https://learn.microsoft.com/azure/ai-services/openai/reference.
func QueryParams() []string {
	return []string{
		"api-version", "beta", "include", "include[]", "limit", "order", "after", "before", "after_id", "before_id", "starting_after",
	}
}

// StoredQueryParams returns those that only operations on what a provider stores have:
// files, batches, vector stores, and responses by id.
func StoredQueryParams() []string {
	return []string{"purpose", "filter", "name", StreamField, "include_obfuscation"}
}

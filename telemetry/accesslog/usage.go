package accesslog

import (
	"google.golang.org/protobuf/encoding/protowire"

	"weir/llm"
)

// readUsage reads envoy.data.ai.v3.TokenUsage. Its counts include the tokens that its
// details list separately; an absent count is unknown. Envoy drops negative numbers,
// fractions, and numbers greater than 2^53.
//
// total is set if the provider reported only a total; otherwise it is 0.
func readUsage(b []byte) (t llm.Tokens, total int64) {
	var input, output, all, cached, reasoning count
	status := uint64(0)
	for f := fields(b); f.Next(); {
		switch {
		case f.Is(usageInput, protowire.BytesType):
			input = readCount(f.Bytes)
		case f.Is(usageOutput, protowire.BytesType):
			output = readCount(f.Bytes)
		case f.Is(usageInputDetails, protowire.BytesType):
			cached = detail(f.Bytes, detailsCached)
		case f.Is(usageOutputDetails, protowire.BytesType):
			reasoning = detail(f.Bytes, detailsReasoning)
		case f.Is(usageTotal, protowire.BytesType):
			all = readCount(f.Bytes)
		case f.Is(usageStatus, protowire.VarintType):
			status = f.Scalar
		}
	}
	switch {
	case !input.sane() || !output.sane() || !all.sane():
		return llm.Tokens{}, 0
	case !input.known && !output.known && status != partial:
		return llm.Tokens{}, all.n
	case !input.known || !output.known && status == partial:
		return llm.Tokens{}, 0 // the details exceed the counts: nothing of it can be trusted
	}
	return llm.Tokens{
		Known: true, OutputKnown: output.known,
		Input: input.n, Output: output.n, Total: input.n + output.n,
		CachedInput: min(cached.n, input.n), Reasoning: min(reasoning.n, output.n),
	}, 0
}

// count is a number that may be unknown.
type count struct {
	n     int64
	known bool
}

func (c count) sane() bool { return c.n <= llm.MaxTokens }

// readCount reads a UInt64Value.
func readCount(b []byte) count {
	n := wrapped(b)
	if n > llm.MaxTokens {
		n = llm.MaxTokens + 1
	}
	return count{int64(n), true}
}

// detail reads a field of a message, a UInt64Value.
func detail(b []byte, number protowire.Number) (c count) {
	for f := fields(b); f.Next(); {
		if f.Is(number, protowire.BytesType) {
			c = readCount(f.Bytes)
		}
	}
	return c
}

package llm

import "strings"

// Fault is a set of causes that an error can have although the request is well-formed: with
// another key, provider or model, the same request may succeed. An error that the request
// itself causes has none of them. For example, "Your credit balance is too low to access the
// Anthropic API" has status 400 and is a FaultAccount.
type Fault uint8

// The faults.
const (
	FaultKey     Fault = 1 << iota // the provider does not accept its key
	FaultAccount                   // the provider does not serve the account: no credit, a spending limit, disabled
	FaultRegion                    // the provider does not serve the country that the request comes from
	FaultModel                     // the provider does not have the model, or not any more
	FaultFeature                   // the model does not have what the request asks for, such as tools
	FaultContext                   // the prompt is longer than the provider takes for this model

	NoFault Fault = 0
)

// Faults are all of them, in the order of the documentation, by the word that turns each on in
// failover_on. The words are also the causes in the access log.
var Faults = [...]struct {
	Word  string
	Fault Fault

	verdict Verdict
}{
	{CauseInvalidKey, FaultKey, InvalidKey},
	{CauseAccount, FaultAccount, AccountBlocked},
	{CauseRegion, FaultRegion, RegionUnsupported},
	{CauseUnknownModel, FaultModel, UnknownModel},
	{CauseUnsupportedFeature, FaultFeature, UnsupportedFeature},
	{CauseContext, FaultContext, ContextExceeded},
}

// FaultOf returns the fault with a word of failover_on, or NoFault.
func FaultOf(word string) Fault {
	for _, f := range &Faults {
		if f.Word == word {
			return f.Fault
		}
	}
	return NoFault
}

func (f Fault) verdict() Verdict {
	for _, known := range &Faults {
		if known.Fault == f {
			return known.verdict
		}
	}
	return ErrorResponse
}

// HasFaults reports whether providers use a status for faults, besides for invalid requests:
// 400 all of them, 412 Fireworks
// (https://docs.fireworks.ai/guides/inference-error-codes), 413 Groq
// (https://console.groq.com/docs/errors) and Text Embeddings Inference, 422 Text Generation
// Inference (https://huggingface.github.io/text-generation-inference/).
func HasFaults(status int) bool {
	return status == 400 || status == 412 || status == 413 || status == 422
}

// maxFaultText is how much of a message is searched, in bytes: the message of a provider behind
// a proxy is part of the proxy's.
const maxFaultText = 2 << 10

// fault returns what an error says of its cause. Codes count more than messages, because a
// message may contain words of the client.
func (p *problem) fault() Fault {
	var found Fault
	for _, code := range p.codes {
		found |= faultCodes[strings.ToLower(code)]
	}
	if found != NoFault {
		return found & -found // the first of several
	}
	for i := range p.texts {
		p.texts[i] = strings.ToLower(p.texts[i][:min(len(p.texts[i]), maxFaultText)])
	}
	for i := range faultTexts {
		row := &faultTexts[i]
		for _, text := range p.texts {
			if has(text, row.text) {
				return row.fault
			}
		}
	}
	return NoFault
}

// has reports whether a text has the parts of a phrase, which are separated by an asterisk, in
// their order.
func has(text, phrase string) bool {
	for part := range strings.SplitSeq(phrase, "*") {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}

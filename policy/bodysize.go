package policy

import "weir/llm"

// BodySize refuses a body that is larger than this gateway takes.
func (p *Policy) BodySize(bytes uint64) error {
	if bytes > uint64(p.MaxBodyBytes) {
		return llm.Errorf(llm.RequestTooLarge, "the request body is larger than %d bytes", p.MaxBodyBytes)
	}
	return nil
}

package policy

import (
	"weir/identity"
	"weir/llm/body"
	"weir/metadata"
)

// LogContextOf says what is logged of a request, as far as it was read: body
// and plan may be nil.
func LogContextOf(id, operation string, key *identity.Key, body *body.Body, plan *Plan) metadata.LogContext {
	c := metadata.LogContext{ID: id, Operation: operation}
	if key != nil {
		c.KeyID, c.Key = key.ID, key.Name
	}
	switch {
	case body == nil:
	case body.HasModel:
		c.Asked = body.Model
	case len(body.Models) > 0:
		c.Asked = body.Models[0]
	}
	if plan != nil {
		c.Stream = plan.Stream
		c.Attempts = make([]metadata.LoggedAttempt, 0, metadata.MaxAttempts)
		for i := range plan.Attempts {
			c.Attempts = append(c.Attempts, metadata.LoggedAttempt{Cluster: plan.Attempts[i].Cluster.Name, Model: plan.Attempts[i].Model})
		}
	}
	return c
}

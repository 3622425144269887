package llm

import (
	"encoding/json"
	"fmt"
	"testing"
)

// A list in Anthropic's format, page by page.
func TestModelPages(t *testing.T) {
	var models []Model
	for _, id := range []string{"p:a", "p:b", "p:c", "p:d"} {
		models = append(models, Model{ID: id})
	}
	for _, c := range []struct{ query, want string }{
		{"", "[p:a p:b p:c p:d] false p:a p:d"},
		{"limit=2", "[p:a p:b] true p:a p:b"},
		{"limit=4", "[p:a p:b p:c p:d] false p:a p:d"},
		{"limit=2&after_id=p:b", "[p:c p:d] false p:c p:d"},
		{"limit=1&after_id=p%3Ab", "[p:c] true p:c p:c"},
		{"after_id=p:d", "[] false  "},
		{"limit=2&before_id=p:d", "[p:b p:c] true p:b p:c"},
		{"limit=2&before_id=p:c", "[p:a p:b] false p:a p:b"},
		{"before_id=p:a", "[] false  "},
		{"limit=0", "invalid_body"},
		{"limit=1001", "invalid_body"},
		{"limit=x", "invalid_body"},
		{"after_id=p:e", "invalid_body"},
		{"after_id=p:a&before_id=p:c", "invalid_body"},
		{"limit=%zz", "invalid_body"},
	} {
		got := ""
		body, err := RenderModels(models, Anthropic, c.query)
		if err != nil {
			got = string(AsError(err).Code)
		} else {
			var page struct {
				Data    []struct{ ID string }
				HasMore bool   `json:"has_more"`
				FirstID string `json:"first_id"`
				LastID  string `json:"last_id"`
			}
			if err := json.Unmarshal(body, &page); err != nil {
				t.Fatal(err)
			}
			ids := []string{}
			for _, m := range page.Data {
				ids = append(ids, m.ID)
			}
			got = fmt.Sprint(ids, page.HasMore, " ", page.FirstID, " ", page.LastID)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
		if body, err := RenderModels(models, OpenAI, c.query); err != nil || len(body) < 100 {
			t.Errorf("%s in OpenAI's format: %s %v", c.query, body, err)
		}
	}
}

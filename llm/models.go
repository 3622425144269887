package llm

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
)

// Model is a model as a client sees it: the ID to request it with, who made or serves it,
// and its name for people. OpenAI's shape has the owner, Anthropic's the display name.
type Model struct {
	ID, Owner, DisplayName string
}

// Render returns the response body of GET /v1/models/{id}, in the shape of
// https://platform.openai.com/docs/api-reference/models/object or
// https://docs.anthropic.com/en/api/models.
func (m Model) Render(f Format) []byte { return marshal(m.in(f)) }

// The limits of Anthropic's parameter limit. The API's own default of 20 would hide models
// from clients that read one page.
const (
	minPage = 1
	maxPage = 1000
)

// pageOf returns the models that the query of a list in Anthropic's format asks for, and
// whether there are more in that direction
// (https://docs.anthropic.com/en/api/models-list): limit, and after_id or before_id.
func pageOf(models []Model, query string) (page []Model, more bool, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, false, Errorf(InvalidBody, "the query is not valid")
	}
	limit := len(models)
	if s := values.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < minPage || limit > maxPage {
			return nil, false, Errorf(InvalidBody, "limit=%.32q: write a number from %d to %d", s, minPage, maxPage)
		}
	}
	after, before := values.Get("after_id"), values.Get("before_id")
	if after != "" && before != "" {
		return nil, false, Errorf(InvalidBody, "send either after_id or before_id")
	}
	for _, id := range []string{after, before} {
		if id == "" {
			continue
		}
		at := slices.IndexFunc(models, func(m Model) bool { return m.ID == id })
		switch {
		case at < 0:
			return nil, false, Errorf(InvalidBody, "%q is not an id of this list", Clip(id))
		case id == after:
			models = models[at+1:]
		default:
			models = models[:at]
		}
	}
	if more = len(models) > limit; more && before != "" {
		models = models[len(models)-limit:]
	} else if more {
		models = models[:limit]
	}
	return models, more, nil
}

// RenderModels returns the response body of GET /v1/models. In OpenAI's format, all models
// are on one page. In Anthropic's, they are those that the query asks for.
func RenderModels(models []Model, f Format, query string) ([]byte, error) {
	more := false
	if f == Anthropic {
		var err error
		if models, more, err = pageOf(models, query); err != nil {
			return nil, err
		}
	}
	data := make([]any, len(models))
	for i, m := range models {
		data[i] = m.in(f)
	}
	if f != Anthropic {
		return marshal(openaiList{Object: listObject, Data: data}), nil
	}
	page := anthropicList{Data: data, HasMore: more}
	if len(models) > 0 {
		page.FirstID, page.LastID = &models[0].ID, &models[len(models)-1].ID
	}
	return marshal(page), nil
}

// ReadModels returns the ids in a response body of GET /v1/models, in OpenAI's shape. It
// fails if the body has another shape.
func ReadModels(body []byte) ([]string, error) {
	var list struct {
		Object string `json:"object"`
		Data   []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	if list.Object != listObject {
		return nil, errors.New("not a list of models in OpenAI's shape")
	}
	ids := make([]string, len(list.Data))
	for i, m := range list.Data {
		ids[i] = m.ID
	}
	return ids, nil
}

const listObject = "list"

type openaiList struct {
	Object string `json:"object"`
	Data   []any  `json:"data"`
}

type anthropicList struct {
	Data    []any   `json:"data"`
	HasMore bool    `json:"has_more"`
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
}

type openaiModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int    `json:"created"`
	OwnedBy string `json:"owned_by"`
}

type anthropicModel struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

// in returns the model in the shape of a format. Both APIs require a time of creation,
// which Weir does not know: the epoch is what Anthropic documents for that case.
func (m Model) in(f Format) any {
	if f == Anthropic {
		return anthropicModel{"model", m.ID, m.DisplayName, "1970-01-01T00:00:00Z"}
	}
	return openaiModel{m.ID, "model", 0, m.Owner}
}

// marshal encodes a value of strings and numbers, which never fails.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

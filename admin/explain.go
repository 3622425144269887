package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/identity"
	"weir/llm"
	"weir/llm/body"
	"weir/policy"
)

// Question is a request to explain.
type Question struct {
	// Method is POST if it is empty.
	Method string
	// Path is the path and query that the client calls.
	Path string
	// Key is the name of an access key, or the key itself. Empty: the key that
	// the headers have.
	Key string
	// IP is the address of the client.
	IP string
	// Headers are lines such as "user-agent: curl".
	Headers []string
	Body    []byte
}

// Basis is the policy with which requests are planned, and everything else that a plan
// depends on.
type Basis struct {
	Policy *policy.Policy
	Keys   *identity.Index
	Health policy.Health // nil: nothing is known
	// Numbers are those of the policy; nil: all are 0.
	Numbers policy.Numbers
}

// Explain plans a request. It returns an error for a request that is refused before
// it is planned.
func Explain(b Basis, q Question) (policy.Explanation, error) {
	var none policy.Explanation
	p := b.Policy
	client, err := clientHeaders(q.Headers)
	if err != nil {
		return none, err
	}
	var named *identity.Key
	if q.Key != "" {
		if named = b.Keys.Named(q.Key); named == nil {
			keyHeader := llm.OpenAI.KeyHeader("")
			client = slices.Insert(client, 0, policy.ExplainedHeader{Name: keyHeader, Value: llm.KeyPrefix(keyHeader) + q.Key})
		}
	}
	const id = "explain"
	method := cmp.Or(q.Method, "POST")
	headers := p.Arriving(method, q.Path, id, client, len(q.Body))
	var arrival policy.Arrival
	for _, h := range headers {
		arrival.Header(h.Name, h.Value)
	}
	admission, err := p.Admit(&arrival, len(q.Body) == 0, func(credential string) (*identity.Key, error) {
		if named != nil {
			return named, nil
		}
		return p.Authenticate(b.Keys, credential)
	})
	switch {
	case admission.Endpoint != nil && admission.Endpoint.Multipart:
		return none, fmt.Errorf("%s does not take a JSON body: only requests with one can be explained", q.Path)
	case err != nil:
		return none, err
	case admission.Endpoint == nil:
		return none, fmt.Errorf("the gateway itself replies to %s %s: there is nothing to explain", method, q.Path)
	}
	var parsed body.Body
	if err := p.ReadBody(&admission, q.Body, &parsed); err != nil {
		return none, err
	}
	req := policy.Request{
		Body: &parsed, Now: time.Now(), Health: b.Health, Numbers: b.Numbers, ClientIP: q.IP,
		Headers: func(yield func(string, string) bool) {
			for _, h := range headers {
				if !yield(h.Name, h.Value) {
					return
				}
			}
		},
		Random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	req.Admitted(&admission)
	return p.Explain(&req, headers), nil
}

// clientHeaders returns header lines as headers, with a content-type of JSON if there
// is none.
func clientHeaders(lines []string) ([]policy.ExplainedHeader, error) {
	var out []policy.ExplainedHeader
	for _, h := range lines {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("header %q: write 'name: value'", h)
		}
		out = append(out, policy.ExplainedHeader{Name: strings.ToLower(strings.TrimSpace(name)), Value: strings.TrimSpace(value)})
	}
	if !slices.ContainsFunc(out, func(h policy.ExplainedHeader) bool { return h.Name == "content-type" }) {
		out = slices.Insert(out, 0, policy.ExplainedHeader{Name: "content-type", Value: llm.JSONType})
	}
	return out, nil
}

// explain serves POST /explain?method=…&path=…&key=…&header=…&ip=…: it explains the request
// in the body with a policy and its current numbers.
func explain(current Basis, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(current.Policy.MaxBodyBytes)))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	q := r.URL.Query()
	path := q.Get("path")
	if path == "" {
		path = llm.ChatCompletionsPath
	}
	e, err := Explain(current, Question{Method: q.Get("method"), Path: path, Key: q.Get("key"), IP: q.Get("ip"), Headers: q["header"], Body: body})
	if err != nil {
		message := err.Error()
		var coded *llm.Error
		if errors.As(err, &coded) {
			message = coded.Message
		}
		http.Error(w, message, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(e)
}

package extproc_test

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	credentialv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	extprocconfigv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/anypb"

	"weir/admin"
	"weir/llm"
	"weir/metadata"
	"weir/policy"
	"weir/policy/header"
	"weir/xds"
)

const explained = `
access_keys:
  - {name: app, value: key-0123456789-abcdef, metadata: {team: red}}
  - {name: narrow, value: key-9876543210-fedcba, configuration: {access: {providers: {allow: [b]}}}}
max_body_bytes: 1024
limits: {max_request_headers: 20, max_request_header_bytes: 4096}
on_http_request:
  - type: ai-gateway
    config:
      headers:
        x-sees: "${['authorization', 'x-api-key', 'cookie', 'x-request-id', 'x-forwarded-proto', 'x-forwarded-for', 'x-envoy-a', 'x-weir-a', 'content-length', 'cdn-loop', 'via', 'x-copy', ':path', 'x_odd', 'x-hop', 'te', 'connection', 'upgrade', 'trailer', 'expect', 'api-key', 'host'].map(h, req.headers[h])}"
        x-team: "${key.metadata.team}"
      providers:
        - {id: a, base_url: http://a.internal, api_keys: [{value: sk-a}], models: [{id: m}], headers: {x-own: "1"}, forward: {headers: [x-a, x-both, cookie-like]}}
        - {id: b, base_url: "http://b.internal/base?own=1", api_keys: [{value: sk-b}], auth: {header: x-b-key}, models: [{id: m, provider_model_id: big}], forward: {headers: [x-b, x-both], query: [q]}}
        - {id: c, base_url: http://c.internal, supported_api_surfaces: [{format: anthropic}]}
`

// TestExplainAgrees holds that Explain says of a request what becomes of it: the
// refusal, with its words, or what each provider receives. On the gateway's side the
// requests go through the processor, and through the header filters that the control
// plane makes for Envoy.
func TestExplainAgrees(t *testing.T) {
	const key = "authorization: Bearer key-0123456789-abcdef"
	for name, c := range map[string]struct {
		target  string
		headers []string
		body    string
	}{
		"an SDK's":                          {"", []string{key, "user-agent: OpenAI/Python", "accept: */*", "accept-encoding: gzip, br", "x-stainless-os: Linux", "content-type: application/json"}, ""},
		"for some providers":                {"?q=1&of=2&api-version=3", []string{key, "x-a: 1", "x-b: 2", "x-both: 3", "x-other: 4", "x-a: 5"}, ""},
		"the gateway's own":                 {"", []string{key, "x-own: theirs", "x-sees: theirs", "x-team: theirs", "x-b-key: theirs"}, ""},
		"Envoy's and Weir's":                {"", []string{key, "x-envoy-a: 1", "x-envoy-max-retries: 9", "x-weir-a: 1", "x-weir-stream: 1", "x-request-id: mine", "x-forwarded-proto: https", "http2-settings: x"}, ""},
		"a request id":                      {"", []string{key, "x-request-id: Root=1-67891233-abcdef012345678912345678"}, ""},
		"two request ids":                   {"", []string{key, "x-request-id: a", "x-client-request-id: b", "x-weir-client-request-id: c"}, ""},
		"a hostile request id":              {"", []string{key, "x-request-id: ${jndi:ldap://x}", "x-client-request-id: a b"}, ""},
		"a key as a request id":             {"", []string{key, "x-request-id: key-0123456789-abcdef"}, ""},
		"a long request id":                 {"", []string{key, "x-request-id: " + strings.Repeat("a", 129)}, ""},
		"of one hop":                        {"", []string{key, "connection: keep-alive, X-Hop", "x-hop: 1", "keep-alive: 5", "te: trailers", "upgrade: websocket", "proxy-connection: close", "trailer: x"}, ""},
		"another te":                        {"", []string{key, "te: gzip"}, ""},
		"underscores":                       {"", []string{key, "x_odd: 1", "x_api_key: key-0123456789-abcdef"}, ""},
		"of proxies":                        {"", []string{key, "via: 1.1 x", "forwarded: for=x", "x-forwarded-for: 192.0.2.1", "x-real-ip: 192.0.2.1", "cf-access-jwt-assertion: x"}, ""},
		"credentials":                       {"", []string{key, "cookie: a=b", "cookie-like: 1", "x-api-key: other-0123456789-abcdef", "api-key: x", "openai-organization: x", "proxy-authorization: x"}, ""},
		"the key elsewhere":                 {"?q=key-0123456789-abcdef", []string{key, "x-copy: key-0123456789-abcdef", "x-a: key-0123456789-abcdef", "user-agent: key-0123456789-abcdef"}, `{"model":"m","user":"key-0123456789-abcdef"}`},
		"a key as x-api-key":                {"", []string{"x-api-key: key-0123456789-abcdef"}, ""},
		"a key as x-goog-api-key":           {"", []string{"x-goog-api-key: key-9876543210-fedcba"}, ""},
		"a key as api-key":                  {"", []string{"api-key: key-0123456789-abcdef"}, ""},
		"two keys, the first":               {"", []string{"x-api-key: nonsense", key}, ""},
		"two keys, a wrong one":             {"", []string{"authorization: Bearer nonsense", "x-api-key: key-0123456789-abcdef"}, ""},
		"basic":                             {"", []string{"authorization: Basic a2V5LTAxMjM0NTY3ODktYWJjZGVmOg=="}, ""},
		"no key":                            {"", nil, ""},
		"a wrong key":                       {"", []string{"authorization: Bearer nonsense"}, ""},
		"a key with a scope":                {"", []string{"authorization: Bearer key-9876543210-fedcba"}, `{"model":"a:m"}`},
		"other methods":                     {"", []string{key, "x-http-method-override: DELETE", "x-original-url: /", "expect: 100-continue"}, ""},
		"through gateways":                  {"", []string{key, "cdn-loop: cdn, weir-0123456789abcdef", "cdn-loop: weir-fedcba9876543210; x=1"}, ""},
		"through too many":                  {"", []string{key, "cdn-loop: " + strings.Repeat("weir-0123456789abcdef, ", policy.MaxHops)}, ""},
		"through this one":                  {"", []string{key, "cdn-loop: weir-own"}, ""},
		"a loop before a wrong key":         {"", []string{"cdn-loop: weir-own", "authorization: Bearer nonsense"}, ""},
		"a page":                            {"", []string{key, "origin: https://elsewhere.example", "host: elsewhere.example"}, ""},
		"too many headers":                  {"", append([]string{key}, slices.Repeat([]string{"x-a: 1"}, 20)...), ""},
		"as many headers as may be":         {"", append([]string{key, "x-envoy-a: 1"}, slices.Repeat([]string{"x-a: 1"}, 17)...), ""},
		"headers too large":                 {"", []string{key, "x-a: " + strings.Repeat("x", 4096)}, ""},
		"encoded":                           {"", []string{key, "content-encoding: identity", "content-encoding: gzip"}, ""},
		"identity":                          {"", []string{key, "content-encoding: identity"}, ""},
		"another type":                      {"", []string{key, "content-type: text/plain"}, ""},
		"another charset":                   {"", []string{key, "content-type: application/json; charset=utf-16"}, ""},
		"a type with a charset":             {"", []string{key, "content-type: application/json; charset=UTF-8"}, ""},
		"a declared length":                 {"", []string{key, "content-length: 9999"}, ""},
		"a body too large":                  {"", []string{key}, `{"model":"m","user":"` + strings.Repeat("x", 1024) + `"}`},
		"a body too large, before its type": {"", []string{key, "content-type: text/plain"}, strings.Repeat("x", 1025)},
		"no JSON":                           {"", []string{key}, `{"model"`},
		"twice":                             {"", []string{key}, `{"model":"m","model":"a:m"}`},
		"no such model":                     {"", []string{key}, `{"model":"x"}`},
		"one of two models":                 {"", []string{key}, `{"models":["nothing, such","a:m","b:m"]}`},
		"a key by its name":                 {"", []string{"x-team: theirs"}, `{"model":"a:m","user":"app"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conv := newConversation(t, []byte(explained))
				path, body := "/v1/chat/completions"+c.target, c.body
				if body == "" {
					body = `{"model":"m","stream":true}`
				}
				var headers []string
				for _, h := range c.headers {
					headers = append(headers, conv.read.Replace(h))
				}
				if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "content-type:") }) {
					headers = append(headers, "content-type: application/json") // what explain adds
				}
				question := admin.Question{Path: path, IP: "203.0.113.7", Headers: headers, Body: []byte(body)}
				if name == "a key by its name" {
					question.Key, headers = "app", append(headers, key)
				}
				want, err := admin.Explain(admin.Basis{Policy: conv.policy, Keys: conv.keys}, question)
				if refused := llm.AsError(err); err != nil {
					want.Error = &policy.ExplainedError{Status: refused.Status(), Code: refused.Code, Message: refused.Message}
				}
				e := &envoy{conv: conv, clusters: map[string]*upstreamv3.HttpProtocolOptions{}}
				e.configure()
				got := e.request(path, headers, body)
				if want.Error != nil {
					want.Error.Cause = ""
				}
				if diff := cmp.Diff(want.Error, got.Error); diff != "" {
					t.Fatalf("(-explained +refused)\n%s", diff)
				}
				if len(got.Attempts) != len(want.Attempts) {
					t.Fatalf("%d attempts, explained %d", len(got.Attempts), len(want.Attempts))
				}
				for i := range want.Attempts {
					w := policy.ExplainedAttempt{URL: want.Attempts[i].URL, Headers: want.Attempts[i].Headers, Body: want.Attempts[i].Body}
					slices.Sort(w.Headers)
					if diff := cmp.Diff(w, got.Attempts[i]); diff != "" {
						t.Errorf("attempt %d (-explained +sent)\n%s", i+1, diff)
					}
				}
			})
		})
	}
}

// TestFiltersFollowTheRules holds that what Envoy is told to do with each header of
// the table is what its rule says.
func TestFiltersFollowTheRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &envoy{conv: newConversation(t, []byte(explained)), clusters: map[string]*upstreamv3.HttpProtocolOptions{}}
		e.configure()
		names := append(header.With(func(header.Rule) bool { return true }), "x-unknown", "x-env", "xx-weir-a")
		for _, name := range names {
			if prefix, all := strings.CutSuffix(name, "*"); all {
				name = prefix + "x"
			}
			rule := header.RuleOf(name)
			sent := []field{{name, "1"}}
			if got := !slices.Contains(e.mutate(sent, e.early), sent[0]); got != rule.Internal {
				t.Errorf("%s is removed on arrival: %v", name, got)
			}
			if got := slices.Contains(e.hidden, name); got != rule.Hidden {
				t.Errorf("%s is hidden from Weir: %v", name, got)
			}
			for _, cluster := range e.conv.policy.Clusters {
				got := !slices.ContainsFunc(e.upstream(sent, cluster.Name), func(f field) bool { return f == sent[0] })
				if got != (rule.Passes == header.Never) {
					t.Errorf("%s is removed in front of %s: %v", name, cluster.Name, got)
				}
			}
		}
	})
}

// envoy does with headers what the resources of a policy say. What it does by itself
// is written out here: see arrive.
type envoy struct {
	conv     *conversation
	early    []*mutationv3.HeaderMutation
	hidden   []string
	clusters map[string]*upstreamv3.HttpProtocolOptions
}

func (e *envoy) configure() {
	c := e.conv
	set, err := xds.Resources(c.policy, nil, xds.Options{ControlCluster: "weir", LogCluster: "weir-log", Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	c.check(err)
	var hcm hcmv3.HttpConnectionManager
	c.check(set.Listeners[0].(*listenerv3.Listener).GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(&hcm))
	for _, ext := range hcm.GetEarlyHeaderMutationExtensions() {
		var m earlyv3.HeaderMutation
		c.check(ext.GetTypedConfig().UnmarshalTo(&m))
		e.early = append(e.early, m.GetMutations()...)
	}
	for _, f := range hcm.GetHttpFilters() {
		if f.GetName() == "weir.decide" {
			var decide extprocconfigv3.ExternalProcessor
			c.check(f.GetTypedConfig().UnmarshalTo(&decide))
			for _, p := range decide.GetForwardRules().GetDisallowedHeaders().GetPatterns() {
				e.hidden = append(e.hidden, p.GetExact())
			}
		}
	}
	for _, r := range set.Clusters {
		for _, options := range r.(*clusterv3.Cluster).GetTypedExtensionProtocolOptions() {
			var http upstreamv3.HttpProtocolOptions
			c.check(options.UnmarshalTo(&http))
			e.clusters[r.(*clusterv3.Cluster).GetName()] = &http
		}
	}
}

type field struct{ name, value string }

// arrive is what Envoy's codecs and the listener make of a client's request.
func (e *envoy) arrive(path string, lines []string, body string) []field {
	out := []field{{":authority", "localhost"}, {":path", path}, {":method", "POST"}, {":scheme", "http"}}
	var client []field
	gone := []string{"host", "connection", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding", "content-length"}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		client = append(client, field{name, value})
		switch {
		case name == "host":
			out[0].value = value
		case name == "connection":
			for token := range strings.SplitSeq(value, ", ") {
				gone = append(gone, strings.ToLower(token))
			}
		case name == "te" && value != "trailers", strings.Contains(name, "_"):
			gone = append(gone, name)
		}
	}
	client = slices.DeleteFunc(client, func(h field) bool { return slices.Contains(gone, h.name) })
	client = e.mutate(client, e.early)
	out = append(out, field{"content-length", strconv.Itoa(len(body))})
	return append(append(out, client...), field{"x-request-id", "explain"}, field{"x-forwarded-proto", "http"})
}

// mutate applies the header mutations that Weir uses.
func (e *envoy) mutate(headers []field, mutations []*mutationv3.HeaderMutation) []field {
	out := slices.Clone(headers)
	for _, m := range mutations {
		switch action := m.GetAction().(type) {
		case *mutationv3.HeaderMutation_Remove:
			out = slices.DeleteFunc(out, func(h field) bool { return h.name == action.Remove })
		case *mutationv3.HeaderMutation_RemoveOnMatch_:
			prefix, pattern := action.RemoveOnMatch.GetKeyMatcher().GetPrefix(), action.RemoveOnMatch.GetKeyMatcher().GetSafeRegex().GetRegex()
			if prefix == "" && pattern == "" {
				e.conv.t.Fatalf("mutation %v", m)
			}
			whole := regexp.MustCompile("^(?:" + pattern + ")$")
			out = slices.DeleteFunc(out, func(h field) bool {
				return prefix != "" && strings.HasPrefix(h.name, prefix) || whole.MatchString(h.name)
			})
		case *mutationv3.HeaderMutation_Append:
			name, value := action.Append.GetHeader().GetKey(), e.format(out, action.Append.GetHeader().GetValue())
			i := slices.IndexFunc(out, func(h field) bool { return h.name == name })
			switch {
			case action.Append.GetAppendAction().String() == "OVERWRITE_IF_EXISTS" && i < 0:
			case value == "": // Envoy adds no empty header
				out = set(out, name, nil)
			default:
				out = set(out, name, &value)
			}
		default:
			e.conv.t.Fatalf("mutation %v", m)
		}
	}
	return out
}

// format fills in a header or a field of the request's metadata.
func (e *envoy) format(headers []field, value string) string {
	if name, ok := strings.CutPrefix(value, "%REQ("); ok {
		i := slices.IndexFunc(headers, func(h field) bool { return h.name == strings.TrimSuffix(name, ")%") })
		if i < 0 {
			return ""
		}
		return headers[i].value
	}
	if field, ok := strings.CutPrefix(value, "%DYNAMIC_METADATA("+metadata.PlanNamespace+":"); ok {
		return e.conv.metadata[metadata.PlanNamespace].GetFields()[strings.TrimSuffix(field, ")%")].GetStringValue()
	}
	return strings.ReplaceAll(value, "%%", "%")
}

// set gives a header one value, or removes it.
func set(headers []field, name string, value *string) []field {
	out := slices.DeleteFunc(slices.Clone(headers), func(h field) bool { return h.name == name })
	if value != nil {
		out = append(out, field{name, *value})
	}
	return out
}

// request sends a request through the processor and each attempt through its cluster.
func (e *envoy) request(path string, lines []string, body string) (out policy.Explanation) {
	c := e.conv
	headers := e.arrive(path, lines, body)
	var shown []string
	for _, h := range headers {
		if !slices.Contains(e.hidden, h.name) {
			shown = append(shown, h.name+": "+h.value)
		}
	}
	c.step("request", nil)
	for attempt := 1; ; attempt++ {
		c.send("request_headers", shown)
		c.send("request_body end "+strconv.Quote(body), nil)
		synctest.Wait()
		reply := c.reply()
		if i := reply.GetImmediateResponse(); i != nil {
			code := llm.Code(strings.TrimPrefix(i.GetDetails(), metadata.DetailsPrefix))
			_, message, _ := strings.Cut(string(i.GetBody()), `"message":`)
			message, _, _ = strings.Cut(message, `,"type":`)
			message, err := strconv.Unquote(message)
			c.check(err)
			out.Error = &policy.ExplainedError{Status: int(i.GetStatus().GetCode()), Code: code, Message: message}
			return out
		}
		common := reply.GetRequestBody().GetResponse()
		sent := body
		if m := common.GetBodyMutation(); m != nil {
			sent = string(m.GetBody())
		}
		for _, name := range common.GetHeaderMutation().GetRemoveHeaders() {
			headers = set(headers, name, nil)
		}
		for _, h := range common.GetHeaderMutation().GetSetHeaders() {
			value := string(h.GetHeader().GetRawValue())
			headers = set(headers, h.GetHeader().GetKey(), &value)
		}
		if attempt == 1 {
			body = sent // Envoy keeps what the first attempt sends
		}
		cluster, last := e.cluster(headers, attempt)
		headers = e.upstream(headers, cluster)
		out.Attempts = append(out.Attempts, asExplained(headers, sent))
		if last {
			return out
		}
		c.step("retry "+strconv.Itoa(attempt+1)+" "+e.clusterOf(attempt+1), nil)
		shown = nil
	}
}

// clusterOf returns the cluster of an attempt in the chain.
func (e *envoy) clusterOf(attempt int) string {
	groups := e.conv.metadata[metadata.ChainNamespace].GetFields()["priority_groups"].GetListValue().GetValues()
	return groups[attempt-1].GetStructValue().GetFields()["clusters"].GetListValue().GetValues()[0].GetStructValue().GetFields()["cluster_name"].GetStringValue()
}

// cluster returns where an attempt goes, and whether it is the last.
func (e *envoy) cluster(headers []field, attempt int) (name string, last bool) {
	if i := slices.IndexFunc(headers, func(h field) bool { return h.name == metadata.DirectHeader }); i >= 0 {
		return headers[i].value, true
	}
	groups := e.conv.metadata[metadata.ChainNamespace].GetFields()["priority_groups"].GetListValue().GetValues()
	return e.clusterOf(attempt), attempt == len(groups)
}

// upstream applies the filters of a cluster.
func (e *envoy) upstream(headers []field, cluster string) []field {
	for _, f := range e.clusters[cluster].GetHttpFilters() {
		var config any
		unpack(e.conv, f.GetTypedConfig(), &config)
		switch config := config.(type) {
		case *headerv3.HeaderMutation:
			headers = e.mutate(headers, config.GetMutations().GetRequestMutations())
		case *credentialv3.CredentialInjector:
			var generic genericv3.Generic
			e.conv.check(config.GetCredential().GetTypedConfig().UnmarshalTo(&generic))
			value := generic.GetHeaderValuePrefix() + "[redacted]"
			headers = set(headers, generic.GetHeader(), &value)
		}
	}
	return headers
}

func unpack(c *conversation, packed *anypb.Any, into *any) {
	m, err := packed.UnmarshalNew()
	c.check(err)
	*into = m
}

// asExplained is an attempt as Explain writes it.
func asExplained(headers []field, body string) policy.ExplainedAttempt {
	out := policy.ExplainedAttempt{Body: body, Headers: []string{}}
	authority, path := "", ""
	for _, h := range headers {
		switch h.name {
		case ":authority":
			authority = h.value
		case ":path":
			path = h.value
		case ":method", ":scheme", "content-length", "x-request-id":
		default:
			out.Headers = append(out.Headers, h.name+": "+h.value)
		}
	}
	slices.Sort(out.Headers)
	out.URL = "http://" + authority + path
	return out
}

// reply returns the last message of the current stream.
func (c *conversation) reply() *extprocv3.ProcessingResponse {
	c.t.Helper()
	var last *extprocv3.ProcessingResponse
	for {
		select {
		case r := <-c.current.received:
			if r.err != nil {
				return last
			}
			last = r.message
			c.written(last) // which keeps the metadata
		default:
			return last
		}
	}
}

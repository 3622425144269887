package xds

import (
	"fmt"
	"strings"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	parserv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/content_parsers/json/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	jsonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/json_to_metadata/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	ssev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/sse_to_metadata/v3"

	"weir/llm"
	"weir/metadata"
)

// maxEarlyEvent bounds what Envoy buffers of an event with usage.
const maxEarlyEvent = 64 << 10

// early records the usage object that a stream sends before its end: the usage filter
// publishes what it found at a clean end only, and some clients disconnect before
// that. For messages one event is read, for chat completions every one.
//
// The filter is added where the request's header asks for it. Removing it elsewhere
// does not work: it sees responses only, which have no such header.
func (b *builder) early() *matchingv3.ExtensionWithMatcher {
	filters := map[string]*corev3.TypedExtensionConfig{}
	for stream, usage := range llm.StreamUsages() {
		filters[stream] = b.earlyUsage(usage)
	}
	return b.byAnswer(filters)
}

// byAnswer adds the filter for the kind of the stream.
func (b *builder) byAnswer(filters map[string]*corev3.TypedExtensionConfig) *matchingv3.ExtensionWithMatcher {
	matches := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	for answer, filter := range filters {
		matches[answer] = b.put(filter)
	}
	return &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: b.extension("envoy.filters.http.composite", &compositev3.Composite{}),
		XdsMatcher: &xdsmatcherv3.Matcher{MatcherType: &xdsmatcherv3.Matcher_MatcherTree_{MatcherTree: &xdsmatcherv3.Matcher_MatcherTree{
			Input:    b.requestHeader(metadata.AnswerHeader),
			TreeType: &xdsmatcherv3.Matcher_MatcherTree_ExactMatchMap{ExactMatchMap: &xdsmatcherv3.Matcher_MatcherTree_MatchMap{Map: matches}},
		}}},
	}
}

// earlyUsage finds the usage object in events.
func (b *builder) earlyUsage(usage llm.StreamUsage) *corev3.TypedExtensionConfig {
	matches := uint32(0) // after how many Envoy stops reading; 0: never
	if usage.Once {
		matches = 1
	}
	rule := &jsonv3.JsonToMetadata_Rule{OnPresent: &jsonv3.JsonToMetadata_KeyValuePair{
		MetadataNamespace: metadata.EarlyNamespace, Key: metadata.EarlyField, Type: jsonv3.JsonToMetadata_STRING,
	}}
	for _, key := range usage.Path {
		rule.Selectors = append(rule.Selectors, &jsonv3.JsonToMetadata_Selector{Selector: &jsonv3.JsonToMetadata_Selector_Key{Key: key}})
	}
	return b.extension("envoy.filters.http.sse_to_metadata", &ssev3.SseToMetadata{ResponseRules: &ssev3.SseToMetadata_ProcessingRules{
		MaxEventSize: number(maxEarlyEvent),
		ContentParser: b.extension("envoy.content_parsers.json", &parserv3.JsonContentParser{
			Rules: []*parserv3.JsonContentParser_RuleConfig{{Rule: rule, StopProcessingAfterMatches: matches}},
		}),
	}})
}

// endScript records that a stream ended without an event that may be the last one of
// its API. It keeps the last bytes that it has seen, because the event may be split
// over chunks. The data of an event cannot contain a line break, nor its texts a quote
// without a backslash, so what a model says is not mistaken for an event. An error
// event is an end, too.
const endScript = `
local find, sub, lower = string.find, string.sub, string.lower

local function ended(text)
  if find(text, '"ERROR"', 1, true) and (find(text, '[\r\n]event: ?ERROR') or find(text, '[\r\n]data: ?{%s*"error"') or find(text, '"type"%s*:%s*"ERROR"')) then
    return true
  end
  ENDED
  return false
end

local function plain(encoding)
  for coding in string.gmatch(encoding or "", "[^,]+") do
    if not find(lower(coding), "^%s*identity%s*$") and find(coding, "%S") then
      return false
    end
  end
  return true
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local media, encoding = headers:get("content-type"), headers:get("content-encoding")
  if headers:get(":status") ~= "200" or media == nil or sub(lower(media), 1, 17) ~= "text/event-stream" then
    return
  end
  if not plain(encoding) then
    return
  end
  local kept = "\n"
  for chunk in handle:bodyChunks() do
    local n = chunk:length()
    if n > 0 then
      local text = kept .. chunk:getBytes(0, n)
      if ended(text) then
        return
      end
      kept = sub(text, -64)
    end
  end
  handle:streamInfo():dynamicMetadata():set("NAMESPACE", "FIELD", 1)
end
`

// endsLua returns the body of the script's function ended, for a kind of streams.
func endsLua(last llm.LastEvents) string {
	escape := strings.NewReplacer(".", "%.", "[", "%[", "]", "%]").Replace
	var out strings.Builder
	if last.Data != "" {
		fmt.Fprintf(&out, `if find(text, "%s", 1, true) and find(text, "[\r\n]data: ?%s") then return true end`+"\n", last.Data, escape(last.Data))
	}
	for _, t := range last.Types {
		fmt.Fprintf(&out, `if find(text, "%s", 1, true) and (find(text, "[\r\n]event: ?%s[\r\n]") or find(text, '"type"%%s*:%%s*"%s"')) then return true end`+"\n", t, escape(t), escape(t))
	}
	return out.String()
}

// streamEnd adds the filter that looks for the last event of streams.
func (b *builder) streamEnd() *matchingv3.ExtensionWithMatcher {
	filters := map[string]*corev3.TypedExtensionConfig{}
	for _, kind := range []llm.ResponseKind{llm.KindChat, llm.KindMessages, llm.KindResponses} {
		last, _ := kind.LastEvents()
		filters[string(kind)] = b.endScript(last)
	}
	filters[llm.CountedStream] = filters[string(llm.KindChat)]
	return b.byAnswer(filters)
}

func (b *builder) endScript(last llm.LastEvents) *corev3.TypedExtensionConfig {
	script := strings.NewReplacer("ENDED", endsLua(last), "ERROR", llm.ErrorEvent, "NAMESPACE", metadata.EndNamespace, "FIELD", metadata.TruncatedField).Replace(endScript)
	return b.extension("envoy.filters.http.lua", &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: script}},
		ClearRouteCache:   boolean(false),
	})
}

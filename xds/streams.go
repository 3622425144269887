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
			Input:    b.requestHeader(metadata.StreamKindHeader),
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
// its API, or in the middle of that event. It keeps the last bytes that it has seen,
// because the event may be split over chunks. The data of an event cannot contain a line
// break, nor its texts a quote without a backslash, so what a model says is not mistaken
// for an event.
//
// It finds the events that llm.Event.Ends finds: TestEndScript compares the two. What no
// provider sends is read less exactly: data in several lines, and a name that another
// field, or more than the kept bytes, separates from the type.
const endScript = `
local find, match, sub, lower = string.find, string.match, string.sub, string.lower

-- typed returns the position after a type in the data of an event without another name.
-- It looks back no further than Weir looks ahead, so that its work grows with the text.
local function typed(text, pattern)
  local from, to = find(text, pattern)
  while from do
    local name = match(sub(text, math.max(1, from - 512), from), "^.*[\r\n]event: ?([^\r\n]*)\r?\n?data:[^\r\n]*$")
    if name == nil or name == "" or name == "message" then return to + 1 end
    from, to = find(text, pattern, to + 1)
  end
end

-- last returns a position in the data of a last event.
local function last(text)
  local at
LAST
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
  if headers:get(":status") ~= "200" or media == nil or find(lower(media), "EVENTS", 1, true) ~= 1 then
    return
  end
  if not plain(encoding) then
    return
  end
  local kept, seen = "\n", false
  for chunk in handle:bodyChunks() do
    local n = chunk:length()
    if n > 0 then
      local text = kept .. chunk:getBytes(0, n)
      local at = seen and 1 or last(text)
      if at and find(text, "[\r\n]", at) then
        return
      end
      seen = at ~= nil
      kept = seen and "" or sub(text, -64)
    end
  end
  if UNFINISHED then
    return
  end
  handle:streamInfo():dynamicMetadata():set("NAMESPACE", "FIELD", 1)
end
`

// luaPattern escapes a text for a Lua pattern.
var luaPattern = strings.NewReplacer(".", "%.", "[", "%[", "]", "%]")

// lastLua returns the end of the script's function last, for a kind of streams.
func lastLua(last llm.LastEvents) string {
	var out strings.Builder
	look := func(text, how string) {
		fmt.Fprintf(&out, "  at = find(text, '%s', 1, true) and (%s)\n  if at then return at end\n", text, how)
	}
	for _, name := range last.Names {
		how := fmt.Sprintf(`match(text, "[\r\n]event: ?%s\r?\n?data:()")`, luaPattern.Replace(name))
		if last.TypeKey != "" {
			how += fmt.Sprintf(` or typed(text, '"%s"%%s*:%%s*"%s"')`, luaPattern.Replace(last.TypeKey), luaPattern.Replace(name))
		}
		look(name, how)
	}
	if last.Data != "" {
		look(last.Data, fmt.Sprintf(`match(text, "[\r\n]data: ?[ \t]*%s[ \t]*()[\r\n]")`, luaPattern.Replace(last.Data)))
	}
	if last.Key != "" {
		look(`"`+last.Key+`"`, fmt.Sprintf(`match(text, '"%s"%%s*:%%s*{()')`, luaPattern.Replace(last.Key)))
	}
	return out.String()
}

// unfinishedLua returns the script's condition for a last event without its line end. Only
// data that is not JSON is known to be complete without it.
func unfinishedLua(last llm.LastEvents) string {
	if last.Data == "" {
		return "false"
	}
	return fmt.Sprintf(`find(kept, "[\r\n]data: ?%s$")`, luaPattern.Replace(last.Data))
}

// streamEnd adds the filter that looks for the last events of streams.
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
	return b.extension("envoy.filters.http.lua", &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: endLua(last)}},
		ClearRouteCache:   boolean(false),
	})
}

// endLua returns the script for a kind of streams.
func endLua(last llm.LastEvents) string {
	return strings.NewReplacer(
		"LAST\n", lastLua(last), "UNFINISHED", unfinishedLua(last), "EVENTS", llm.EventStreamType,
		"NAMESPACE", metadata.EndNamespace, "FIELD", metadata.TruncatedField,
	).Replace(endScript)
}

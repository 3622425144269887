package xds

import (
	"fmt"
	"strings"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"

	"weir/llm"
	"weir/metadata"
)

// responses reads what a response states while it passes: its usage, as the provider wrote
// it, a sample of its text, and whether a stream came to its last event. All of it is
// published at once, because many clients disconnect at the last event and not at the end.
func (b *builder) responses() *matchingv3.ExtensionWithMatcher {
	matches := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	for _, kind := range []llm.ResponseKind{llm.KindChat, llm.KindMessages, llm.KindResponses} {
		matches[string(kind)] = b.put(b.responseScript(kind))
	}
	return &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: b.extension("envoy.filters.http.composite", &compositev3.Composite{}),
		XdsMatcher: &xdsmatcherv3.Matcher{
			MatcherType: &xdsmatcherv3.Matcher_MatcherTree_{MatcherTree: &xdsmatcherv3.Matcher_MatcherTree{
				Input:    b.requestHeader(metadata.StreamKindHeader),
				TreeType: &xdsmatcherv3.Matcher_MatcherTree_ExactMatchMap{ExactMatchMap: &xdsmatcherv3.Matcher_MatcherTree_MatchMap{Map: matches}},
			}},
			OnNoMatch: b.put(b.responseScript(llm.KindAny)),
		},
	}
}

func (b *builder) responseScript(kind llm.ResponseKind) *corev3.TypedExtensionConfig {
	return b.extension("envoy.filters.http.lua", &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: responseLua(kind, b.policy.StreamEnd)}},
		ClearRouteCache:   boolean(false),
	})
}

const (
	// wholeBytes is the size up to which a JSON response, or an event, is searched whole.
	// Of a larger one, the first and last edgeBytes are.
	wholeBytes = 64 << 10
	edgeBytes  = 16 << 10
	// maxUsage is the size of the largest usage object that is published.
	maxUsage = 4 << 10
	// maxUsages is how many objects of a response, or of an event, are considered.
	maxUsages = 8
)

// responseLuaText is the script for a kind of responses.
//
// Usage is an object at one of the places of llm.UsagePlaces. A text of a model cannot
// look like one, because its quotes are escaped, but what a model or a client sends as JSON
// can (the input of a tool, a schema): so a candidate counts only at its place. The place is
// found by walking the shorter side: from the beginning, which gives the keys, or to the end,
// where a single closing brace means the outermost object.
//
// The events that end a stream are those that llm.Event.Ends finds: TestEndScript compares
// the two. What no provider sends is read less exactly: data in several lines, and a name
// that another field, or more than the kept bytes, separates from the type.
const responseLuaText = `
local find, match, sub, lower, byte, concat = string.find, string.match, string.sub, string.lower, string.byte, table.concat
local places = {PLACES}
local spoken = {TEXTS}

-- quoted returns the position of the quote that closes the string at a position.
local function quoted(text, at)
  repeat
    at = find(text, '"', at + 1, true)
    if not at then return nil end
    local before = at - 1
    while byte(text, before) == 92 do before = before - 1 end
  until (at - before) % 2 == 1
  return at
end

-- walk calls back at each bracket from a position on, until the callback returns a result.
-- An unfinished string ends it, with nil.
local function walk(text, at, to, bracket)
  local key = ""
  at = find(text, '["{}%[%]]', at)
  while at and at < to do
    local c = byte(text, at)
    if c == 34 then
      local close = quoted(text, at)
      if not close or close >= to then return nil end
      key = close - at < 32 and sub(text, at + 1, close - 1) or "?"
      at = close
    else
      local result = bracket(c, at, key)
      if result then return result end
      key = ""
    end
    at = find(text, '["{}%[%]]', at + 1)
  end
  return false
end

-- closed returns the position of the bracket that closes the one at a position.
local function closed(text, at)
  local depth = 0
  return walk(text, at, math.min(#text + 1, at + MAXUSAGE), function(c, pos)
    depth = depth + ((c == 123 or c == 91) and 1 or -1)
    return depth == 0 and pos
  end)
end

-- path returns the keys that lead to a position, or nil if the text is not an object.
local function path(text, at)
  local keys, depth = {}, 0
  walk(text, 1, at, function(c, _, key)
    if c == 123 or c == 91 then
      depth = depth + 1
      keys[depth] = c == 91 and key .. "[]" or key
    else
      depth = depth - 1
    end
  end)
  return depth > 0 and keys[1] == "" and concat(keys, ".", 2, depth) or nil
end

-- closing returns the brackets that are open at a position and closed after it.
local function closing(text, at)
  local depth, out = 0, ""
  local deep = walk(text, at, #text + 1, function(c)
    if c == 123 or c == 91 then
      depth = depth + 1
    elseif depth > 0 then
      depth = depth - 1
    else
      out = out .. string.char(c)
      return #out > 4
    end
  end)
  return deep == false and depth == 0 and out or nil
end

-- usage returns the name of a usage object's place, and the object. whole is true if text is
-- all of a JSON object, else it is the beginning or, with ended, the end of one.
local function usage(text, whole, ended, event)
  local found, at = {}, find(text, '"usage"', 1, true)
  while at do
    local open = match(text, "^%s*:%s*(){", at + 7)
    if open then found[#found + 1] = {at, open} end
    at = find(text, '"usage"', at + 7, true)
  end
  for i = #found, math.max(1, #found - MAXUSAGES + 1), -1 do
    local at, open = found[i][1], found[i][2]
    local to = closed(text, open)
    if to and find(sub(text, open, to), "[1-9]") then
      local name
      local front = whole or not ended
      local after = ended and not (whole and at < #text - to) and closing(text, to + 1)
      if after == "}" then
        name = places[""]
      elseif front then
        name = places[path(text, at) or "?"]
      elseif after == "}}" and event then
        name = places.response
      end
      if name then return name, sub(text, open, to) end
    end
  end
end

-- texts returns how many bytes of a text are values that a model wrote.
local function texts(text)
  local n, at = 0, 1
  while true do
    local _, open, key = find(text, '"([%a_]+)"%s*:%s*"', at)
    if not open then return n end
    local close = quoted(text, open)
    if not close then return spoken[key] and n + #text - open or n end
    if spoken[key] then n = n + close - open - 1 end
    at = close + 1
  end
end

-- typed returns the position after a type in the data of an event without another name.
local function typed(text, pattern)
  local from, to = find(text, pattern)
  while from do
    local name = match(sub(text, 1, from), "^.*[\r\n]event: ?([^\r\n]*)\r?\n?data:[^\r\n]*$")
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
  local status, media = headers:get(":status"), lower(headers:get("content-type") or "")
  if not status or byte(status) ~= 50 or SKIPPED then
    return
  end
  local events = find(media, "EVENTS", 1, true) == 1
  local ends = ENDS and events and status == "200" and plain(headers:get("content-encoding"))
  local json = nil -- true: a JSON body, false: events
  local parts, size, head = {}, 0, nil
  local kept, seen = "\n", false
  local chunks, sampled, passed, stated = 0, 1, 0, false
  local estimate, upto = 0, 0 -- of the text in the bytes up to a sample

  local function put(field, value)
    handle:streamInfo():dynamicMetadata():set("NAMESPACE", field, value)
  end
  local function state(name, text)
    if name then
      put(name, text)
      stated = true
    end
  end
  local function sample(text)
    local n = texts(text)
    estimate, upto = estimate + n / #text * (passed - upto), passed
    if estimate > 0 then
      put("SAMPLE", string.format("%d %d %d %d", math.ceil(estimate), passed, n, #text))
    end
  end
  -- keep adds to what is searched later, and bounds it.
  local function keep(text)
    parts[#parts + 1], size = text, size + #text
    if size > WHOLE then
      local all = concat(parts)
      head = head or sub(all, 1, EDGE)
      parts = {sub(all, -EDGE)}
      size = EDGE
    end
  end
  local function line(text, whole)
    if not whole then
      state(usage(text, false, true, true))
    elseif sub(text, 1, 5) == "data:" then
      state(usage(sub(text, 6), true, true, true))
    end
  end
  -- lines looks at the lines of a text, of which the first may be the end of a line.
  local function lines(text, whole)
    local stop = find(text, "\n", 1, true) and "\n" or "\r"
    local from, hit = 1, find(text, '"usage"', 1, true)
    while hit do
      if find(text, "^%s*:%s*{", hit + 7) then
        local to = find(text, stop, from, true)
        while to and to < hit do
          from, whole = to + 1, true
          to = find(text, stop, from, true)
        end
        line(sub(text, from, (to or #text + 1) - 1), whole)
        if not to then return end
        from, whole, hit = to + 1, true, to
      end
      hit = find(text, '"usage"', hit + 1, true)
    end
  end

  for chunk in handle:bodyChunks() do
    local n = chunk:length()
    if n > 0 then
      chunks, passed = chunks + 1, passed + n
      local text
      if head and json and n > EDGE then
        text = chunk:getBytes(n - EDGE, EDGE)
      else
        text = chunk:getBytes(0, n)
      end
      local here = text
      if json == nil then
        local first = match(text, "^[%s\239\187\191]*([^%s\239\187\191])")
        if first == "{" then
          json = true
        elseif first and (events or find(first, "[deir:]")) then
          json = false
        elseif first and not ends then
          return
        end
      end
      if json then
        keep(text)
      else
        if chunks >= sampled then
          sample(text)
          sampled = (estimate > 0 or chunks > 8) and chunks * 4 or chunks + 1
        end
        if find(text, "\n", 1, true) or find(text, "\r", 1, true) then
          local whole = not head
          if size > 0 then
            parts[#parts + 1] = text
            text = concat(parts)
            parts, size, head = {}, 0, nil
          end
          local tail = byte(text, -1)
          if tail ~= 10 and tail ~= 13 then
            local rest = match(text, ".*[\r\n]()")
            keep(sub(text, rest))
            lines(sub(text, 1, rest - 1), whole)
          else
            lines(text, whole)
          end
        else
          keep(text)
        end
      end
      if ends then
        local text = kept .. here
        local at = seen and 1 or last(text)
        if at and find(text, "[\r\n]", at) then
          put("ENDED", 1)
          return
        end
        seen = at ~= nil
        kept = seen and "" or sub(text, -64)
      end
    end
  end
  local text = concat(parts)
  if json == false then
    if find(text, '"usage"', 1, true) then line(text, not head) end
  elseif json then
    state(usage(text, not head, true))
    if head and not stated then state(usage(head, false, false)) end
    if not stated then sample(text) end
  end
  if ends then
    if UNFINISHED then
      put("ENDED", 1)
    elseif TRUNCATES then
      put("TRUNCATED", 1)
    end
  end
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

// responseLua returns the script for a kind of responses, streamed or not. truncates makes
// it mark streams that end without a last event.
func responseLua(kind llm.ResponseKind, truncates bool) string {
	last, ends := kind.LastEvents()
	var places, texts, skipped strings.Builder
	for _, place := range llm.UsagePlaces() {
		fmt.Fprintf(&places, "[%q] = %q, ", place.Path, place.Field)
	}
	for _, key := range llm.TextKeys() {
		fmt.Fprintf(&texts, "%s = true, ", key)
	}
	for i, media := range llm.OpaqueTypes() {
		if i > 0 {
			skipped.WriteString(" or ")
		}
		fmt.Fprintf(&skipped, "find(media, %q, 1, true) == 1", media)
	}
	return strings.NewReplacer(
		"LAST\n", lastLua(last), "UNFINISHED", unfinishedLua(last), "ENDS", fmt.Sprint(ends), "TRUNCATES", fmt.Sprint(truncates),
		"EVENTS", llm.EventStreamType, "PLACES", places.String(), "TEXTS", texts.String(), "SKIPPED", skipped.String(),
		"MAXUSAGES", fmt.Sprint(maxUsages), "MAXUSAGE", fmt.Sprint(maxUsage), "WHOLE", fmt.Sprint(wholeBytes), "EDGE", fmt.Sprint(edgeBytes),
		"NAMESPACE", metadata.ResponseNamespace, "SAMPLE", metadata.SampleField, "ENDED", metadata.EndedField, "TRUNCATED", metadata.TruncatedField,
	).Replace(responseLuaText)
}

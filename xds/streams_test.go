package xds

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/envoy"
	"weir/extproc/gate"
	"weir/internal/gatewaytest"
	"weir/llm"
	"weir/policy"
)

var streamKinds = []llm.ResponseKind{llm.KindChat, llm.KindResponses, llm.KindMessages}

// TestResponseKinds: a kind of streams has a script of its own if it has a last event.
func TestResponseKinds(t *testing.T) {
	b := &builder{policy: &policy.Policy{}}
	m := b.responses().XdsMatcher
	scripts := m.GetMatcherTree().GetExactMatchMap().Map
	for _, kind := range append([]llm.ResponseKind{llm.KindAny, llm.KindJSON}, streamKinds...) {
		_, ends := kind.LastEvents()
		if _, ok := scripts[string(kind)]; ok != ends {
			t.Errorf("%s: has a script: %v, has a last event: %v", kind, ok, ends)
		}
	}
	if m.OnNoMatch == nil {
		t.Error("other responses have no script")
	}
}

// endCases are ends of streams, and what only looks like one. ends has the first letters of
// the kinds of which it is an end.
var endCases = []struct{ text, ends string }{
	{"data: [DONE]\n\n", "c"},
	{"data:[DONE]\n\n", "c"},
	{"data: \t[DONE] \n\n", "c"},
	{"data: [DONE]\r\n\r\n", "c"},
	{"data: [DONE]\r\r", "c"},
	{"data: [DONE]", "c"},
	{"data: [DONE]]\n\n", ""},
	{"data: \"[DONE]\"\n\n", ""},
	{"data: {\"t\":\"data: [DONE]\"}\n\n", ""},
	{"event: x\ndata: [DONE]\n\n", "c"},

	{"data: {\"error\":{}}\n\n", "c"},
	{"data: {\"id\":\"x\", \"error\" : {\"message\":\"no\"}}\n\n", "c"},
	{"data:{\"error\":{\"type\":\"api_error\"}}\r\n\r\n", "c"},
	{"data: {\"error\":null,\"choices\":[]}\n\n", ""},
	{"data: {\"error\":\"no\"}\n\n", ""},
	{"data: {\"error\":[]}\n\n", ""},
	{"data: {\"t\":\"\\\"error\\\":{\"}\n\n", ""},
	{"data: {\"type\":\"error\",\"error\":{}}\n\n", "crm"},
	{"data: {\"type\": \"error\"}\n\n", "rm"},
	{"event: error\ndata: {}\n\n", "crm"},
	{"event:error\ndata: x\n\n", "crm"},
	{"event: error\r\ndata: {}\r\n\r\n", "crm"},
	{"event: error\rdata: {}\r\r", "crm"},
	{"event: errors\ndata: {}\n\n", ""},
	{"event: error\n\n", ""},
	{"event: error\n\ndata: {}\n\n", ""},
	{"event: message\ndata: {\"type\":\"error\"}\n\n", "rm"},
	{"event: x\ndata: {\"type\":\"error\"}\n\n", ""},

	{"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "m"},
	{"event: message_stop\r\ndata: {}\r\n\r\n", "m"},
	{"data: {\"type\": \"message_stop\"}\n\n", "m"},
	{"data:{\"type\" : \"message_stop\"}\r\r", "m"},
	{"event: messages\ndata: {\"type\":\"message_stop\"}\n\n", ""},
	{"event: x\n\ndata: {\"type\":\"message_stop\"}\n\n", "m"},
	{"data: {\"text\":\"message_stop\"}\n\n", ""},
	{"event: message_stops\ndata: {}\n\n", ""},

	{"event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n", "r"},
	{"event: response.incomplete\ndata: {\"type\":\"response.incomplete\"}\n\n", "r"},
	{"data: {\"response\":{}, \"type\" : \"response.failed\"}\n\n", "r"},
	{"data: {\"type\":\"response.cancelled\"}\n\n", "r"},
	{"data: {\"type\":\"response-completed\"}\n\n", ""},
	{"event: responseXcompleted\ndata: {}\n\n", ""},
	{"event: response.created\ndata: {\"type\":\"response.created\"}\n\n", ""},
	{": error\n\n", ""},
}

// before is what comes before an end.
const before = "data: {\"choices\":[]}\n\n"

// TestEndScript compares the script with what Weir itself finds in a stream, which is cut
// after every byte and, before that, arrives whole, byte by byte, and in two chunks with
// any border. The script runs in Envoy.
func TestEndScript(t *testing.T) {
	var texts []string
	for _, c := range endCases {
		texts = append(texts, before+c.text)
	}
	run := runLua(t, texts)
	for i, c := range endCases {
		text := before + c.text
		for _, kind := range streamKinds {
			want := strings.Contains(c.ends, string(kind[0]))
			var weir strings.Builder
			for cut := range len(text) + 1 {
				for border := range cut + 1 {
					weir.WriteByte(verdict(weirEnds(kind, text[:border], text[border:cut])))
				}
				weir.WriteByte(verdict(weirEnds(kind, strings.Split(text[:cut], "")...)))
			}
			if got := weir.String(); (got[len(got)-1] == 'e') != want {
				t.Errorf("%s, %q: Weir finds an end: %t, want %t", kind, c.text, !want, want)
			}
			lua, at := run("ends", kind, i), 0
			if len(lua) != weir.Len() {
				t.Fatalf("%s, %q: the script has %d results, want %d: %.200s", kind, c.text, len(lua), weir.Len(), lua)
			}
			for cut := range len(text) + 1 {
				for border := range cut + 2 {
					if lua[at] != weir.String()[at] {
						t.Fatalf("%s, %q, border %d: the script finds %c, Weir %c (e: an end)", kind, text[:cut], border, lua[at], weir.String()[at])
					}
					at++
				}
			}
		}
	}
}

func verdict(ends bool) byte {
	if ends {
		return 'e'
	}
	return '-'
}

func weirEnds(kind llm.ResponseKind, chunks ...string) bool {
	var end gate.End
	end.Reset(kind)
	for _, chunk := range chunks {
		end.Data([]byte(chunk))
	}
	return end.Complete()
}

// luaHarness runs the scripts with responses of its own, and responds with what they found:
// whether each beginning of a text is a whole stream, or the usage of a text. Both arrive in
// chunks of every kind.
const luaHarness = `
local function run(script, media, ...)
  local chunks, at, found = {...}, 0, {}
  local headers = {[":status"] = "200", ["content-type"] = media}
  script({
    headers = function() return {get = function(_, name) return headers[name] end} end,
    bodyChunks = function()
      return function()
        at = at + 1
        local chunk = chunks[at]
        return chunk and {length = function() return #chunk end, getBytes = function(_, from, n) return string.sub(chunk, from + 1, from + n) end}
      end
    end,
    streamInfo = function() return {dynamicMetadata = function() return {set = function(_, _, key, value) found[key] = value end} end} end,
  })
  return found
end

local function ends(script, ...)
  local found = run(script, "text/event-stream", ...)
  return found.ended and found.truncated and "?" or found.ended and "e" or found.truncated and "-" or "?"
end

local function usage(script, ...)
  local found = run(script, nil, ...)
  return (found.usage or "") .. "|" .. (found.begun or "")
end

envoy_on_response = nil

local function bytes(text)
  local out = {}
  for i = 1, #text do out[i] = string.sub(text, i, i) end
  return out
end

function envoy_on_request(handle)
  local what, kind, i = string.match(handle:headers():get(":path"), "^/(%a+)/(%a+)/(%d+)$")
  local text, out, script = cases[i + 1], {}, scripts[kind]
  if what == "large" then
    for at = 1, #text, 10000 do out[#out + 1] = string.sub(text, at, at + 9999) end
    local whole, chunked = usage(script, text), usage(script, unpack(out))
    handle:respond({[":status"] = "200"}, whole == chunked and whole or whole .. "\n" .. chunked)
    return
  end
  if what == "usage" then
    out[1] = usage(script, text)
    for border = 1, #text - 1 do
      out[#out + 1] = usage(script, string.sub(text, 1, border), string.sub(text, border + 1))
    end
    out[#out + 1] = usage(script, unpack(bytes(text)))
    local all = {}
    for _, found in ipairs(out) do
      if found ~= all[#all] then all[#all + 1] = found end
    end
    handle:respond({[":status"] = "200"}, table.concat(all, "\n"))
    return
  end
  for cut = 0, #text do
    local part = string.sub(text, 1, cut)
    for border = 0, cut do
      out[#out + 1] = ends(script, string.sub(part, 1, border), string.sub(part, border + 1))
    end
    out[#out + 1] = ends(script, unpack(bytes(part)))
  end
  handle:respond({[":status"] = "200"}, table.concat(out))
end
`

// runLua starts an Envoy and returns a function that runs a kind's script on a text.
func runLua(t *testing.T, texts []string) func(what string, kind llm.ResponseKind, i int) string {
	t.Helper()
	var script strings.Builder
	script.WriteString("scripts, cases = {}, {}\n")
	for _, text := range texts {
		fmt.Fprintf(&script, "cases[#cases + 1] = %s\n", luaString(text))
	}
	for _, kind := range append([]llm.ResponseKind{llm.KindJSON}, streamKinds...) {
		fmt.Fprintf(&script, "do\n%s\nscripts[%q] = envoy_on_response\nend\n", responseLua(kind, true), kind)
	}
	script.WriteString(luaHarness)
	// A path of a socket has 107 bytes at most.
	dir, err := os.MkdirTemp("", "weirlua-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "http.sock")
	bootstrap := fmt.Sprintf(`
admin: {address: {pipe: {path: %q}}}
static_resources:
  listeners:
    - name: lua
      address: {pipe: {path: %q}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: lua
                route_config: {}
                http_filters:
                  - name: envoy.filters.http.lua
                    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua, default_source_code: {inline_string: %q}}
                  - name: envoy.filters.http.router
                    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`, filepath.Join(dir, "admin.sock"), socket, script.String())
	path, err := envoy.Find(t.Context(), envoy.FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- envoy.Run(ctx, envoy.Config{Path: path, Bootstrap: []byte(bootstrap), Dir: dir, Concurrency: 1, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Timeout: gatewaytest.Patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	t.Cleanup(client.CloseIdleConnections)
	gatewaytest.Eventually(t, "Envoy to listen", func() bool {
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return func(what string, kind llm.ResponseKind, i int) string {
		resp, err := client.Get(fmt.Sprintf("http://lua/%s/%s/%d", what, kind, i))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err := cmp.Or(err, statusError(resp)); err != nil {
			t.Fatal(err, string(b))
		}
		return string(b)
	}
}

// luaString returns a text as a string of Lua.
func luaString(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		fmt.Fprintf(&out, `\%03d`, b)
	}
	return `"` + out.String() + `"`
}

func statusError(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

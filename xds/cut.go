package xds

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
)

// delayedClose is how long Envoy waits before it closes a connection of
// HTTP/1.1, for one of two things. A client that is still sending gets to read
// its response, before what it sent unread makes the kernel reset the connection.
// And a client that is slow to read gets the rest of a last response: the time
// begins anew whenever it takes some bytes.
const delayedClose = time.Second

// cutScript lets a response that breaks off end at once for a client of HTTP/1.1.
// Such a client sees the end of its connection, for which Envoy would let it wait
// for delayedClose. Where the request has arrived whole, nothing can be lost by
// closing, and Envoy does not wait if the connection was to end with this
// response. That is said here when the headers have gone out, so that nobody
// hears of it, and a response that ends well leaves the connection open: Envoy
// asks at the headers whether it is the last one.
const cutScript = `
function envoy_on_response(handle)
  if handle:streamInfo():protocol() ~= "HTTP/1.1" then return end
  for _ in handle:bodyChunks() do
    handle:streamInfo():drainConnectionUponCompletion()
    return
  end
end
`

// cut is the filter with cutScript.
func cut() *luav3.Lua {
	return &luav3.Lua{DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: cutScript}}}
}

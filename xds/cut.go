package xds

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
)

// delayedClose is how long Envoy waits before it closes an HTTP/1.1 connection, for
// two reasons. A client that is still sending can read its response before the kernel
// resets the connection because of unread data. And a client that reads slowly gets
// the rest of a last response: the time restarts whenever the client takes some bytes.
const delayedClose = time.Second

// cutScript ends the connection at once when a response to an HTTP/1.1 client breaks
// off. Such a client learns it from the end of the connection, which Envoy would delay
// by delayedClose. If the request has arrived completely, closing loses nothing, and
// Envoy does not wait if the connection was to end with this response. The script
// requests that after the headers have been sent: so the client does not see it, and a
// response that ends well leaves the connection open, because Envoy reads it at the
// headers.
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

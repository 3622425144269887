package xds

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
)

// Rejected is the error of a Publish that an Envoy rejected (NACK).
type Rejected struct {
	Node string // its id
	Type string // clusters, listeners, routes or secrets
	Text string // Envoy's words without the values of secrets, at most 2 KiB
}

// maxNamed bounds the resources that are reported for a rejection whose message names
// none of them.
const maxNamed = 3

// named returns the refused resources that a rejection is about: those that Envoy's
// message names, or all if there are few.
func named(refused map[string]struct{}, text string) []string {
	names := slices.Sorted(maps.Keys(refused))
	inText := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.Contains(text, name) })
	switch {
	case len(inText) > 0:
		return inText
	case len(names) <= maxNamed:
		if len(names) > 1 { // the configuration does not say what the system's roots are
			names = slices.DeleteFunc(names, func(name string) bool { return name == rootsSecret })
		}
		return names
	}
	return nil
}

func (r *Rejected) Error() string {
	return fmt.Sprintf("xds: envoy %q rejected %s: %s", r.Node, r.Type, r.Text)
}

// maxRejection bounds what is kept of Envoy's message, in bytes: it may list every
// resource that it rejects.
const maxRejection = 2 << 10

// Envoy 1.40 quotes the message that fails its validation, with the values of
// secrets:
//
//	goo.gle/debugstr  \n<the message>: Proto constraint validation failed (<why>)
//
// The first word is one of several that protobuf picks from.
const (
	dumpStart = "goo.gle/debug"
	dumpEnd   = ": Proto constraint validation failed"
)

// longPattern begins Envoy's message about a pattern of noneOf that is too long for
// its runtime settings; the message is cut before the reason, which follows the
// pattern. The bootstrap sets how long a pattern may be.
const longPattern = "regex '(?:|[^"

// quoted is a string in protobuf's text format, or the start of one.
var quoted = regexp.MustCompile(`"(?s:[^"\\]|\\.)*("|\\?$)`)

// rejectionText returns the part of Envoy's message that is safe to log and return.
func rejectionText(req *discoveryv3.DeltaDiscoveryRequest) string {
	detail := req.GetErrorDetail()
	text := detail.GetMessage()
	if i := strings.Index(text, dumpStart); i >= 0 {
		rest := ""
		if j := strings.LastIndex(text, dumpEnd); j > i {
			rest = text[j:]
		}
		text = text[:i] + "[message]" + rest
	}
	if i := strings.Index(text, longPattern); i >= 0 {
		text = text[:i] + "[pattern] is longer than the runtime of this Envoy allows: start Envoy with the bootstrap that `weir bootstrap` of this version prints"
	}
	if req.GetTypeUrl() == resourcev3.SecretType {
		// In case another Envoy marks its quotations differently: this removes names
		// too.
		text = quoted.ReplaceAllString(text, "[quoted]")
	}
	text = codes.Code(detail.GetCode()).String() + ": " + strings.TrimSpace(text)
	if len(text) > maxRejection {
		const more = "…"
		text = strings.ToValidUTF8(text[:maxRejection-len(more)], "") + more
	}
	return text
}

package wire

import (
	"testing"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/encoding/protowire"

	"weir/internal/protofield/fieldtest"
)

// TestNumbers compares each number with its descriptor.
func TestNumbers(t *testing.T) {
	const service = "envoy.service.ext_proc.v3."
	const mode = "envoy.extensions.filters.http.ext_proc.v3.ProcessingMode."
	const core = "envoy.config.core.v3."
	numbers := map[string]protowire.Number{
		service + "ProcessingRequest.request_headers":   requestRequestHeaders,
		service + "ProcessingRequest.response_headers":  requestResponseHeaders,
		service + "ProcessingRequest.request_body":      requestRequestBody,
		service + "ProcessingRequest.response_body":     requestResponseBody,
		service + "ProcessingRequest.request_trailers":  requestRequestTrailers,
		service + "ProcessingRequest.response_trailers": requestResponseTrailers,
		service + "ProcessingRequest.metadata_context":  requestMetadataContext,
		service + "ProcessingRequest.attributes":        requestAttributes,

		service + "ProcessingResponse.immediate_response": responseImmediate,
		service + "ProcessingResponse.dynamic_metadata":   responseDynamicMetadata,
		service + "ProcessingResponse.mode_override":      responseModeOverride,

		service + "HttpHeaders.headers":              httpHeadersHeaders,
		service + "HttpHeaders.end_of_stream":        httpHeadersEndOfStream,
		service + "HttpBody.body":                    httpBodyBody,
		service + "HttpBody.end_of_stream":           httpBodyEndOfStream,
		service + "HttpTrailers.trailers":            httpTrailersTrailers,
		service + "HeadersResponse.response":         partResponse,
		service + "BodyResponse.response":            partResponse,
		service + "TrailersResponse.header_mutation": trailersHeaderMutation,
		service + "CommonResponse.header_mutation":   commonHeaderMutation,
		service + "CommonResponse.body_mutation":     commonBodyMutation,
		service + "CommonResponse.clear_route_cache": commonClearRouteCache,
		service + "ImmediateResponse.status":         immediateStatus,
		service + "ImmediateResponse.headers":        immediateHeaders,
		service + "ImmediateResponse.body":           immediateBody,
		service + "ImmediateResponse.details":        immediateDetails,
		service + "HeaderMutation.set_headers":       mutationSet,
		service + "HeaderMutation.remove_headers":    mutationRemove,
		service + "BodyMutation.body":                mutationBody,

		mode + "response_header_mode":  modeResponseHeader,
		mode + "request_body_mode":     modeRequestBody,
		mode + "request_trailer_mode":  modeRequestTrailer,
		mode + "response_trailer_mode": modeResponseTrailer,
		mode + "SEND":                  headerSend,
		mode + "SKIP":                  headerSkip,
		mode + "BUFFERED":              bodyBuffered,

		core + "HeaderMap.headers":               headerMapHeaders,
		core + "HeaderValue.key":                 headerKey,
		core + "HeaderValue.value":               headerValue,
		core + "HeaderValue.raw_value":           headerRawValue,
		core + "HeaderValueOption.header":        optionHeader,
		core + "HeaderValueOption.append_action": optionAppendAction,
		core + "Metadata.filter_metadata":        metadataFilterMetadata,

		core + "HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD": overwriteIfExistsOrAdd,

		"envoy.type.v3.HttpStatus.code": statusCode,
	}
	for k := RequestHeaders; k <= ResponseTrailers; k++ {
		numbers[service+"ProcessingResponse."+k.String()] = protowire.Number(k)
		numbers[service+"ProcessingRequest."+k.String()] = protowire.Number(k) + 1
	}
	fieldtest.Numbers(t, numbers)
}

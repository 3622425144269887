package wire

import "google.golang.org/protobuf/encoding/protowire"

// The field numbers of the messages that this package reads and writes, in the
// order of the protocol's files. Those of google.protobuf are in protofield.
const (
	// envoy.service.ext_proc.v3.ProcessingRequest
	requestRequestHeaders   protowire.Number = 2
	requestResponseHeaders  protowire.Number = 3
	requestRequestBody      protowire.Number = 4
	requestResponseBody     protowire.Number = 5
	requestRequestTrailers  protowire.Number = 6
	requestResponseTrailers protowire.Number = 7
	requestMetadataContext  protowire.Number = 8
	requestAttributes       protowire.Number = 9

	// envoy.service.ext_proc.v3.ProcessingResponse. Its other parts are numbered as
	// their Kind.
	responseImmediate       protowire.Number = 7
	responseDynamicMetadata protowire.Number = 8
	responseModeOverride    protowire.Number = 9

	// envoy.service.ext_proc.v3.HttpHeaders
	httpHeadersHeaders     protowire.Number = 1
	httpHeadersEndOfStream protowire.Number = 3

	// envoy.service.ext_proc.v3.HttpBody
	httpBodyBody        protowire.Number = 1
	httpBodyEndOfStream protowire.Number = 2

	// envoy.service.ext_proc.v3.HttpTrailers
	httpTrailersTrailers protowire.Number = 1

	// envoy.service.ext_proc.v3.HeadersResponse, and BodyResponse
	partResponse protowire.Number = 1

	// envoy.service.ext_proc.v3.TrailersResponse
	trailersHeaderMutation protowire.Number = 1

	// envoy.service.ext_proc.v3.CommonResponse
	commonHeaderMutation  protowire.Number = 2
	commonBodyMutation    protowire.Number = 3
	commonClearRouteCache protowire.Number = 5

	// envoy.service.ext_proc.v3.ImmediateResponse
	immediateStatus  protowire.Number = 1
	immediateHeaders protowire.Number = 2
	immediateBody    protowire.Number = 3
	immediateDetails protowire.Number = 5

	// envoy.service.ext_proc.v3.HeaderMutation
	mutationSet    protowire.Number = 1
	mutationRemove protowire.Number = 2

	// envoy.service.ext_proc.v3.BodyMutation
	mutationBody protowire.Number = 1

	// envoy.extensions.filters.http.ext_proc.v3.ProcessingMode
	modeResponseHeader  protowire.Number = 2
	modeRequestBody     protowire.Number = 3
	modeRequestTrailer  protowire.Number = 5
	modeResponseTrailer protowire.Number = 6

	// envoy.config.core.v3.HeaderMap
	headerMapHeaders protowire.Number = 1

	// envoy.config.core.v3.HeaderValue
	headerKey      protowire.Number = 1
	headerValue    protowire.Number = 2
	headerRawValue protowire.Number = 3

	// envoy.config.core.v3.HeaderValueOption
	optionHeader       protowire.Number = 1
	optionAppendAction protowire.Number = 3

	// envoy.config.core.v3.Metadata
	metadataFilterMetadata protowire.Number = 1

	// envoy.type.v3.HttpStatus
	statusCode protowire.Number = 1
)

// The values of enums.
const (
	// envoy.extensions.filters.http.ext_proc.v3.ProcessingMode
	headerSend   = 1
	headerSkip   = 2
	bodyBuffered = 2

	// envoy.config.core.v3.HeaderValueOption
	overwriteIfExistsOrAdd = 2
)

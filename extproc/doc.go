// Package extproc is the ext_proc server. Envoy opens one gRPC stream for each question
// about a request or a response, and Weir replies:
//
//   - Which provider serves this request? Once per request, from the filter of the
//     listener: Processor.decide.
//   - What does a later attempt send? Once per retry, from a filter of the cluster:
//     Processor.retry.
//   - Is this the response of an attempt, or a failure disguised as success? While
//     another attempt could follow: Processor.gate.
//   - Does this stream end as it should? Where the configuration asks for it:
//     Processor.watch.
//   - Does this failure repeat the provider's key? Processor.failure.
//
// It keeps nothing between two streams: the plan travels with the request, as dynamic
// metadata. It does not choose models or providers (package policy does), and it does
// not write Envoy's configuration (package xds does). testdata has a transcript of the
// messages for each case.
package extproc

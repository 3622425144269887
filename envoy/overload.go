package envoy

import (
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	fixedheapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// DefaultMaxHeap is the heap of an Envoy whose machine is not known: half of
// the memory of a machine with 2 GiB.
const DefaultMaxHeap = 1 << 30

// MinMaxHeap is the smallest heap that can be configured. An idle Envoy takes
// some 25 MiB of heap, and each provider up to 1 MiB.
const MinMaxHeap = 64 << 20

// heapMonitor measures how much of its heap Envoy uses.
const heapMonitor = "envoy.resource_monitors.fixed_heap"

// What Envoy does at which part of its heap. First it gives back what it does
// not use, at once. Then it is less patient with clients that send or read
// nothing, and ends the largest requests over HTTP/2. Then it refuses new
// requests, with a response that says so, then also running HTTP/1.1 requests
// whose body is still arriving. Last, it closes new connections without a
// response.
const (
	shrinkAt     = 0.50
	resetAt      = 0.80
	refuseAt     = 0.90
	resetSmallAt = 0.95
	closeAt      = 0.97
)

const (
	// overloadRefresh is how often Envoy looks at its heap. An attack fills some
	// 100 MiB a second on one core.
	overloadRefresh = 100 * time.Millisecond
	// smallestReset is the power of two of the smallest buffered request or
	// response that Envoy may end to get memory: 64 KiB. The largest of its
	// eight classes, the one that goes first, is then from 8 MiB on.
	smallestReset = 16
	// idleUnderPressure is how long a request may do nothing when the heap is
	// full. It is for those who opened many and send no more: their headers are
	// memory that only the end of the request frees.
	idleUnderPressure = 10 * time.Second
	// released is how much unused memory Envoy gives back every releaseInterval. Of
	// most of it, the allocator first waits for a minute whether it is needed.
	released        = 64 << 20
	releaseInterval = time.Second
)

// limitHeap adds the heap monitor and what follows from it to an overload
// manager.
func limitHeap(m *overloadv3.OverloadManager, maxHeap uint64) {
	m.RefreshInterval = durationpb.New(overloadRefresh)
	m.BufferFactoryConfig = &overloadv3.BufferFactoryConfig{MinimumAccountToTrackPowerOfTwo: smallestReset}
	m.ResourceMonitors = append(m.ResourceMonitors, &overloadv3.ResourceMonitor{
		Name: heapMonitor,
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{
			TypedConfig: toAny(&fixedheapv3.FixedHeapConfig{MaxHeapSizeBytes: maxHeap}),
		},
	})
	shrink := action("shrink_heap", from(shrinkAt))
	shrink.TypedConfig = toAny(&overloadv3.ShrinkHeapConfig{
		TimerInterval:         durationpb.New(releaseInterval),
		MaxUnfreedMemoryBytes: wrapperspb.UInt64(released),
	})
	impatient := action("reduce_timeouts", between(resetAt, resetSmallAt))
	impatient.TypedConfig = toAny(&overloadv3.ScaleTimersOverloadActionConfig{TimerScaleFactors: []*overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer{
		atLeast(overloadv3.ScaleTimersOverloadActionConfig_HTTP_DOWNSTREAM_CONNECTION_IDLE, time.Second),
		atLeast(overloadv3.ScaleTimersOverloadActionConfig_HTTP_DOWNSTREAM_STREAM_IDLE, idleUnderPressure),
		atLeast(overloadv3.ScaleTimersOverloadActionConfig_HTTP_DOWNSTREAM_STREAM_FLUSH, time.Second),
	}})
	m.Actions = append(m.Actions,
		shrink, impatient,
		action("reset_high_memory_stream", between(resetAt, resetSmallAt)),
		action("disable_http_keepalive", from(refuseAt)),
		action("stop_accepting_requests", from(refuseAt)),
		action("reject_incoming_connections", from(closeAt)),
	)
	// An action takes effect when each worker gets to it. A worker that is busy
	// with headers gets there too late: at these points it looks by itself.
	m.LoadshedPoints = append(m.LoadshedPoints,
		point("http_connection_manager_decode_headers", from(refuseAt)),
		point("hcm_ondata_creating_codec", from(closeAt)),
		point("http1_server_abort_dispatch", from(resetSmallAt)),
	)
}

func action(name string, t *overloadv3.Trigger) *overloadv3.OverloadAction {
	return &overloadv3.OverloadAction{Name: "envoy.overload_actions." + name, Triggers: []*overloadv3.Trigger{t}}
}

func point(name string, t *overloadv3.Trigger) *overloadv3.LoadShedPoint {
	return &overloadv3.LoadShedPoint{Name: "envoy.load_shed_points." + name, Triggers: []*overloadv3.Trigger{t}}
}

// from is a trigger that is on from a part of the heap on.
func from(part float64) *overloadv3.Trigger {
	return &overloadv3.Trigger{Name: heapMonitor, TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: part}}}
}

// between is a trigger that gets stronger from one part of the heap to another.
func between(low, high float64) *overloadv3.Trigger {
	return &overloadv3.Trigger{Name: heapMonitor, TriggerOneof: &overloadv3.Trigger_Scaled{Scaled: &overloadv3.ScaledTrigger{ScalingThreshold: low, SaturationThreshold: high}}}
}

func atLeast(timer overloadv3.ScaleTimersOverloadActionConfig_TimerType, d time.Duration) *overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer {
	return &overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer{
		Timer:          timer,
		OverloadAdjust: &overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer_MinTimeout{MinTimeout: durationpb.New(d)},
	}
}

// allocator lets Envoy give memory back that it no longer uses. Without it,
// Envoy keeps what it once took.
func allocator() *bootstrapv3.MemoryAllocatorManager {
	return &bootstrapv3.MemoryAllocatorManager{
		BytesToRelease:        released,
		MemoryReleaseInterval: durationpb.New(releaseInterval),
		MaxUnfreedMemoryBytes: released,
	}
}

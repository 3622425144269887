package envoy

import (
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	fixedheapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// DefaultMaxHeap is the heap of an Envoy on an unknown machine: half of the memory of
// a machine with 2 GiB.
const DefaultMaxHeap = 1 << 30

// MinMaxHeap is the smallest heap that can be configured. An idle Envoy takes
// some 25 MiB of heap, and each provider up to 1 MiB.
const MinMaxHeap = 64 << 20

// heapMonitor measures how much of its heap Envoy uses.
const heapMonitor = "envoy.resource_monitors.fixed_heap"

// What Envoy does when a given part of its heap is in use. First it returns unused
// memory to the system at once. Then it shortens its timeouts for clients that send or read nothing,
// and resets the largest HTTP/2 requests. Then it refuses new requests with a response
// that says so, and then also running HTTP/1.1 requests whose body is still arriving.
// Last, it closes new connections without a response.
const (
	shrinkAt     = 0.50
	resetAt      = 0.80
	refuseAt     = 0.90
	resetSmallAt = 0.95
	closeAt      = 0.97
)

const (
	// overloadRefresh is how often Envoy measures its heap. An attack fills some 100
	// MiB a second on one core.
	overloadRefresh = 100 * time.Millisecond
	// smallestReset is the power of two of the smallest buffered request or response
	// that Envoy may reset to free memory: 64 KiB. The largest of its eight classes,
	// which is reset first, then begins at 8 MiB.
	smallestReset = 16
	// idleUnderPressure is how long a request may be idle when the heap is full. It is
	// aimed at clients that opened many requests and send no more: their headers are
	// memory that is freed only when the request ends.
	idleUnderPressure = 10 * time.Second
	// released is how much unused memory Envoy returns to the system every releaseInterval. The
	// allocator holds most of it for a minute first, in case it is needed, and some for
	// up to five.
	released        = 64 << 20
	releaseInterval = time.Second
)

// limitHeap adds the heap monitor, and the actions that depend on it, to an overload
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
	// An action takes effect when each worker gets to it. A worker that is busy with
	// headers gets there too late: at these points it checks by itself.
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

// from returns a trigger that is active from a part of the heap on.
func from(part float64) *overloadv3.Trigger {
	return &overloadv3.Trigger{Name: heapMonitor, TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: part}}}
}

// between returns a trigger that grows from one part of the heap to another.
func between(low, high float64) *overloadv3.Trigger {
	return &overloadv3.Trigger{Name: heapMonitor, TriggerOneof: &overloadv3.Trigger_Scaled{Scaled: &overloadv3.ScaledTrigger{ScalingThreshold: low, SaturationThreshold: high}}}
}

func atLeast(timer overloadv3.ScaleTimersOverloadActionConfig_TimerType, d time.Duration) *overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer {
	return &overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer{
		Timer:          timer,
		OverloadAdjust: &overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer_MinTimeout{MinTimeout: durationpb.New(d)},
	}
}

// allocator makes Envoy return unused memory to the system. Without it, Envoy keeps all
// memory that it has ever used.
func allocator() *bootstrapv3.MemoryAllocatorManager {
	return &bootstrapv3.MemoryAllocatorManager{
		BytesToRelease:        released,
		MemoryReleaseInterval: durationpb.New(releaseInterval),
		MaxUnfreedMemoryBytes: released,
	}
}

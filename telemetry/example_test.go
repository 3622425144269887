package telemetry_test

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/telemetry"
	"weir/telemetry/accesslog"
	"weir/telemetry/rolling"
)

// A Recorder writes one line for each record and counts it.
func ExampleRecorder() {
	registry := prometheus.NewRegistry()
	recorder := telemetry.New(telemetry.Config{
		Registerer: registry, Rolling: rolling.New(time.Minute), Log: os.Stdout, Now: time.Now,
	})
	recorder.Attempt(&accesslog.Attempt{
		RequestID: "7f3a", Start: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC), Number: 1,
		Provider: "openai", Model: "gpt-4o", ModelLabel: "gpt-4o",
		Status: 503, Cause: accesslog.CauseOf(503), Duration: 120 * time.Millisecond,
	})
	if err := recorder.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"time":"2026-12-01T12:00:00.000Z","kind":"attempt","request_id":"7f3a","key":"","key_id":"","operation":"","asked_model":"","provider":"openai","provider_key":"","model":"gpt-4o","attempt":1,"status":503,"cause":"status_5xx","connect_failure":"","duration_ms":120.000,"first_byte_ms":null,"stream":false,"final":false}
}

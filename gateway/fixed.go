package gateway

import (
	"fmt"
	"slices"

	"weir/policy"
)

// fixedField is a field of the configuration that is read only at the start, with the
// value that the running gateway has.
type fixedField struct {
	name string
	// restart is what must restart to apply a change.
	restart string
	value   string
}

// fixedOf returns the fixed fields of a policy. docs/configuration.md lists them.
func fixedOf(p *policy.Policy) []fixedField {
	const weir, both = "weir", "weir and envoy"
	text := func(value any) string {
		if s := fmt.Sprint(value); s != "" && s != "0" && s != "[]" {
			return s
		}
		return "default"
	}
	e := p.Config.Envoy
	return []fixedField{
		{"admin.listen", weir, text(p.AdminListen)},
		{"telemetry.access_log", weir, text(p.AccessLog)},
		{"telemetry.window", weir, text(p.Window)},
		{"shutdown_timeout", weir, text(p.ShutdownTimeout)},
		{"envoy.path", weir, text(e.Path)},
		{"envoy.concurrency", weir, text(e.Concurrency)},
		{"envoy.log_level", weir, text(e.LogLevel)},
		{"envoy.socket", weir, text(e.Socket)},
		{"envoy.users", weir, text(e.Users)},
		{"limits.weir_memory_bytes", weir, text(p.WeirMemoryBytes)},
		// These are in Envoy's bootstrap.
		{"limits.envoy_heap_bytes", both, text(p.EnvoyHeapBytes)},
		{"limits.open_files", both, text(p.Limits.OpenFiles)},
		{"limits.max_client_connections", both, text(p.Limits.MaxClientConnections)},
	}
}

// warnFixed logs which fixed fields of a reloaded policy differ from those that the
// gateway runs with.
func (g *Gateway) warnFixed(next *policy.Policy) {
	for i, field := range fixedOf(next) {
		if running := g.fixed[i].value; field.value != running && !slices.Contains(g.overridden, field.name) {
			g.log.Warn(field.name+" has changed: restart "+field.restart+" to apply it", "in_force", running, "configured", field.value)
		}
	}
}

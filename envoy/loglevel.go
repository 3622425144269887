package envoy

import "strings"

// quiet are the components of Envoy that never see the contents of requests or
// responses: connections, clusters, configuration. Only they log at debug and trace.
// All others (http, http2, router, ext_proc, filter, client, misc and more) write
// headers and bodies, with credentials and prompts, at these levels. The list is of
// what may log, because a new version of Envoy has new components.
var quiet = []string{"config", "conn_handler", "connection", "dns", "hc", "init", "main", "pool", "rds", "runtime", "upstream"}

// logLevelArgs returns Envoy's arguments for a log level.
func logLevelArgs(level string) []string {
	if !telling(level) {
		return []string{"--log-level", level}
	}
	components := make([]string, len(quiet))
	for i, c := range quiet {
		components[i] = c + ":" + level
	}
	return []string{"--log-level", "info", "--component-log-level", strings.Join(components, ",")}
}

// telling reports whether components log the contents of requests at a level.
func telling(level string) bool { return level == "trace" || level == "debug" }

package envoy

import "strings"

// Version is the Envoy that weir installs and is tested with. Nothing else in
// the repository names one.
const Version = "1.40.0"

// sameLine tells whether version is of the release line (major.minor) of
// Version: Envoy backports fixes only inside a line, and moves fields and
// defaults from one to the next.
func sameLine(version string) bool {
	line := Version[:strings.LastIndexByte(Version, '.')+1]
	return strings.HasPrefix(version, line)
}

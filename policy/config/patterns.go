package config

import "regexp"

// LogLevels returns the log levels of Envoy (https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/cli).
func LogLevels() []string {
	return []string{"trace", "debug", "info", "warning", "warn", "error", "critical", "off"}
}

// MinKeyLength is the minimum length of an access key in clear text. Random keys are longer;
// words are mostly shorter.
const MinKeyLength = 16

// IsID reports whether text can be the id of a provider.
func IsID(text string) bool { return idPattern.MatchString(text) }

// IsDecimal reports whether text is a decimal number without a sign, such as 0.15.
func IsDecimal(text string) bool { return decimalPattern.MatchString(text) }

// IsHeaderName reports whether text can be the name of a header.
func IsHeaderName(text string) bool { return headerPattern.MatchString(text) }

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

var decimalPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

var headerPattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 5.6.2

// MaxTrustedHops bounds xff_num_trusted_hops. A chain of proxies is shorter.
const MaxTrustedHops = 20

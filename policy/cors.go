package policy

import (
	"regexp"
	"strings"
	"time"

	"weir/llm"
	"weir/policy/config"
)

// CORS is what web pages of other origins may do. Envoy answers their preflight requests and
// adds the headers of responses.
type CORS struct {
	// Any is set if every page may send requests.
	Any bool
	// Origins are the pages that may, if Any is not set.
	Origins []Origin
	MaxAge  time.Duration
}

// Origin is an origin as pages send it, or a pattern for origins.
type Origin struct {
	// Exact is the origin. It is empty if Pattern is set.
	Exact string
	// Pattern is a regular expression for whole origins, as RE2 reads it.
	Pattern string

	whole *regexp.Regexp
}

// allows reports whether an origin is in the list. That all pages may read responses does
// not put them there.
func (c *CORS) allows(origin string) bool {
	if c == nil {
		return false
	}
	for _, o := range c.Origins {
		if o.Exact != "" && o.Exact == origin || o.whole != nil && o.whole.MatchString(origin) {
			return true
		}
	}
	return false
}

// origin is scheme://host:port in lower case, as RFC 6454 6.2 serializes an origin. The host
// may begin with "*.".
var origin = regexp.MustCompile(`^([a-z][a-z0-9+.-]*://)(\*\.)?([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:[0-9]+)?$`)

// labelsPattern matches one or more labels of a domain name.
const labelsPattern = `[a-z0-9-]+(\.[a-z0-9-]+)*`

// cors reads which web pages may send requests.
func (l *loader) cors() *CORS {
	c := l.cfg.CORS
	if c == nil {
		return nil
	}
	out := &CORS{MaxAge: l.duration("cors.max_age", c.MaxAge, config.DefaultCORSMaxAge)}
	if len(c.Origins) == 0 {
		l.problem("cors.origins", "is missing: write the origins of the pages, such as https://app.example.com")
	}
	for i, text := range c.Origins {
		if text == "*" {
			out.Any = true
			continue
		}
		m := origin.FindStringSubmatch(text)
		if m == nil || m[2] != "" && !strings.Contains(m[3], ".") {
			l.problem(config.IndexPath("cors.origins", i), "%q is not an origin: write scheme://host or scheme://host:port in lower case, without a path; https://*.example.com for all hosts below example.com; or * for every page", llm.Clip(text))
			continue
		}
		if m[2] == "" {
			out.Origins = append(out.Origins, Origin{Exact: text})
			continue
		}
		pattern := regexp.QuoteMeta(m[1]) + labelsPattern + regexp.QuoteMeta("."+m[3]+m[4])
		out.Origins = append(out.Origins, Origin{Pattern: pattern, whole: regexp.MustCompile("^(?:" + pattern + ")$")})
	}
	return out
}

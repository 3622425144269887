package config

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"weir/llm"
)

// BaseURL is the parsed and checked base URL of a provider's API.
type BaseURL struct {
	Scheme   string // http or https
	Host     string // no port, no brackets, lower-case
	Port     int    // the default port of the scheme if the URL has none
	Path     string // unchanged; empty for "/"
	RawQuery string // unchanged
}

const maxURLBytes = 2048

// ParseBaseURL parses a base URL. It fails for plain http to a host that is not internal,
// for link-local and cloud-metadata addresses, unless allowHTTPHosts lists the host, and
// for every URL that two parsers could read in two ways. It does not use net/url, because
// the host that is checked here must be the one that Envoy connects to. An error does not
// repeat the URL, which may contain a credential, only its host.
//
// Host names are not resolved. The network must protect against a public name that
// resolves to an internal address.
func ParseBaseURL(raw string, allowHTTPHosts []string) (BaseURL, error) {
	var u BaseURL
	if err := checkURLBytes(raw); err != nil {
		return u, err
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || strings.ContainsAny(scheme, "/?@") {
		return u, errors.New("has no scheme: write " + withScheme(raw, allowHTTPHosts))
	}
	switch u.Scheme = strings.ToLower(scheme); u.Scheme {
	case "https":
		u.Port = 443
	case "http":
		u.Port = 80
	default:
		return u, fmt.Errorf("the scheme %q is not supported: write https://", llm.Clip(scheme))
	}

	rest, u.RawQuery, _ = strings.Cut(rest, "?")
	authority, path, hasPath := strings.Cut(rest, "/")
	if hasPath && path != "" {
		u.Path = "/" + path
	}
	if strings.Contains(authority, "@") {
		return u, errors.New("must not contain a user name or password: set the key in api_keys or headers")
	}
	if err := u.setAuthority(authority); err != nil {
		return u, err
	}
	if err := u.checkHost(allowHTTPHosts); err != nil {
		return u, err
	}
	if err := checkBasePath(u.Path); err != nil {
		return u, err
	}
	if _, err := url.QueryUnescape(u.RawQuery); err != nil {
		return u, errors.New("has a broken %-escape in its query")
	}
	return u, u.checkNoOperation()
}

// withScheme returns what to write in place of a base URL without a scheme: its host
// with the scheme that it can have. What does not look like a host is not repeated.
func withScheme(raw string, allowHTTPHosts []string) string {
	for _, scheme := range []string{"http://", "https://"} {
		u, err := ParseBaseURL(scheme+raw, allowHTTPHosts)
		if host := u.Authority(); err == nil && (host == "localhost" || strings.ContainsAny(host, ".:")) {
			if u.Path != "" || u.RawQuery != "" {
				host += "/…"
			}
			return scheme + host
		}
	}
	return "https://host/path"
}

// checkURLBytes returns an error for a character that no part of a URL may contain
// (RFC 3986 2).
func checkURLBytes(raw string) error {
	if raw == "" {
		return errors.New("is empty")
	}
	if len(raw) > maxURLBytes {
		return fmt.Errorf("is longer than %d bytes", maxURLBytes)
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == ' ':
			return errors.New("must not contain a space")
		case c < 0x20 || c == 0x7f:
			return errors.New("must not contain a control character")
		case c == '\\':
			return errors.New("must not contain a backslash: write /")
		case c == '#':
			return errors.New("must not have a #fragment: it is never sent")
		case c >= 0x80:
			return errors.New("must be ASCII: write the punycode form of a host name (xn--…) and %-escapes elsewhere")
		case strings.IndexByte("\"<>^`{|}", c) >= 0:
			return fmt.Errorf("must not contain %q: write it as %%%02X", c, c)
		}
	}
	return nil
}

// setAuthority sets the host and the port (RFC 3986 3.2).
func (u *BaseURL) setAuthority(authority string) error {
	host, port, hasPort := strings.Cut(authority, ":")
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return errors.New("has an IPv6 address without its closing bracket")
		}
		host = authority[1:end]
		port, hasPort = strings.CutPrefix(authority[end+1:], ":")
		if !hasPort && port != "" {
			return errors.New("has something other than a port after its IPv6 address")
		}
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() {
			return errors.New("has brackets around something that is not an IPv6 address")
		}
		if addr.Zone() != "" {
			return errors.New("must not have an IPv6 zone")
		}
		u.Host = addr.String()
	} else {
		if strings.Contains(port, ":") {
			return errors.New("has more than one colon in its host: write an IPv6 address in brackets")
		}
		u.Host = strings.ToLower(host)
		if err := CheckHostName(u.Host); err != nil {
			return err
		}
	}
	if !hasPort {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' {
		return errors.New("has a bad port: write a number from 1 to 65535")
	}
	u.Port = int(n)
	return nil
}

// checkBasePath returns an error for a segment that a proxy or a server would remove from
// the path: the request would then have another path than the file says.
func checkBasePath(path string) error {
	if path == "" {
		return nil
	}
	segments := strings.Split(path[1:], "/")
	if segments[len(segments)-1] == "" {
		segments = segments[:len(segments)-1]
	}
	for _, s := range segments {
		switch _, err := url.PathUnescape(s); {
		case s == "":
			return errors.New("must not have // in its path")
		case err != nil:
			return errors.New("has a broken %-escape in its path")
		case !safeSegment(s):
			return fmt.Errorf("must not have %q in its path", llm.Clip(s))
		}
	}
	return nil
}

// checkNoOperation returns an error if a base URL ends in the path of an operation, such as
// /v1/chat/completions: the client's path would follow it. The error says what to write.
func (u BaseURL) checkNoOperation() error {
	path := strings.TrimSuffix(u.Path, "/")
	operation := ""
	for name := range operationNames() {
		if strings.HasSuffix(path, name) && len(name) > len(operation) {
			operation = name
		}
	}
	below := strings.TrimSuffix(path, operation)
	// Azure AI Foundry's base URL ends in /models.
	if operation == "" || operation == modelsName && !hasVersion(below) {
		return nil
	}
	u.Path = below
	err := fmt.Sprintf("ends in %s, which Weir adds: write %s", operation, u.shown())
	if Join(u, nil, llm.PathPrefix+operation) != path {
		err += ", and versioned: false if its paths have no " + llm.PathPrefix
	}
	return errors.New(err)
}

const modelsName = "/models"

// operationNames yields the paths of operations without /v1.
func operationNames() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(modelsName) {
			return
		}
		for e := range llm.Endpoints() {
			if !yield(strings.TrimPrefix(e.Path, llm.PathPrefix)) {
				return
			}
		}
	}
}

// shown returns the URL without what could be a credential.
func (u BaseURL) shown() string {
	segments := strings.Split(u.Path, "/")
	for i, s := range segments {
		if len(s) > maxShownSegment {
			segments[i] = "…"
		}
	}
	u.Path = strings.Join(segments, "/")
	return RedactQuery(u.String())
}

// maxShownSegment is the length of the longest segment of a path that an error repeats.
// Keys are longer, the names of deployments seldom.
const maxShownSegment = 32

// TLS reports whether the provider is reached over TLS.
func (u BaseURL) TLS() bool { return u.Scheme == "https" }

// Authority returns the value of Host or :authority for the provider. As clients do, it
// omits the default port of the scheme (RFC 9110 4.2).
func (u BaseURL) Authority() string {
	if u.TLS() && u.Port == 443 || !u.TLS() && u.Port == 80 {
		if strings.Contains(u.Host, ":") {
			return "[" + u.Host + "]"
		}
		return u.Host
	}
	return net.JoinHostPort(u.Host, strconv.Itoa(u.Port))
}

// Origin returns scheme://host:port, always with the port.
func (u BaseURL) Origin() string {
	return u.Scheme + "://" + net.JoinHostPort(u.Host, strconv.Itoa(u.Port))
}

// String returns a URL that ParseBaseURL parses to u.
func (u BaseURL) String() string {
	s := u.Scheme + "://" + u.Authority() + u.Path
	if u.RawQuery != "" {
		s += "?" + u.RawQuery
	}
	return s
}

// Join returns the path that a provider receives. A base path that contains a version or
// /openai/ replaces the client's leading llm.PathPrefix (/v1). Any other base path is put
// before the client's whole path. versioned, unless nil, overrides this: /v1 is there, after
// the base path, or not. So do known hosts.
//
// The result is always below the base path: segments of the client's path that a server
// could read as "..", or ignore, are removed.
func Join(base BaseURL, versioned *bool, clientPath string) string {
	client := cleanPath(clientPath)
	if rest, ok := strings.CutPrefix(client, llm.PathPrefix); ok && (rest == "" || rest[0] == '/') && !base.keepsVersion(versioned, clientPath) {
		client = rest
	}
	if joined := strings.TrimSuffix(base.Path, "/") + client; joined != "" {
		return joined
	}
	return "/"
}

// keepsVersion reports whether the /v1 of a client's path follows the base path.
func (u BaseURL) keepsVersion(versioned *bool, clientPath string) bool {
	if versioned != nil {
		return *versioned
	}
	if e := llm.EndpointAt(clientPath); e != nil {
		if versioned, known := e.Versioned(u.Host, u.Path); known {
			return versioned
		}
	}
	return !hasVersion(u.Path)
}

// hasVersion reports whether a path has a version as one of its segments, or contains
// /openai/. The slash after openai is required: https://host/openai is the root of an API
// that has its own /v1 below it, such as those of Groq and Azure.
func hasVersion(path string) bool {
	return strings.Contains(path, "/openai/") || slices.ContainsFunc(strings.Split(path, "/"), isVersion)
}

// isVersion reports whether a segment of a path begins with v and a digit (v1, v1beta,
// v2alpha1).
func isVersion(segment string) bool {
	return len(segment) >= 2 && segment[0] == 'v' && '0' <= segment[1] && segment[1] <= '9'
}

// EndsInVersion reports whether the last segment of the base path is a version.
func (u BaseURL) EndsInVersion() bool {
	path := strings.TrimSuffix(u.Path, "/")
	return isVersion(path[strings.LastIndexByte(path, '/')+1:])
}

// Of returns the base URL for a client's path of another version than llm.PathPrefix
// (/v2/rerank): without the version at the end of its path, if it has one.
func (u BaseURL) Of(clientPath string) BaseURL {
	if u.EndsInVersion() && !strings.HasPrefix(clientPath, llm.PathPrefix+"/") {
		root := strings.TrimSuffix(u.Path, "/")
		u.Path = root[:strings.LastIndexByte(root, '/')]
	}
	return u
}

// cleanPath returns a path with only its safe segments, and its trailing slash.
func cleanPath(path string) string {
	path, _, _ = strings.Cut(path, "?")
	path, _, _ = strings.Cut(path, "#")
	var b strings.Builder
	for s := range strings.SplitSeq(path, "/") {
		if safeSegment(s) {
			b.WriteByte('/')
			b.WriteString(s)
		}
	}
	if strings.HasSuffix(path, "/") {
		b.WriteByte('/')
	}
	return b.String()
}

// safeSegment reports whether all servers read a segment of a path in the same way. It
// must not be empty, contain bytes that a request line cannot carry, or contain `.` or
// `..`: plain, as %2e, after an escaped slash or a backslash, or with parameters (`..;x`,
// which some servers remove).
func safeSegment(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	plain, err := url.PathUnescape(s)
	if err != nil || strings.ContainsFunc(plain, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return false
	}
	for part := range strings.FieldsFuncSeq(plain, func(r rune) bool { return r == '/' || r == '\\' }) {
		if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." {
			return false
		}
	}
	return true
}

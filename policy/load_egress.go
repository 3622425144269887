package policy

import (
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"weir/llm"
	"weir/policy/config"
)

// HTTPSProxy is an HTTP proxy through which a provider is reached: it is asked for a tunnel
// (CONNECT, RFC 9110 9.3.6), in which the connection to the provider is encrypted.
type HTTPSProxy struct {
	Host string
	Port int
	TLS  *ClusterTLS // to the proxy itself; nil: none
	// Secret names the value of Proxy-Authorization in Policy.Secrets; empty: none.
	Secret string
}

// Address returns the host:port of the proxy.
func (p *HTTPSProxy) Address() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// egress is what a configuration, or the environment, says of proxies to the outside.
type egress struct {
	proxy  *HTTPSProxy // of all providers; nil: none
	direct []string    // no_proxy
}

// The variables that other programs read, in the order of preference
// (https://www.gnu.org/software/wget/manual/html_node/Proxies.html).
var (
	proxyVariables  = []string{"HTTPS_PROXY", "https_proxy"}
	directVariables = []string{"NO_PROXY", "no_proxy"}
)

// egress reads the proxy for all providers, and which hosts are reached without it. If the
// file has none, the environment's counts, as for other programs.
func (b *clusterBuilder) egress() egress {
	out := egress{direct: b.cfg.NoProxy}
	for i, host := range out.direct {
		if strings.Contains(host, "://") || strings.ContainsAny(host, " ,") {
			b.problem(config.IndexPath("no_proxy", i), "%q is not a host: write a name, .domain, an address or a range", llm.Clip(host))
		}
	}
	if out.direct == nil {
		if _, value := b.variable(directVariables); value != "" {
			out.direct = []string{value}
		}
	}
	if b.cfg.HTTPSProxy != nil {
		out.proxy = b.httpsProxy(*b.cfg.HTTPSProxy, "https_proxy")
		return out
	}
	name, value := b.variable(proxyVariables)
	if value == "" {
		return out
	}
	if !strings.Contains(value, "://") { // as curl and others read it
		value = "http://" + value
	}
	proxy, err := b.parseProxy(config.Template(value), "https_proxy")
	if err != nil {
		b.problem("https_proxy", "is not set, and the environment variable %s %v; to ignore it, set https_proxy: \"\"", name, err)
		return out
	}
	out.proxy, b.policy.ProxyVariable = proxy, name
	return out
}

func (b *clusterBuilder) variable(names []string) (name, value string) {
	for _, name := range names {
		if value := b.src.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// proxy returns the proxy through which a provider is reached, or nil.
func (b *clusterBuilder) proxy(c config.ProviderConfig, base config.BaseURL, path string) *HTTPSProxy {
	if c.HTTPSProxy != nil {
		if !base.TLS() && *c.HTTPSProxy != "" {
			b.problem(path+".https_proxy", "has no effect: base_url is not https")
		}
		return b.httpsProxy(*c.HTTPSProxy, path+".https_proxy")
	}
	if !base.TLS() || b.out.proxy == nil {
		return nil
	}
	host, port := b.dial(base)
	// Which hosts NO_PROXY means is the same as in other programs that are written in Go.
	rules := httpproxy.Config{HTTPSProxy: "http://proxy", NoProxy: strings.Join(b.out.direct, ",")}
	target := &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(port))}
	if through, err := rules.ProxyFunc()(target); err != nil || through == nil {
		return nil
	}
	return b.out.proxy
}

// httpsProxy reads a field that names a proxy; an empty one means none.
func (b *clusterBuilder) httpsProxy(t config.Template, path string) *HTTPSProxy {
	if t == "" {
		return nil
	}
	proxy, err := b.parseProxy(t, path)
	if err != nil {
		b.problem(path, "%v", err)
		return nil
	}
	return proxy
}

// parseProxy reads a proxy's URL, in which the user and the password may be secrets. Errors
// repeat neither.
func (b *clusterBuilder) parseProxy(t config.Template, path string) (*HTTPSProxy, error) {
	scheme, rest, ok := strings.Cut(string(t), "://")
	if scheme = strings.ToLower(scheme); !ok || scheme != "http" && scheme != "https" {
		return nil, errors.New("has no scheme: write http://host:port, or https:// if the proxy itself uses TLS")
	}
	at := strings.LastIndexByte(rest, '@')
	credentials, address := config.Template(rest[:max(at, 0)]), strings.TrimSuffix(rest[at+1:], "/")
	if strings.ContainsAny(address, "/?${") {
		return nil, errors.New("must be http://host:port: only the user and the password before @ can be secrets, and nothing follows the port")
	}
	// A proxy may be anywhere, also without TLS: what the tunnel carries is encrypted.
	to, err := config.ParseBaseURL("https://"+address, b.cfg.AllowHTTPHosts)
	if err != nil {
		return nil, err
	}
	out := &HTTPSProxy{Host: to.Host, Port: to.Port}
	if scheme == "https" {
		b.systemRoots(path)
		out.TLS = &ClusterTLS{ServerName: to.Host}
	} else if !strings.HasSuffix(address, ":443") && to.Port == 443 {
		out.Port = 80
	}
	for _, own := range b.own {
		if b.src.Own.leadsTo(own, out.Host, out.Port) {
			return nil, errors.New("leads back to this gateway, which is not a forward proxy")
		}
	}
	if at < 0 {
		return out, nil
	}
	value, err := b.basicAuth(credentials)
	if err != nil {
		return nil, err
	}
	out.Secret = "weir/proxy/" + contentHash([]any{out, credentials.References()})
	b.policy.Secrets[out.Secret] = value
	return out, nil
}

// basicAuth returns the value of Proxy-Authorization (RFC 7617) for the user and the
// password of a URL, which are escaped, except if they are secrets.
func (b *clusterBuilder) basicAuth(t config.Template) (config.Secret, error) {
	user, password, both := strings.Cut(string(t), ":")
	if strings.Count(user, "{") != strings.Count(user, "}") { // the colon is in ${…}
		return config.Secret{}, errors.New("the name of a secret must not contain a colon")
	}
	plain := func(part string) (string, error) {
		if !strings.Contains(part, "${") {
			plain, err := url.PathUnescape(part)
			if err != nil {
				return "", errors.New("has a broken %-escape in its user or password: write % as %25")
			}
			return plain, nil
		}
		secret, err := config.Template(part).Expand(b.store)
		return secret.Reveal(), err
	}
	text, err := plain(user)
	if err != nil {
		return config.Secret{}, err
	}
	if both {
		secret, err := plain(password)
		if err != nil {
			return config.Secret{}, err
		}
		text += ":" + secret
	} else if !strings.Contains(text, ":") {
		text += ":"
	}
	return config.NewSecret("Basic " + base64.StdEncoding.EncodeToString([]byte(text))), nil
}

package policy

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"weir/policy/config"
)

func (b *clusterBuilder) clusterTLS(c config.ProviderConfig, base config.BaseURL, path string) *ClusterTLS {
	if !base.TLS() {
		if c.TLS != nil {
			b.problem(path+".tls", "has no effect: base_url is not https")
		}
		return nil
	}
	out := &ClusterTLS{ServerName: base.Host}
	if c.TLS == nil || c.TLS.CAFile == "" && !c.TLS.InsecureSkipVerify {
		b.systemRoots(path)
	}
	if c.TLS == nil {
		return out
	}
	out.InsecureSkipVerify = c.TLS.InsecureSkipVerify
	if c.TLS.ServerName != "" {
		out.ServerName = strings.ToLower(c.TLS.ServerName)
		if _, err := netip.ParseAddr(out.ServerName); err != nil {
			if err := config.CheckHostName(out.ServerName); err != nil {
				b.problem(path+".tls.server_name", "%v", err)
			}
		}
	}
	if c.TLS.CAFile != "" {
		out.CA = b.readFile(path+".tls.ca_file", c.TLS.CAFile)
		if out.CA != "" {
			var err error
			if out.CA, err = certificates(out.CA); err != nil {
				b.problem(path+".tls.ca_file", "%s %v", c.TLS.CAFile, err)
			}
		}
		b.expires(path+".tls.ca_file", c.TLS.CAFile, out.CA, true)
	}
	out.Certificate = b.certificate(c, base, path)
	return out
}

// certificate stores the certificate that a provider is shown, under a name that
// depends on the provider's address.
func (b *clusterBuilder) certificate(c config.ProviderConfig, base config.BaseURL, path string) string {
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		b.problem(path+".tls", "cert_file and key_file must be set together")
	}
	if c.TLS.CertFile == "" || c.TLS.KeyFile == "" {
		return ""
	}
	cert := Certificate{b.readFile(path+".tls.cert_file", c.TLS.CertFile), config.NewSecret(b.readFile(path+".tls.key_file", c.TLS.KeyFile))}
	if cert.Chain != "" && cert.Key.Reveal() != "" {
		if err := cert.read(); err != nil {
			b.problem(path+".tls", "cert_file and key_file do not match: %v", err)
		}
	}
	b.expires(path+".tls.cert_file", c.TLS.CertFile, cert.Chain, false)
	name := "weir/" + c.ID + "/" + contentHash([]any{"certificate", base, c.TLS.CertFile, c.TLS.KeyFile})
	b.policy.Certificates[name] = cert
	return name
}

// certificates reads a PEM file of certificates, and of revocation lists where
// there are such, and returns it without any other block: Envoy rejects blocks that
// Go ignores. Like Envoy, and unlike crypto/x509, it fails if one of them cannot be
// read.
func certificates(text string) (string, error) {
	const kind, oldKind, trusted, revoked = "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CRL"
	var out []byte
	found := map[string]int{}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		found[block.Type]++
		switch block.Type {
		case kind, oldKind:
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return "", fmt.Errorf("has a certificate that cannot be read, number %d: %v", found[kind]+found[oldKind], err)
			}
			out = append(out, encodePEM(kind, block.Bytes)...)
		case revoked:
			if _, err := x509.ParseRevocationList(block.Bytes); err != nil {
				return "", fmt.Errorf("has a revocation list that cannot be read, number %d: %v", found[revoked], err)
			}
			out = append(out, encodePEM(revoked, block.Bytes)...)
		}
	}
	if found[kind]+found[oldKind] == 0 {
		return "", errors.New("contains no PEM certificate")
	}
	for _, k := range []struct{ kind, name string }{{kind, "certificates"}, {oldKind, "certificates"}, {revoked, "revocation lists"}} {
		if written := strings.Count(text, "-----BEGIN "+k.kind+"-----"); written != found[k.kind] {
			return "", fmt.Errorf("has %d %s, of which %d can be read", written, k.name, found[k.kind])
		}
	}
	if strings.Contains(text, "-----BEGIN "+trusted+"-----") {
		return "", fmt.Errorf("has a block of the type %s: write it as %s (openssl x509 -in FILE)", trusted, kind)
	}
	return string(out), nil
}

// privateKey returns the private key of a PEM file without anything else that is
// in the file, or the file if it has none.
func privateKey(text string) string {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return text
		}
		if block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY") { // as tls.X509KeyPair looks for it
			return string(encodePEM(block.Type, block.Bytes))
		}
	}
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// rootFiles are where systems keep their trusted certificates: Debian and
// Alpine, Fedora and RHEL (two), SUSE, macOS and BSD. SSL_CERT_FILE, which
// OpenSSL and Go read as well, comes first.
var rootFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// systemRoots reads the trusted certificates of this system, once.
func (b *clusterBuilder) systemRoots(path string) {
	if b.roots {
		return
	}
	b.roots = true
	files := rootFiles
	if named := b.src.Getenv("SSL_CERT_FILE"); named != "" {
		files = []string{named}
	}
	for _, file := range files {
		pem, err := b.src.ReadFile(file)
		if err == nil && x509.NewCertPool().AppendCertsFromPEM(pem) {
			b.policy.Roots = string(pem)
			return
		}
	}
	b.problem(path+".base_url", "needs the system's trusted certificates, and there are none in %s: install ca-certificates, or set SSL_CERT_FILE or tls.ca_file", strings.Join(files, ", "))
}

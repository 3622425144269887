package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/policy/config"
)

// ListenTLS configures TLS on the listener for clients.
type ListenTLS struct {
	Certificate Certificate
	// ClientCA are the authorities of clients' certificates, PEM; empty where
	// clients need none.
	ClientCA string
}

// minRSABits is the smallest RSA key that Envoy takes.
const minRSABits = 2048

// listenTLS reads the certificate of the listener for clients, and the authorities
// that it requires of clients' certificates.
func (l *loader) listenTLS() *ListenTLS {
	c := l.cfg.TLS
	if c == nil {
		return nil
	}
	out := &ListenTLS{}
	if c.CertFile == "" || c.KeyFile == "" {
		l.problem("tls", "cert_file and key_file are both required")
	} else {
		cert := Certificate{l.readFile("tls.cert_file", c.CertFile), config.NewSecret(l.readFile("tls.key_file", c.KeyFile))}
		if cert.Chain != "" && cert.Key.Reveal() != "" {
			if err := cert.read(); err != nil {
				l.problem("tls", "%s and %s: %v", c.CertFile, c.KeyFile, err)
			}
		}
		l.expires("tls.cert_file", c.CertFile, cert.Chain, false)
		out.Certificate = cert
	}
	if c.ClientCAFile != "" {
		out.ClientCA = l.readFile("tls.client_ca_file", c.ClientCAFile)
		if out.ClientCA != "" {
			var err error
			if out.ClientCA, err = certificates(out.ClientCA); err != nil {
				l.problem("tls.client_ca_file", "%s %v", c.ClientCAFile, err)
			}
		}
		l.expires("tls.client_ca_file", c.ClientCAFile, out.ClientCA, true)
	}
	return out
}

// read leaves only certificates and the key in what was read of files. It returns
// an error if the key does not belong to the certificate, or if Envoy would reject it.
func (c *Certificate) read() error {
	pair, err := tls.X509KeyPair([]byte(c.Chain), []byte(c.Key.Reveal()))
	if err != nil {
		return err
	}
	if c.Chain, err = certificates(c.Chain); err != nil {
		return fmt.Errorf("the chain %w", err)
	}
	c.Key = config.NewSecret(privateKey(c.Key.Reveal()))
	switch key := pair.Leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return fmt.Errorf("an RSA key of %d bits is too short: use %d or more", bits, minRSABits)
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return errors.New("a key on the curve P-224 is not supported: use P-256")
		}
	}
	return nil
}

// Expiry is a file of certificates that the policy uses, and when it expires: a
// chain with the first of its certificates, a file of authorities with the last.
type Expiry struct {
	// File is as the configuration names it.
	File                string
	NotBefore, NotAfter time.Time

	path string // of the field that names it
}

// expires notes a file of certificates, once.
func (l *loader) expires(path, file, text string, authorities bool) {
	if slices.ContainsFunc(l.expiries, func(e Expiry) bool { return e.File == file }) {
		return
	}
	e := Expiry{File: file, path: path}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			continue // who uses the file reports it
		}
		if e.NotAfter.IsZero() || cert.NotAfter.After(e.NotAfter) == authorities {
			e.NotAfter = cert.NotAfter
		}
		if e.NotBefore.IsZero() || cert.NotBefore.Before(e.NotBefore) == authorities {
			e.NotBefore = cert.NotBefore
		}
	}
	if !e.NotAfter.IsZero() {
		l.expiries = append(l.expiries, e)
	}
}

// soon returns how long before its end a certificate is said to expire: two
// weeks, or a quarter of its life if that is less. Automatic renewal
// happens earlier.
func (e Expiry) soon() time.Duration {
	return min(14*24*time.Hour, e.NotAfter.Sub(e.NotBefore)/4)
}

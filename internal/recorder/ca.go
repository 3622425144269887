package recorder

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certificate authority for tests. It is trusted only where a test configures it.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes a CA, in memory.
func NewCA(t testing.TB) *CA {
	t.Helper()
	ca := &CA{}
	template := certificate("Weir test CA")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	ca.cert, ca.key = sign(t, template, nil)
	return ca
}

// PEM returns the CA's certificate.
func (ca *CA) PEM() []byte { return pemOf("CERTIFICATE", ca.cert.Raw) }

// File writes PEM to a file in the test's temporary directory and returns its path.
func (ca *CA) File(t testing.TB) string {
	t.Helper()
	return write(t, "ca.pem", ca.PEM())
}

// Pool returns a pool with this CA alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Issue returns a certificate, for servers and clients, for these host names and IP
// addresses.
func (ca *CA) Issue(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	template := certificate("Weir test")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, key := sign(t, template, ca)
	return tls.Certificate{Certificate: [][]byte{cert.Raw, ca.cert.Raw}, PrivateKey: key, Leaf: cert}
}

// IssueFiles is Issue with two PEM files in the test's temporary directory.
func (ca *CA) IssueFiles(t testing.TB, names ...string) (certFile, keyFile string) {
	t.Helper()
	issued := ca.Issue(t, names...)
	key, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		t.Fatalf("recorder: %v", err)
	}
	return write(t, "cert.pem", pemOf("CERTIFICATE", issued.Certificate[0])),
		write(t, "key.pem", pemOf("PRIVATE KEY", key))
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().Add(24 * time.Hour),
	}
}

// sign signs a certificate with the CA, or with its own key if by is nil.
func sign(t testing.TB, template *x509.Certificate, by *CA) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("recorder: %v", err)
	}
	if by == nil {
		by = &CA{cert: template, key: key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatalf("recorder: %v", err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatalf("recorder: %v", err)
	}
	return cert, key
}

func pemOf(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatalf("recorder: %v", err)
	}
	return path
}

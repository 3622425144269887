package policy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// issued is a certificate that signs itself, in PEM, with its key.
func issued(t *testing.T, key crypto.Signer, from, to time.Time) (cert, private string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func onCurve(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Which keys Envoy takes was tried with Envoy 1.40.
func TestListenTLSKeys(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key  crypto.Signer
		want string
	}{
		"RSA of 1024 bits": {short, "weir.yaml:1: tls: cert.pem and key.pem: an RSA key of 1024 bits is too short: use 2048 or more"},
		"RSA of 2048 bits": {long, ""},
		"P-224":            {onCurve(t, elliptic.P224()), "weir.yaml:1: tls: cert.pem and key.pem: a key on the curve P-224 is not supported: use P-256"},
		"P-256":            {onCurve(t, elliptic.P256()), ""},
		"P-384":            {onCurve(t, elliptic.P384()), ""},
		"P-521":            {onCurve(t, elliptic.P521()), ""},
		"Ed25519":          {edwards, ""},
	} {
		w := newWorld()
		w.files["cert.pem"], w.files["key.pem"] = issued(t, test.key, time.Now(), time.Now().Add(time.Hour))
		p, _, problems := Load(w.source("tls: {cert_file: cert.pem, key_file: key.pem}"))
		if got := problems.Error(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if p != nil && (p.ListenTLS == nil || p.ListenTLS.Certificate.Chain != w.files["cert.pem"] || p.ListenTLS.ClientCA != "") {
			t.Errorf("%s: %+v", name, p.ListenTLS)
		}
	}
}

func TestWarnings(t *testing.T) {
	day := 24 * time.Hour
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	key := onCurve(t, elliptic.P256())
	w := newWorld()
	add := func(name string, from, to time.Duration) {
		w.files[name], w.files["key.pem"] = issued(t, key, now.Add(from), now.Add(to))
	}
	const warned = "weir.yaml:1: tls.cert_file: the certificate in cert.pem "
	for name, test := range map[string]struct {
		from, to time.Duration
		want     string
	}{
		"fine":             {-30 * day, 60 * day, ""},
		"soon":             {-60 * day, 10 * day, warned + "expires on 2026-11-30T00:00:00Z"},
		"short-lived":      {-time.Hour, 23 * time.Hour, ""},
		"short-lived, old": {-23 * time.Hour, time.Hour, warned + "expires on 2026-11-20T01:00:00Z"},
		"expired":          {-60 * day, -day, warned + "expired on 2026-11-19T00:00:00Z"},
		"not yet":          {day, 60 * day, warned + "is not valid before 2026-11-21T00:00:00Z"},
	} {
		add("cert.pem", test.from, test.to)
		loaded := w.loaded(t, "tls: {cert_file: cert.pem, key_file: key.pem}", Loaded{})
		if got := loaded.Warnings(now).Error(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}

	// Of a chain the first that expires counts, of authorities the last; a file
	// is one, however many name it.
	add("cert.pem", -30*day, 60*day)
	add("old.pem", -60*day, -day)
	w.files["chain.pem"] = w.files["cert.pem"] + w.files["old.pem"]
	loaded := w.loaded(t, `
tls: {cert_file: chain.pem, key_file: key.pem, client_ca_file: chain.pem}
providers:
  - {id: a, base_url: "https://a.internal", tls: {cert_file: chain.pem, key_file: key.pem, ca_file: old.pem}}
  - {id: b, base_url: "https://b.internal", tls: {ca_file: old.pem}}
`, Loaded{})
	want := strings.Join([]string{
		"weir.yaml:2: tls.cert_file: the certificate in chain.pem expired on 2026-11-19T00:00:00Z",
		"weir.yaml:4: providers[0].tls.ca_file: the certificate in old.pem expired on 2026-11-19T00:00:00Z",
	}, "\n")
	if got := loaded.Warnings(now).Error(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	loaded = w.loaded(t, "tls: {cert_file: cert.pem, key_file: key.pem, client_ca_file: chain.pem}", Loaded{})
	if got := loaded.Warnings(now); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

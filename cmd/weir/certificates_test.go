package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// TestCheckExpired: an expired certificate is a warning, and the configuration
// is valid.
func TestCheckExpired(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	expired := time.Now().Add(-time.Hour)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: expired.Add(-time.Hour), NotAfter: expired}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := file(t, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	config := file(t, "weir.yaml", "tls:\n  cert_file: "+cert+"\n  key_file: "+
		file(t, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))+"\nproviders: [{id: a, base_url: http://localhost:1}]\n")
	code, stdout, stderr := weir(t, nil, "check", "-c", config)
	want := "warning: " + config + ":2: tls.cert_file: the certificate in " + cert + " expired on " + expired.UTC().Format(time.RFC3339) + "\n"
	if code != 0 || stdout != config+": ok\n" || stderr != want {
		t.Errorf("exit code %d, %q, %q\nwant %q", code, stdout, stderr, want)
	}
}

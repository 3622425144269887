package policy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// selfSigned makes a certificate with its key, as PEM.
func selfSigned(t *testing.T, key any, public any) (cert, private string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// What Envoy 1.40 refuses of TLS is a problem of the file; each was tried.
func TestTLSMaterial(t *testing.T) {
	f := func(tls string, files map[string]string, want string) {
		t.Helper()
		w := newWorld()
		for name, text := range files {
			w.files[name] = text
		}
		_, _, problems := Load(w.source(fmt.Sprintf("providers: [{id: p, base_url: 'https://p.internal', tls: {%s}}]", tls)))
		if got := fmt.Sprint(problems); want == "" && len(problems) > 0 || !strings.Contains(got, want) || len(problems) > 1 {
			t.Errorf("%s: %v, want %q", tls, problems, want)
		}
	}
	pair := func(cert, key string) map[string]string { return map[string]string{"a.crt": cert, "a.key": key} }
	const own = "cert_file: a.crt, key_file: a.key"
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if curve == elliptic.P224() {
			want = "a key on the curve P-224 is not supported"
		}
		f(own, pair(selfSigned(t, key, key.Public())), want)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	for bits, want := range map[int]string{1024: "an RSA key of 1024 bits is too short", 2048: ""} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		f(own, pair(selfSigned(t, key, key.Public())), want)
	}
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	f(own, pair(selfSigned(t, private, public)), "")

	good, key := testCertificate()
	bad := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	cut := good[:len(good)/2]
	f(own, pair(good+bad, key), "the chain has a certificate that cannot be read, number 2")
	f("ca_file: a.crt", pair(good+"a comment\n"+good, ""), "")
	f("ca_file: a.crt", pair(good+key, ""), "")
	f("ca_file: a.crt", pair(good+bad, ""), "providers[0].tls.ca_file: a.crt has a certificate that cannot be read, number 2")
	f("ca_file: a.crt", pair(good+cut, ""), "has 2 certificates, of which 1 can be read")
	f("ca_file: a.crt", pair(key, ""), "a.crt contains no PEM certificate")
	block := func(kind, text string) string {
		return "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n"
	}
	f("ca_file: a.crt", pair(good+block("X509 CRL", "MIIB"), ""), "a.crt has a revocation list that cannot be read, number 1")
	f("ca_file: a.crt", pair(good+block("X509 CRL", "!"), ""), "a.crt has 1 revocation lists, of which 0 can be read")
	f("ca_file: a.crt", pair(good+block("X509 CERTIFICATE", "MIIB"), ""), "a.crt has a certificate that cannot be read, number 2")
	f("ca_file: a.crt", pair(good+block("TRUSTED CERTIFICATE", "MIIB"), ""), "a.crt has a block of the type TRUSTED CERTIFICATE: write it as CERTIFICATE")
}

// What Envoy would stumble over in a file, and Go passes over, does not get there;
// a private key in a file of authorities even less so.
func TestTLSMaterialIsRewritten(t *testing.T) {
	good, key := testCertificate()
	junk := "-----BEGIN EC PRIVATE KEY-----\nMIIB\n-----END EC PRIVATE KEY-----\n-----BEGIN FOO-----\n!\n-----END BAR-----\n"
	described := func(text string) string { return strings.Replace(text, "-----\n", "-----\nFoo: bar\n\n", 1) }
	w := newWorld()
	w.files["ca.crt"] = "a comment\n" + described(good) + key + junk
	w.files["own.crt"] = described(good) + junk
	w.files["own.key"] = good + described(key) + junk
	w.files["old.crt"] = strings.ReplaceAll(good, " CERTIFICATE", " X509 CERTIFICATE")
	p, _, problems := Load(w.source(`
tls: {cert_file: own.crt, key_file: own.key, client_ca_file: old.crt}
providers: [{id: p, base_url: 'https://p.internal', tls: {ca_file: ca.crt, cert_file: own.crt, key_file: own.key}}]`))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"ca_file": p.Clusters[0].TLS.CA, "client_ca_file": p.ListenTLS.ClientCA, "cert_file": p.ListenTLS.Certificate.Chain} {
		if got != good {
			t.Errorf("%s: %s\nwant %s", name, got, good)
		}
	}
	for name, c := range p.Certificates {
		if c.Chain != good || c.Key.Reveal() != key {
			t.Errorf("certificate %s: %s", name, c.Chain)
		}
	}
	if got := p.ListenTLS.Certificate.Key.Reveal(); got != key || len(p.Certificates) != 1 {
		t.Errorf("%d certificates, and the listener's key has %d bytes, want %d", len(p.Certificates), len(got), len(key))
	}
}

// The pattern of response headers that Envoy gets is not longer than it takes.
func TestReturnedNames(t *testing.T) {
	f := func(want string, sizes ...int) {
		t.Helper()
		var b strings.Builder
		b.WriteString("providers:\n")
		n := 0
		for i, size := range sizes {
			fmt.Fprintf(&b, "  - {id: p%d, base_url: 'http://p.internal', forward: {response_headers: [same", i)
			for range size {
				n++
				fmt.Fprintf(&b, ", x%07d", n)
			}
			b.WriteString("]}}\n")
		}
		_, _, problems := Load(newWorld().source(b.String()))
		if got := fmt.Sprint(problems); want == "" && len(problems) > 0 || !strings.Contains(got, want) || len(problems) > 1 {
			t.Errorf("%d: %.300s, want %q", sizes, got, want)
		}
	}
	f("", 500, 523)
	f("providers[1].forward.response_headers: the names of all providers have 8196 bytes in total, the limit is 8192", 500, 524)
}

// Envoy refuses header values of more than 16384 bytes, where % counts twice.
func TestHeaderLimits(t *testing.T) {
	f := func(provider, want string) {
		t.Helper()
		w := newWorld()
		w.env["WEIR_SECRET_S_LONG"] = strings.Repeat("k", 17000)
		_, _, problems := Load(w.source("providers: [{id: p, base_url: 'http://p.internal', " + provider + "}]"))
		if got := fmt.Sprint(problems); want == "" && len(problems) > 0 || !strings.Contains(got, want) || len(problems) > 1 {
			t.Errorf("%.40s: %v, want %q", provider, problems, want)
		}
		if strings.Contains(fmt.Sprint(problems), "kkkk") {
			t.Errorf("shows a value: %v", problems)
		}
	}
	const most = 16384
	f("headers: {x-a: '"+strings.Repeat("k", most)+"'}", "")
	f("headers: {x-a: '"+strings.Repeat("k", most+1)+"'}", "providers[0].headers.x-a: the value has 16385 bytes")
	f("headers: {x-a: '"+strings.Repeat("%", most/2)+"'}", "")
	f("headers: {x-a: '"+strings.Repeat("%", most/2)+"k'}", "providers[0].headers.x-a: is too long")
	f("headers: {x-a: \"${secrets.get('s', 'long')}\"}", "providers[0].headers.x-a: secret")
	f("api_keys: [{value: "+strings.Repeat("k", most+1)+"}]", "providers[0].api_keys[0].value: the value has")
	f("api_keys: [{value: \"${secrets.get('s', 'long')}\"}]", "providers[0].api_keys[0].value: secret")
	f("auth: {prefix: '"+strings.Repeat("p", 1025)+"'}", "providers[0].auth.prefix: must have 1024 bytes at most")
	f("auth: {header: '"+strings.Repeat("h", 257)+"'}", "providers[0].auth.header")
	f("headers: {"+strings.Repeat("h", 257)+": a}", "is too long for a header name")
}

// What Envoy would refuse is a problem at the provider that it comes from.
func TestInvalid(t *testing.T) {
	src := newWorld().source("providers:\n  - {id: a, base_url: 'http://a.internal'}\n  - {id: b, base_url: 'http://b.internal'}\n")
	loaded, problems := Reload(src, Loaded{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	invalid := []Invalid{{Reason: "of none"}}
	for _, c := range loaded.Policy.Clusters {
		if c.Provider == "b" {
			invalid = append(invalid, Invalid{c.Name, "of b"}, Invalid{c.Name, "of b"})
		}
	}
	const want = "weir.yaml:1: Envoy would reject the resources made from this: of none\nweir.yaml:3: providers[1]: Envoy would reject the resources made from this: of b"
	if got := loaded.ProblemsOf(invalid).Error(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for name, want := range map[string]string{
		"weir/b/0123": "weir.yaml:3: providers[1]: x", "weir/gone/0123": `weir.yaml: provider "gone": x`, "weir": "weir.yaml:1: listen: x",
	} {
		if got := loaded.ProblemOf(name, "x").String(); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

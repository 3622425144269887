package config

import "go.yaml.in/yaml/v4"

// Addresses are one or more addresses to listen on, as host:port.
type Addresses []string

// decodeNode takes a string, or a list of strings.
func (a *Addresses) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode && n.Tag != nullTag {
		if address := d.text(n, path); address != "" {
			*a = Addresses{address}
		}
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.mismatch(n, path, "be an address or a list of addresses")
		return
	}
	var list []string
	d.value(n, path, &list)
	*a = list
}

// MarshalYAML writes one address as a string.
func (a Addresses) MarshalYAML() (any, error) {
	if len(a) == 1 {
		return a[0], nil
	}
	return []string(a), nil
}

// ListenTLSConfig is how clients reach the gateway by TLS.
type ListenTLSConfig struct {
	// PEM file of the certificate, followed by those of the intermediate
	// authorities. Relative to the configuration file.
	CertFile string `yaml:"cert_file"`
	// PEM file of the certificate's key, without a passphrase.
	KeyFile string `yaml:"key_file"`
	// PEM file of the authorities that sign the certificates of clients. With it,
	// every client must present a certificate.
	ClientCAFile string `yaml:"client_ca_file,omitempty"`
}

package config

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Address is an address to listen on, as host:port.
type Address string

// ParseAddress returns 127.0.0.1:PORT for a port alone, such as 8080. Any other text is
// returned unchanged; :8080 means the port on all addresses.
func ParseAddress(text string) Address {
	if text != "" && strings.Trim(text, "0123456789") == "" {
		text = "127.0.0.1:" + text
	}
	return Address(text)
}

// decodeNode decodes host:port, or a port as a number or a string.
func (a *Address) decodeNode(d *decoder, n *yaml.Node, path string) {
	switch {
	case n.Tag == intTag:
		*a = ParseAddress(strconv.FormatInt(d.integer(n, path, 32), 10))
	case isText(n):
		*a = ParseAddress(n.Value)
	default:
		d.mismatch(n, path, "be host:port or a port")
	}
}

// Addresses are one or more addresses to listen on.
type Addresses []string

// decodeNode decodes an address, or a list of addresses.
func (a *Addresses) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode && n.Tag != nullTag {
		var one Address
		if one.decodeNode(d, n, path); one != "" {
			*a = Addresses{string(one)}
		}
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.mismatch(n, path, "be an address or a list of addresses")
		return
	}
	var list []Address
	d.value(n, path, &list)
	if list == nil {
		return
	}
	*a = make(Addresses, len(list))
	for i, one := range list {
		(*a)[i] = string(one)
	}
}

// MarshalYAML returns a single address as a string.
func (a Addresses) MarshalYAML() (any, error) {
	if len(a) == 1 {
		return a[0], nil
	}
	return []string(a), nil
}

// ListenTLSConfig is the certificate for TLS connections of clients.
type ListenTLSConfig struct {
	// PEM file of the certificate, followed by the intermediate certificates. Relative
	// to the configuration file.
	CertFile string `yaml:"cert_file"`
	// PEM file of the certificate's private key, without a passphrase.
	KeyFile string `yaml:"key_file"`
	// PEM file of the authorities that sign client certificates. If set, every client
	// must present a certificate.
	ClientCAFile string `yaml:"client_ca_file,omitempty"`
}

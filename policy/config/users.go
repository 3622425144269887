package config

import (
	"regexp"

	"go.yaml.in/yaml/v4"
)

// UserList is a list of users of the system, by name or uid.
type UserList []string

// UserPattern is what useradd(8) allows, and digits.
var UserPattern = regexp.MustCompile(`^([0-9]{1,10}|[A-Za-z_][A-Za-z0-9_.-]{0,63})$`)

// MaxUID is the largest uid: the next number means "no user" (chown(2)).
const MaxUID = 1<<32 - 2

// decodeNode takes uids as numbers and as text.
func (u *UserList) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.SequenceNode {
		d.notList(n, path, "be a list of users")
		return
	}
	*u = UserList{}
	for i, entry := range n.Content {
		if entry = follow(entry); entry.Kind != yaml.ScalarNode {
			d.mismatch(entry, IndexPath(path, i), "be the name or the uid of a user")
			continue
		}
		*u = append(*u, entry.Value)
	}
}

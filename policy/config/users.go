package config

import (
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// UserList is a list of users of the operating system, by name or uid.
type UserList []string

// userPattern matches the names that useradd(8) allows, and digits.
var userPattern = regexp.MustCompile(`^([0-9]{1,10}|[A-Za-z_][A-Za-z0-9_.-]{0,63})$`)

// maxUID is the largest uid: the next number means "no user" (chown(2)).
const maxUID = 1<<32 - 2

// IsUser reports whether text can be the name or the uid of a user.
func IsUser(text string) bool {
	uid, err := strconv.ParseUint(text, 10, 64)
	return userPattern.MatchString(text) && (err != nil || uid <= maxUID)
}

// decodeNode decodes uids as numbers or strings.
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

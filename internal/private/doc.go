// Package private enforces one rule for folders, files and sockets that no other user
// of the machine may replace, write to or connect to.
//
// The rule for a folder: it and every folder above it belong to this user or to root,
// and no other user may write to them. A folder above may be writable by everybody if
// it has the sticky bit, as /tmp has, because nobody can replace what belongs to
// another user there. The folder itself must not be a symbolic link; a link above it
// must belong to this user or to root. A folder that violates the rule is refused,
// never repaired: its contents cannot be trusted.
//
// Only this user and root can change any part of a path that satisfies the rule. So it
// may be used by its name afterwards.
package private

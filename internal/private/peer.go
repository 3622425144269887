package private

import (
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"
)

// Peer is the process at the other end of a Unix socket, as the kernel knows it
// from the time of the connection.
type Peer struct {
	UID uint32
	PID int // 0: the system does not say
}

// Users is the set of users who may connect: this user, root, and the listed ones.
type Users struct{ uids []uint32 }

// ParseUsers parses names and numbers of users. It fails for a name that this system
// does not know.
func ParseUsers(list []string) (Users, error) {
	var u Users
	for _, s := range list {
		if uid, err := strconv.ParseUint(s, 10, 32); err == nil {
			u.uids = append(u.uids, uint32(uid))
			continue
		}
		known, err := user.Lookup(s)
		if err != nil {
			return Users{}, fmt.Errorf("user %.64q is not known on this system: write the numeric uid", s)
		}
		uid, err := strconv.ParseUint(known.Uid, 10, 32)
		if err != nil {
			return Users{}, fmt.Errorf("user %.64q: uid %q: %w", s, known.Uid, err)
		}
		u.uids = append(u.uids, uint32(uid))
	}
	return u, nil
}

// Allow reports whether a peer is one of the users.
func (u Users) Allow(p Peer) bool {
	return trusted(p.UID) || slices.Contains(u.uids, p.UID)
}

// Others reports whether the list has users besides this one and root.
func (u Users) Others() bool {
	return slices.ContainsFunc(u.uids, func(uid uint32) bool { return !trusted(uid) })
}

// Guarded is a listener that closes connections of other users before a byte is
// read from or written to them.
type Guarded struct {
	*net.UnixListener
	// Users may connect.
	Users Users
	// Refused is called for each connection that is closed. An error means that the
	// kernel did not say which user it is.
	Refused func(p Peer, err error)
}

// Accept waits for the next connection of an allowed user.
func (g *Guarded) Accept() (net.Conn, error) {
	for {
		conn, err := g.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p, err := PeerOf(conn)
		if err == nil && g.Users.Allow(p) {
			return conn, nil
		}
		_ = conn.Close()
		g.Refused(p, err)
	}
}

// PeerOf returns the process at the other end of a connection, as the kernel knows it.
func PeerOf(conn *net.UnixConn) (Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var p Peer
	var asked error
	if err := raw.Control(func(fd uintptr) { p, asked = credentials(int(fd)) }); err != nil {
		return Peer{}, err
	}
	return p, asked
}

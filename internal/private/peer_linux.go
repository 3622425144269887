package private

import "golang.org/x/sys/unix"

// credentials are those of SO_PEERCRED (unix(7)): a user of another user
// namespace that has no number here shows as the overflow uid, 65534.
func credentials(fd int) (Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	return Peer{UID: c.Uid, PID: int(c.Pid)}, nil
}

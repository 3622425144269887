package private

import "golang.org/x/sys/unix"

// credentials are those of LOCAL_PEERCRED and LOCAL_PEERPID (unix(4)).
func credentials(fd int) (Peer, error) {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		pid = 0 // it is for the log alone
	}
	return Peer{UID: c.Uid, PID: pid}, nil
}

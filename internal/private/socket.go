package private

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// umask guards the process's umask while it is changed.
var umask sync.Mutex

// Listen creates a Unix socket with a mode, in a folder that satisfies the rule of
// this package. It replaces a socket that a killed process left behind, and fails if
// the socket is in use or another user created it.
//
// Until the socket has its mode, it is never more accessible than 0700: the umask is
// 0077 while it is created. The umask applies to the whole process, so a file that is
// created at that moment may get a narrower mode, never a wider one.
func Listen(path string, mode fs.FileMode) (*net.UnixListener, error) {
	dir, err := CheckDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	path = filepath.Join(dir, filepath.Base(path))
	l, err := bind(path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeLeft(path); err != nil {
			return nil, err
		}
		l, err = bind(path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func bind(path string) (*net.UnixListener, error) {
	umask.Lock()
	defer umask.Unlock()
	before := unix.Umask(0o077)
	defer unix.Umask(before)
	return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
}

// removeLeft removes a socket that no process serves.
func removeLeft(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return fmt.Errorf("%s: exists and is not a socket: remove it, or choose another path", path)
	case !trusted(st.Uid):
		return fmt.Errorf("%s: is a socket of %s: remove it, or choose another path", path, owner(st.Uid))
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("%s: another weir serves this socket", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // served, by one that is slow or does not let us in
		return err
	}
	return os.Remove(path)
}

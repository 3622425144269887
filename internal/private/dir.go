package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir creates a folder that only this user may enter, with the missing folders above
// it, and returns its absolute path. An existing folder must satisfy the rule of this
// package and stays unchanged; otherwise Dir fails.
func Dir(path string) (string, error) { return DirMode(path, 0o700) }

// DirMode is Dir with another mode for the folder that it creates: 0711 is for a
// folder that other users may enter but not read.
func DirMode(path string, mode fs.FileMode) (string, error) {
	return walk(path, func(fd int, name string, last bool) error {
		m := uint32(0o700)
		if last {
			m = uint32(mode.Perm())
		}
		if err := unix.Mkdirat(fd, name, m); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		// The umask may have removed permissions. Anything else that was created under
		// this name meanwhile is checked after this.
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if int(st.Uid) == os.Geteuid() && isDir(&st) {
			return unix.Fchmodat(fd, name, m, 0)
		}
		return nil
	})
}

// CheckDir checks a folder by the rule of this package and returns its absolute path.
// It creates nothing.
func CheckDir(path string) (string, error) { return walk(path, nil) }

// TempDir creates a folder with a new name in the system's folder for temporary files
// ($TMPDIR, else /tmp). Only this user may enter it.
func TempDir(pattern string) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		return "", err
	}
	checked, err := CheckDir(dir)
	if err != nil {
		_ = os.Remove(dir)
		return "", fmt.Errorf("temporary folder: %w (or set TMPDIR to another folder)", err)
	}
	return checked, nil
}

// OpenFile opens a regular file for reading. It fails if another user may replace or
// write to the file, or if its folder does not satisfy the rule.
func OpenFile(path string) (*os.File, error) {
	dir, err := CheckDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	path = filepath.Join(dir, filepath.Base(path))
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s: is a symbolic link", path)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err == nil {
		err = check(&st, path, false)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// maxLinks is how many symbolic links a path may have, as on Linux.
const maxLinks = 40

// walk descends a path folder by folder. It holds each folder open while it checks the
// next, so that what was checked is what is used. missing creates a folder that does
// not exist; if missing is nil, that is an error.
func walk(path string, missing func(fd int, name string, last bool) error) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	at := "/"
	fd, err := openRoot()
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := checkOpen(fd, at, path != "/"); err != nil {
		return "", err
	}
	rest, links := split(path), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		last := len(rest) == 0
		full := filepath.Join(at, name)
		next, err := openDir(fd, name)
		if errors.Is(err, unix.ENOENT) && missing != nil {
			if err := missing(fd, name, last); err != nil {
				return "", &os.PathError{Op: "mkdir", Path: full, Err: err}
			}
			next, err = openDir(fd, name)
		}
		if err != nil {
			target, linkErr := readLink(fd, name, full)
			switch {
			case linkErr != nil:
				return "", linkErr
			case target == "":
				return "", &os.PathError{Op: "open", Path: full, Err: err}
			case last:
				return "", fmt.Errorf("%s: is a symbolic link, so somebody else may choose where it leads: use the folder itself", full)
			}
			if links++; links > maxLinks {
				return "", &os.PathError{Op: "open", Path: full, Err: unix.ELOOP}
			}
			rest = append(split(target), rest...)
			if filepath.IsAbs(target) {
				if next, err = openRoot(); err != nil {
					return "", err
				}
				_ = unix.Close(fd)
				fd, at = next, "/"
			}
			continue
		}
		_ = unix.Close(fd)
		fd, at = next, full
		if err := checkOpen(fd, at, !last); err != nil {
			return "", err
		}
	}
	return path, nil
}

func split(path string) []string {
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

func openRoot() (int, error) {
	fd, err := unix.Open("/", openFlags|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: "/", Err: err}
	}
	return fd, nil
}

func openDir(fd int, name string) (int, error) {
	return unix.Openat(fd, name, openFlags|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// readLink returns the target of a symbolic link, or "" if name is not one.
func readLink(fd int, name, full string) (string, error) {
	var st unix.Stat_t
	if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", nil
	}
	if !trusted(st.Uid) {
		return "", fmt.Errorf("%s: is a symbolic link of %s, who may change where it leads", full, owner(st.Uid))
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, name, target)
	if err != nil || n <= 0 || n >= len(target) {
		return "", &os.PathError{Op: "readlink", Path: full, Err: err}
	}
	return string(target[:n]), nil
}

func checkOpen(fd int, path string, above bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return check(&st, path, above)
}

// check applies the rule to one folder. above is set for a folder above the requested
// one.
func check(st *unix.Stat_t, path string, above bool) error {
	mode := uint32(st.Mode)
	sticky := above && mode&unix.S_ISVTX != 0
	switch {
	case !trusted(st.Uid):
		return fmt.Errorf("%s: belongs to %s and not to this user (uid %d) or root: have it removed, or choose another folder",
			path, owner(st.Uid), os.Geteuid())
	case mode&0o022 != 0 && !sticky:
		return fmt.Errorf("%s: mode %04o lets other users write to it: if nobody else has put anything there, run `chmod go-w %s`, or choose another folder",
			path, mode&0o7777, path)
	}
	return nil
}

func isDir(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// trusted reports whether a user is root or this user.
func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// owner returns how a message names a user.
func owner(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil && u.Username != "" {
		return fmt.Sprintf("user %.64q (uid %s)", u.Username, number)
	}
	return "uid " + number
}

package telemetry

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// logFileMode is that of a log file that is made: its lines name clients and
// models. A file that exists keeps its mode.
const logFileMode = 0o600

// File is a log file that can be opened again by its name, after a program that
// rotates logs has moved it away. Whole calls of Write go to one file or the
// other.
type File struct {
	path string
	// regular is false for a pipe or a device, which nobody rotates.
	regular bool
	mu      sync.Mutex
	file    *os.File
	// next takes the place of file at the next write.
	next atomic.Pointer[os.File]
}

// OpenFile opens a file to append to, and makes it if need be.
func OpenFile(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, logFileMode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &File{path: path, regular: info.Mode().IsRegular(), file: f}, nil
}

// Write appends to the file that was opened last.
func (f *File) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.adopt()
	return f.file.Write(b)
}

// adopt goes on to the file that was opened again. What the one before has not
// taken is not lost: a write ends before it.
func (f *File) adopt() {
	if next := f.next.Swap(nil); next != nil {
		_ = f.file.Close()
		f.file = next
	}
}

// Reopen opens the file by its name again. It fails, and the open file stays,
// if that is not possible. It does not wait for a write. A pipe or a device is
// left alone.
func (f *File) Reopen() (reopened bool, err error) {
	if !f.regular {
		return false, nil
	}
	// Without O_NONBLOCK a pipe that came in its place would be waited for.
	next, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, logFileMode)
	if err != nil {
		return false, err
	}
	if info, err := next.Stat(); err != nil || !info.Mode().IsRegular() {
		return false, errors.Join(fmt.Errorf("%s: not a regular file", f.path), err, next.Close())
	}
	if unused := f.next.Swap(next); unused != nil {
		_ = unused.Close()
	}
	if f.mu.TryLock() {
		f.adopt()
		f.mu.Unlock()
	}
	return true, nil
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.adopt()
	return f.file.Close()
}

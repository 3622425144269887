package telemetry

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// logFileMode is the mode of a new log file: its lines name clients and models. An
// existing file keeps its mode.
const logFileMode = 0o600

// File is a log file that can be reopened by its name after a log rotation has moved
// it away. Each Write goes to exactly one file.
type File struct {
	path string
	// regular is false for a pipe or a device, which is never rotated.
	regular bool
	mu      sync.Mutex
	file    *os.File
	// next replaces file at the next write.
	next atomic.Pointer[os.File]
}

// OpenFile opens a file for appending, and creates it if it does not exist.
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

// adopt switches to the reopened file. No write is lost: each one has ended before the
// switch.
func (f *File) adopt() {
	if next := f.next.Swap(nil); next != nil {
		_ = f.file.Close()
		f.file = next
	}
}

// Reopen opens the file by its name again; the next Write uses it. If that fails, the
// open file stays in use. Reopen does not wait for a running write, and does nothing
// for a pipe or a device.
func (f *File) Reopen() (reopened bool, err error) {
	if !f.regular {
		return false, nil
	}
	// Without O_NONBLOCK, opening a pipe that replaced the file would block.
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

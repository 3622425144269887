//go:build !linux

package envoy

import "syscall"

// sysProcAttr puts Envoy into a process group of its own, so that a terminal's
// Ctrl-C reaches weir alone. A killed weir leaves its Envoy behind here: only
// Linux has a parent-death signal.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

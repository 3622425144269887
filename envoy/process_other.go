//go:build !linux

package envoy

import "syscall"

// sysProcAttr puts Envoy into its own process group, so that Ctrl-C in a terminal
// reaches Weir alone. If Weir is killed, its Envoy keeps running: only Linux has a
// parent-death signal.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

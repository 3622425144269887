package envoy

import "syscall"

// sysProcAttr puts Envoy into a process group of its own, so that a terminal's
// Ctrl-C reaches weir alone, and has the kernel kill Envoy when weir dies
// without being able to: an Envoy that nobody supervises would hold the port.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

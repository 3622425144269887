package envoy

import "syscall"

// sysProcAttr puts Envoy into its own process group, so that Ctrl-C in a terminal
// reaches Weir alone, and makes the kernel kill Envoy when Weir dies: an Envoy without
// a supervisor would keep the port.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

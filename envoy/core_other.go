//go:build !linux

package envoy

import "golang.org/x/sys/unix"

// NoCoreDumps keeps this process and those that it starts from leaving a core
// dump: the memory of both holds provider keys and prompts.
func NoCoreDumps() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	limit.Cur = 0
	return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
}

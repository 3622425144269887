//go:build !linux

package envoy

import "golang.org/x/sys/unix"

// NoCoreDumps prevents core dumps of this process and of the processes that it starts,
// because their memory holds provider keys and prompts.
func NoCoreDumps() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	limit.Cur = 0
	return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
}

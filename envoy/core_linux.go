package envoy

import "golang.org/x/sys/unix"

// NoCoreDumps prevents core dumps of this process and of the processes that it starts,
// because their memory holds provider keys and prompts. It sets only the soft limit, so
// that an operator can raise it for a running process (prlimit(1)).
//
// The limit is 1 byte instead of 0. If core_pattern is a program, such as
// systemd-coredump, Linux runs it even with a limit of 0, but not with a limit of 1
// (fs/coredump.c).
func NoCoreDumps() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	limit.Cur = min(1, limit.Max)
	return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
}

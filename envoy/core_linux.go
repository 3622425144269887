package envoy

import "golang.org/x/sys/unix"

// NoCoreDumps keeps this process and those that it starts from leaving a core
// dump: the memory of both holds provider keys and prompts. Only the soft limit
// is set, so that an operator can lift it for a running process (prlimit(1)).
//
// The limit is one byte, and not none: where core_pattern is a program, such as
// systemd-coredump, Linux asks that program whatever the limit, unless it is
// one (fs/coredump.c).
func NoCoreDumps() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	limit.Cur = min(1, limit.Max)
	return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
}

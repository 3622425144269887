//go:build !linux

package private

import "golang.org/x/sys/unix"

const openFlags = unix.O_RDONLY

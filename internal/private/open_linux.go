package private

import "golang.org/x/sys/unix"

// openFlags open a folder that may be entered but not read, too.
const openFlags = unix.O_PATH

package envoy

import (
	"fmt"
	"syscall"
)

// Share divides the file descriptors of an Envoy: Clients are for connections of
// clients, Providers for connections to providers. The rest is Envoy's own.
type Share struct {
	Clients, Providers int
}

// MostConnections bounds Clients where nobody states it: half a million open
// files are common, and memory for as many connections is not.
const MostConnections = 50000

// What Envoy needs beside connections. It opened 20 descriptors and 7 more for
// each worker at rest, and twice as many listening sockets while a listener was
// replaced. When there are none left, Envoy 1.40 survives a provider's
// connection (503) and a client's (it waits), and crashes on one to weir. The
// descriptors that are kept free here are for connections to weir (log,
// ext_proc, ADS after a restart of weir) and for name resolution.
const (
	ownFiles       = 64
	ownWorkerFiles = 16
)

// Divide shares out openFiles, the limit of an Envoy with that many workers.
// Clients and providers get one half each, because a request over HTTP/1.1
// takes one connection on each side; what more than MostConnections clients
// would take goes to the providers. clients, unless it is 0, is how many
// connections of clients there may be. Divide fails when that does not fit.
func Divide(openFiles, workers, clients int) (Share, error) {
	left := openFiles - ownFiles - ownWorkerFiles*workers
	if left < 32 {
		return Share{}, fmt.Errorf("%d open files are not enough for an Envoy with %d workers: raise the limit (ulimit -n, limits.open_files) to %d or more, or lower envoy.concurrency",
			openFiles, workers, ownFiles+ownWorkerFiles*workers+256)
	}
	if clients == 0 {
		clients = min(left/2, MostConnections)
	}
	// A client connection is useless without a connection to a provider.
	if least := min(clients, 16); left-clients < least {
		return Share{}, fmt.Errorf("limits.max_client_connections: %d connections of clients do not fit into %d open files: lower it to %d or less, or raise the limit of open files (ulimit -n, limits.open_files)",
			clients, openFiles, left-16)
	}
	return Share{Clients: clients, Providers: left - clients}, nil
}

// RaiseOpenFiles raises this process's limit of open files to the highest that
// it may have, for itself and for what it starts, and returns it. The Go runtime
// raises its own limit, too, but starts processes with the old one.
func RaiseOpenFiles() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	raised := limit
	raised.Cur = raised.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err == nil {
		limit = raised
	}
	// On some systems this limit is infinite, and the kernel has another one.
	return int(min(uint64(limit.Cur), 1<<20)), nil
}

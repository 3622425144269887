package envoy

import (
	"fmt"
	"syscall"
)

// Share is a division of an Envoy's file descriptors: Clients are for connections of
// clients, Providers for connections to providers. The rest is for Envoy itself.
type Share struct {
	Clients, Providers int
}

// MostConnections bounds Clients if no number is configured: limits of half a million
// open files are common, memory for as many connections is not.
const MostConnections = 50000

// What Envoy needs besides connections. At rest it opened 20 descriptors and 7 more
// for each worker, and twice as many listening sockets while a listener was replaced.
// When no descriptor is left, Envoy 1.40 survives a failed connection to a provider
// (503) or from a client (it waits), but crashes on one to Weir. The descriptors that
// are kept free here are for connections to Weir (log, ext_proc, ADS after a restart
// of Weir) and for name resolution.
const (
	ownFiles       = 64
	ownWorkerFiles = 16
)

// Divide divides openFiles, the limit of an Envoy with the given number of workers.
// Clients and providers get one half each, because a request over HTTP/1.1 takes one
// connection on each side; what exceeds MostConnections on the clients' side goes to
// the providers. clients, unless it is 0, is the number of client connections to
// allow. Divide fails if that does not fit.
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

// RaiseOpenFiles raises this process's soft limit of open files to the hard limit, for
// itself and for the processes that it starts, and returns it. The Go runtime also
// raises its own limit, but starts processes with the old one.
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
	// On some systems this limit is infinite, and the kernel has a separate one.
	return int(min(uint64(limit.Cur), 1<<20)), nil
}

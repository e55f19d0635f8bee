// Package activation takes over the sockets that the service manager opened for
// this process: systemd's socket activation, by LISTEN_FDS.
//
// Take consumes what the manager passed: the descriptors get an owner, and the
// variables that announced them leave the environment, so a second call finds
// nothing and no child takes them for its own. Every descriptor is examined
// first. One that cannot be served is an error, because a service that quietly
// listens on fewer sockets than configured looks healthy.
//
// Until Take has run, the passed descriptors are inherited by every process that
// is started, and their numbers are safe from reuse only as long as nobody closes
// them. Call it once, early in main, before starting processes.
//
// systemd is the only manager known so far. On other systems Take finds nothing,
// and variables that do announce descriptors to this process are an error that
// wraps [errors.ErrUnsupported].
//
// # Ownership
//
// Take takes the passed descriptors and gives them to its caller, each as the
// File of a [Socket]; closing the File closes the descriptor. Closing a listening
// socket does not stop the manager's copy from listening: new connections wait in
// the kernel and start the service again.
//
// Get at the descriptor with File.SyscallConn and its Control, which borrows it:
// it stays open until the function returns. The File is non-blocking and known to
// Go's poller, so SyscallConn's Read waits for a connection or a datagram, and the
// descriptor may be added to another epoll as well. Do not call the File's Fd:
// what it does to O_NONBLOCK has changed between Go versions, and the flag is
// shared with the manager and with every process that has the socket.
// [net.FileListener] and [net.FilePacketConn] are safe; they duplicate the
// descriptor, so close the File too.
//
// # Errors
//
// Take gives all sockets or none. Its error joins one error for each descriptor
// that is not a socket to be served, so that one start shows all of them. Each says
// which descriptor it is, its name, what it is, and what to change in the unit.
// No caller is expected to tell them apart; the errno of a failed system call can
// be reached with [errors.Is].
package activation

import (
	"net"
	"os"
)

// Socket is one socket that the service manager passed.
type Socket struct {
	Name      string // of the unit's FileDescriptorName=; "unknown" when none was given
	Index     int    // its place: descriptor 3+Index at start
	Kind      Kind
	Addr      net.Addr // *net.TCPAddr, *net.UnixAddr or *net.UDPAddr, never nil; an abstract unix name begins with @
	Listening bool     // listen(2) was called; always false for datagrams
	V6Only    bool     // IPV6_V6ONLY; false for other families
	File      *os.File // owned by who owns the Socket; see Ownership for how to use it
}

// Kind is what a socket carries. Its values are network names of package net.
type Kind string

const (
	TCP      Kind = "tcp" // over IPv4 or IPv6; also Multipath TCP, which accepts plain TCP
	UDP      Kind = "udp"
	Unix     Kind = "unix"     // a unix stream socket
	Unixgram Kind = "unixgram" // a unix datagram socket
)

// Take gives the sockets that the service manager passed, in the order in which it
// passed them; several may have the same name. They are close-on-exec and
// non-blocking. Take returns at once: it waits for nothing.
//
// With no variables, or with variables meant for another process (LISTEN_PID, and
// LISTEN_PIDFDID where the kernel can tell), there are no sockets and no error, and
// no descriptor is touched. LISTEN_PID, LISTEN_PIDFDID, LISTEN_FDS and
// LISTEN_FDNAMES are removed from the environment in every case.
//
// Take gives all or nothing. If any descriptor is not an unconnected, bound TCP,
// UDP, unix stream or unix datagram socket, or if the number of names is not the
// number of descriptors, it closes everything that was passed and returns an error.
// A stream socket that is bound but not listening is given, with Listening false.
// A descriptor in the announced range that this process opened itself is an error
// too, and stays open.
//
// Take is not for concurrent calls, with itself or with changes of the environment.
func Take() ([]Socket, error) {
	names, err := parse(takeVariables(), os.Getpid(), pidfdID)
	if err != nil {
		discard(names)
		return nil, err
	}
	if len(names) == 0 {
		return nil, nil
	}
	return receive(names)
}

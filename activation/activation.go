// Package activation takes over the sockets that the service manager opened for
// this process, and the descriptors that it keeps for it: systemd's socket activation
// and file descriptor store, both by LISTEN_FDS, and launchd's sockets, by name.
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
// A process that keeps descriptors in the manager's store, for the one that comes after
// it, calls TakeWithStored instead. systemd passes them in the same range, after the
// sockets of the units, in any order.
//
// On other systems than Linux the variables are of tools that pass sockets as systemd
// does. On macOS TakeNamed asks launchd; that code was never run on a Mac.
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
// TakeWithStored takes and gives the stored descriptors likewise, each as a File whose
// Name is that of the descriptor in the store; closing the File leaves the manager's
// copy there. Its O_NONBLOCK is as the process before left it: a File that is
// non-blocking is known to Go's poller, and any other is not, so its Read and Write
// hold a thread. A memfd or a pidfd is got at with SyscallConn's Control. The File
// must stay referenced for as long as the descriptor is used, by number too.
//
// # Errors
//
// Take and TakeWithStored give all or nothing. Their error joins one error for each
// descriptor that is neither a socket to be served nor stored, so that one start shows
// all of them. Each says which descriptor it is, its name, what it is, and what to
// change in the unit. No caller is expected to tell them apart; the errno of a failed
// system call can be reached with [errors.Is].
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
	sockets, _, err := TakeWithStored(nil)
	return sockets, err
}

// TakeWithStored is Take for a process that also gets back what it, or one before it,
// put into the manager's file descriptor store. The function says which descriptors
// those are: it is asked once for each, with its name and whether it is servable, that
// is, a socket that Take would give. What it accepts is given as a File, whatever it
// is; all else must be a socket to be served, as for Take. nil accepts nothing.
//
// A unit may happen to name a socket as this process names a memfd. The function should
// therefore accept a name only with the servable that belongs to it; such a socket is
// then served.
//
// The Files are in the order in which the descriptors were passed, and close-on-exec;
// several may have the same name.
//
// An error closes the stored descriptors as well. The manager keeps copies of its own,
// and passes them to the next process; what it does not have ends here.
func TakeWithStored(stored func(name string, servable bool) bool) ([]Socket, []*os.File, error) {
	names, err := parse(takeVariables(), os.Getpid(), pidfdID)
	if err != nil {
		discard(names)
		return nil, nil, err
	}
	if len(names) == 0 {
		return nil, nil, nil
	}
	if stored == nil {
		stored = func(string, bool) bool { return false }
	}
	return receive(names, stored)
}

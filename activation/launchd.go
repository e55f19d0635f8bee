package activation

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/internal/launchd"
)

// TakeNamed gives the sockets that launchd has opened for this process under the given
// names of Sockets in its property list (launchd.plist(5)), in the order of the names. A
// name may have several: one for each address of its SockNodeName. They are close-on-exec
// and non-blocking, and those of streams listen. Index is -1: launchd numbers none.
//
// Of a process that launchd did not start, and where there is no launchd, there are none,
// and that is no error. Nor is it one that a name has none: launchd says the same of
// both (ESRCH), so who needs the name says that it is missing.
//
// TakeNamed gives all or nothing: an error closes what was taken, which launchd gives
// nobody a second time. Ownership is as with Take. It is not for concurrent calls.
func TakeNamed(names ...string) ([]Socket, error) { return takeNamed(names, launchd.Activate) }

// backlog is what listen(2) is told; the kernel has a limit of its own.
const backlog = 4096

func takeNamed(names []string, activate func(name string) ([]int, error)) ([]Socket, error) {
	var all []Socket
	var bad []error
	for _, name := range names {
		fds, err := activate(name)
		if err != nil {
			bad = append(bad, notActivated(name, err))
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			s, err := named(fd, name)
			if err != nil {
				bad = append(bad, fmt.Errorf("activation: a socket that launchd has as %q: %w", name, err))
				unix.Close(fd)
				continue
			}
			all = append(all, s)
		}
	}
	if err := errors.Join(bad...); err != nil {
		for _, s := range all {
			s.File.Close()
		}
		return nil, err
	}
	return all, nil
}

// notActivated is what launch_activate_socket's error says to who wrote the property list.
func notActivated(name string, err error) error {
	switch {
	case errors.Is(err, syscall.ESRCH):
		return nil
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("activation: launchd has no socket %q for this job: name it so in Sockets of its property list, and bootstrap that anew", name)
	case errors.Is(err, syscall.EALREADY):
		return fmt.Errorf("activation: the sockets that launchd has as %q were taken before: it gives them once to a process", name)
	}
	return fmt.Errorf("activation: launchd does not give the sockets that it has as %q: %w", name, err)
}

// named makes a socket of a descriptor, which it owns unless there is an error.
func named(fd int, name string) (Socket, error) {
	s, err := inspect(fd)
	if err != nil {
		return Socket{}, err
	}
	s.Name, s.Index = name, -1
	if s.Kind == TCP || s.Kind == Unix {
		if err := unix.Listen(fd, backlog); err != nil { // one that listens goes on
			return Socket{}, fmt.Errorf("listen: %w", err)
		}
		s.Listening = true
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return Socket{}, fmt.Errorf("set non-blocking: %w", err)
	}
	s.File = os.NewFile(uintptr(fd), name)
	return s, nil
}

// inspect borrows fd and says which socket it is, by what every system tells.
func inspect(fd int) (Socket, error) {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return Socket{}, fmt.Errorf("getsockopt: %w", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return Socket{}, fmt.Errorf("getsockname: %w", err)
	}
	var s Socket
	var ok bool
	if s.Kind, ok = kindByAddress(sa, typ); !ok {
		return Socket{}, fmt.Errorf("is of address %T and type %d: SockFamily is IPv4, IPv6, IPv4v6 or Unix, and SockType stream or dgram", sa, typ)
	}
	if s.Addr = netAddr(sa, s.Kind); s.Addr == nil {
		return Socket{}, errors.New("is bound to no port: give it a SockServiceName")
	}
	if _, err := unix.Getpeername(fd); err == nil {
		return Socket{}, errors.New("is connected: leave SockPassive out")
	}
	s.V6Only, err = v6Only(fd, sa)
	return s, err
}

// kindByAddress is the kind of a socket of that address and type. Of a unix socket of
// neither type, and of an address of another family, there is none.
func kindByAddress(sa unix.Sockaddr, typ int) (Kind, bool) {
	_, unixDomain := sa.(*unix.SockaddrUnix)
	_, four := sa.(*unix.SockaddrInet4)
	_, six := sa.(*unix.SockaddrInet6)
	switch {
	case typ == unix.SOCK_STREAM && unixDomain:
		return Unix, true
	case typ == unix.SOCK_DGRAM && unixDomain:
		return Unixgram, true
	case typ == unix.SOCK_STREAM && (four || six):
		return TCP, true
	case typ == unix.SOCK_DGRAM && (four || six):
		return UDP, true
	}
	return "", false
}

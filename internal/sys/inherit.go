package sys

import (
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Inherit makes a unix stream socket that this process was started with
// close-on-exec and non-blocking. The error tells what else fd is: EBADF, nothing
// open; ENOTSOCK, no socket; EPROTOTYPE, a socket of another kind.
func Inherit(fd int) error {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	if _, ok := sa.(*unix.SockaddrUnix); !ok || typ != unix.SOCK_STREAM {
		return unix.EPROTOTYPE
	}
	unix.CloseOnExec(fd)
	return unix.SetNonblock(fd, true)
}

// Listen makes f, a bound socket, listen; on one that does, it sets the backlog.
// A backlog of 0 is the system's most.
func Listen(f syscall.Conn, backlog int) error {
	if backlog <= 0 {
		backlog = math.MaxInt32 // cut by the kernel to its own limit
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = os.NewSyscallError("listen", unix.Listen(int(fd), backlog)) })
	if cerr != nil {
		return cerr
	}
	return err
}

// CloseOnExecFrom makes every descriptor from first on close-on-exec.
func CloseOnExecFrom(first int) error { return closeOnExecFrom(first) }

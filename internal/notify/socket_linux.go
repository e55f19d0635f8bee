//go:build !portable

package notify

// Linux is where systemd is. The socket is a raw one, because a connected unixgram
// net.UnixConn refuses WriteMsgUnix with descriptors, which are how the manager's
// file descriptor store is filled.

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A socket sends datagrams to one address. It is not connected: each send looks the
// address up again, so a manager that makes its socket anew is found.
type socket struct {
	address string
	file    *os.File
}

// open gives a socket for an address that checkAddress has passed.
func open(address string) (*socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	// The File keeps the descriptor from being closed, and its number from being
	// reused, while it is sent on.
	return &socket{address: address, file: os.NewFile(uintptr(fd), "notify")}, nil
}

// send sends payload, and with it copies of the descriptors fds.
func (s *socket) send(payload []byte, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = raw.Control(func(fd uintptr) {
		to := &unix.SockaddrUnix{Name: s.address} // an @ at its begin means an abstract name
		for {
			sendErr = unix.Sendmsg(int(fd), payload, rights, to, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			if sendErr != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return os.ErrClosed // all it can be, but Control has no name for it (go1.26.8)
	}
	return sendErr
}

func (s *socket) close() error { return s.file.Close() }

// monotonic reads CLOCK_MONOTONIC, which the manager compares with its own reading;
// package time does not show it.
func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("notify: CLOCK_MONOTONIC: " + err.Error()) // every kernel has it
	}
	return time.Duration(ts.Nano())
}

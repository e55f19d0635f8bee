package sys

import "golang.org/x/sys/unix"

// Release closes fd like Close, but a socket never waits: with SO_LINGER, which
// whoever shares the socket may have set, the last close(2) returns only when the
// peer has what was sent, O_NONBLOCK or not (Linux, inet_release). What was sent
// still goes out; only the waiting is off. An abort, SO_LINGER of 0, stays one.
func Release(fd int) {
	// Of the two numbers this reads the first: whether it is on.
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_LINGER); err == nil && on != 0 {
		l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
		if err == nil && l.Linger > 0 {
			unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
		}
	}
	unix.Close(fd)
}

// Unread is how many bytes wait on a stream socket to be read.
func Unread(fd int) int {
	n, err := unix.IoctlGetInt(fd, ioctlUnread)
	if err != nil {
		return 0
	}
	return n
}

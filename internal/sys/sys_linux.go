package sys

// Linux sets close-on-exec and non-blocking in the call that makes a descriptor.

import "golang.org/x/sys/unix"

const recvFlags = unix.MSG_CMSG_CLOEXEC

func socketpair() (a, b int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return p[0], p[1], err
}

func accept(listener int) (int, error) {
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	return fd, err
}

// adopt prepares a received descriptor; MSG_CMSG_CLOEXEC has done the rest.
func adopt(fd int) { unix.SetNonblock(fd, true) }

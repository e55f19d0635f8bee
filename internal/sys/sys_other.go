//go:build !linux

package sys

// Other systems make a descriptor first and set its flags after, so fork is held
// off in between (syscall.ForkLock).

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func recvmsg(fd int, b, oob []byte) (n, oobn, flags int, err error) {
	n, oobn, flags, _, err = unix.Recvmsg(fd, b, oob, 0)
	return n, oobn, flags, err
}

func sendmsg(fd int, b, oob []byte) (int, error) {
	return unix.SendmsgN(fd, b, oob, nil, unix.MSG_NOSIGNAL)
}

func someWait(listener int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}, 0)
	return n > 0 || err != nil
}

func socketpair() (a, b int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, -1, err
	}
	adopt(p[0])
	adopt(p[1])
	return p[0], p[1], nil
}

func accept(listener int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, _, err := unix.Accept(listener)
	if err != nil {
		return -1, err
	}
	adopt(fd)
	return fd, nil
}

func received(fd int) { unix.CloseOnExec(fd) }

// adopt prepares a descriptor that the kernel just made for us.
func adopt(fd int) {
	unix.CloseOnExec(fd)
	unix.SetNonblock(fd, true)
}

const ioctlUnread = 0x4004667f // FIONREAD, the same on every BSD; unix does not name it

func closeOnExecFrom(first int) error { return eachOpen("/dev/fd", first) }

//go:build !linux || portable

package sys

// Other systems make a descriptor first and set its flags after, so fork is held
// off in between (syscall.ForkLock).

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func recvmsg(fd int, b, oob []byte) (n, oobn, flags int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, oobn, flags, _, err = unix.Recvmsg(fd, b, oob, unix.MSG_DONTWAIT)
	if err != nil {
		return 0, 0, 0, err
	}
	var got [MaxRights]int
	for _, fd := range appendRights(got[:0], oob[:oobn]) {
		unix.CloseOnExec(fd)
	}
	return n, oobn, flags, nil
}

func sendmsg(fd int, b, oob []byte) (int, error) {
	return unix.SendmsgN(fd, b, oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
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
	for _, fd := range p {
		adopt(fd)
		// A line of the channel is to fit whole: Darwin gives unix sockets 8 KiB.
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, channelBuffer)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, channelBuffer)
	}
	return p[0], p[1], nil
}

// channelBuffer is what Linux gives without being asked.
const channelBuffer = 208 << 10

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

// adopt prepares a descriptor that the kernel just made for us.
func adopt(fd int) {
	unix.CloseOnExec(fd)
	unix.SetNonblock(fd, true)
}

func closeOnExecFrom(first int) error { return eachOpen("/dev/fd", first) }

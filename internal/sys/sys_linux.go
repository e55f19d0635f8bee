package sys

// Linux sets close-on-exec and non-blocking in the call that makes a descriptor.

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// recvmsg is the system call itself: unix.Recvmsg has room for the sender's address
// on the heap, which a socketpair has no use for, each time.
func recvmsg(fd int, b, oob []byte) (n, oobn, flags int, err error) {
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	msg := unix.Msghdr{Iov: &iov, Control: unsafe.SliceData(oob)}
	msg.SetIovlen(1)
	msg.SetControllen(len(oob))
	r, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_CMSG_CLOEXEC)
	if errno != 0 {
		return 0, 0, 0, errno
	}
	return int(r), int(msg.Controllen), int(msg.Flags), nil
}

func socketpair() (a, b int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return p[0], p[1], err
}

// accept is the system call itself: unix.Accept4 puts the peer's address, which nobody
// asks for, on the heap. It does not wait, so the scheduler need not know of it.
func accept(listener int) (int, error) {
	fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// received prepares a received descriptor: MSG_CMSG_CLOEXEC has done all.
func received(int) {}

const ioctlUnread = unix.SIOCINQ

// closeOnExecFrom needs Linux 5.11; an older one lacks the flag, or the call.
func closeOnExecFrom(first int) error {
	err := unix.CloseRange(uint(first), ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err == unix.ENOSYS || err == unix.EINVAL {
		return eachOpen("/proc/self/fd", first)
	}
	return err
}

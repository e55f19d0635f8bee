//go:build !portable

package sys

// Linux sets close-on-exec and non-blocking in the call that makes a descriptor.

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// What is done to each connection are the system calls themselves, without a word to the
// scheduler: on non-blocking sockets they do not wait. Where it is told, it may give the
// processor to others meanwhile, which wakes a thread for each of them.

// recvmsg has no room for the sender's address, which unix.Recvmsg has on the heap.
func recvmsg(fd int, b, oob []byte) (n, oobn, flags int, err error) {
	iov := vector(b)
	msg := header(&iov, oob)
	r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, 0, 0, errno
	}
	return int(r), int(msg.Controllen), int(msg.Flags), nil
}

func sendmsg(fd int, b, oob []byte) (int, error) {
	iov := vector(b)
	msg := header(&iov, oob)
	n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func vector(b []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return v
}

func header(v *unix.Iovec, oob []byte) unix.Msghdr {
	h := unix.Msghdr{Iov: v, Control: unsafe.SliceData(oob)}
	h.SetIovlen(1)
	h.SetControllen(len(oob))
	return h
}

func socketpair() (a, b int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return p[0], p[1], err
}

func someWait(listener int) bool {
	fds := unix.PollFd{Fd: int32(listener), Events: unix.POLLIN}
	var none unix.Timespec // ppoll(2): it does not wait
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), 1, uintptr(unsafe.Pointer(&none)), 0, 0, 0)
	return n > 0 || errno != 0
}

// accept does not ask for the peer's address, which unix.Accept4 puts on the heap.
func accept(listener int) (int, error) {
	fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// closeOnExecFrom needs Linux 5.11; an older one lacks the flag, or the call.
func closeOnExecFrom(first int) error {
	err := unix.CloseRange(uint(first), ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err == unix.ENOSYS || err == unix.EINVAL {
		return eachOpen("/proc/self/fd", first)
	}
	return err
}

// Package sys is the one place where raw descriptors are touched: sockets that are
// accepted and passed, the poller, and the end of processes.
//
// Each function states the contract; sys_linux.go and sys_other.go supply what
// differs between platforms. With the build tag portable Linux, too, has what is
// otherwise for the other systems, here and in other packages: so it is tested.
// Descriptors are ints; every one that this package
// gives is close-on-exec, and non-blocking where this package has made its open file.
//
// # Ownership
//
// Socketpair, Accept, Dup and Recv give descriptors. Send borrows the ones it passes.
//
// # Errors
//
// Errors are raw errnos, so that callers switch on them without unwrapping; callers add the operation.
package sys

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxRights is the most descriptors one message can carry on Linux (SCM_MAX_FD).
const MaxRights = 253

// Socketpair gives two connected AF_UNIX stream sockets.
func Socketpair() (a, b int, err error) { return socketpair() }

// Waiting reports whether Accept has something to give, be it an error. Accept says so
// too, but the kernel makes the socket, its inode and its file before it looks for the
// connection: EAGAIN costs ten times what this does.
func Waiting(listener int) bool { return someWait(listener) }

// Accept gives the next connection of a listening socket. The error is EAGAIN when none waits.
func Accept(listener int) (int, error) {
	for {
		fd, err := accept(listener)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// Dup gives another descriptor of the same open file, so also with the same O_NONBLOCK.
func Dup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3) }

// DupFile gives another descriptor of f, without clearing O_NONBLOCK as f.Fd does.
func DupFile(f syscall.Conn) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	cerr := raw.Control(func(u uintptr) { fd, err = Dup(int(u)) })
	if cerr != nil {
		return -1, cerr
	}
	return fd, err
}

// Inode is the number of fd's file, which for a socket is the one in /proc (proc(5)).
func Inode(fd int) (uint64, error) {
	var stat unix.Stat_t
	err := unix.Fstat(fd, &stat)
	return stat.Ino, err
}

// Close closes fd. There is nothing a caller could do about an error.
func Close(fd int) { unix.Close(fd) }

// Send writes b and passes fds on its first byte, in one sendmsg. It returns how
// much of b was taken; the descriptors went along when that is more than 0. The error
// is EAGAIN where it would have to wait. On Linux it allocates nothing.
func Send(fd int, b []byte, fds []int) (int, error) {
	if len(fds) == 0 {
		return sendAll(fd, b, nil)
	}
	var buf rightsBuffer
	return sendAll(fd, b, buf.put(fds))
}

func sendAll(fd int, b, oob []byte) (int, error) {
	for {
		n, err := sendmsg(fd, b, oob)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// rightsBuffer holds one SCM_RIGHTS message of up to MaxRights descriptors,
// aligned as the kernel wants it.
type rightsBuffer struct {
	header unix.Cmsghdr
	fds    [MaxRights + 1]int32
}

// put builds the control message for fds.
func (r *rightsBuffer) put(fds []int) []byte {
	r.header.Level, r.header.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
	r.header.SetLen(unix.CmsgLen(4 * len(fds)))
	for i, fd := range fds {
		r.fds[i] = int32(fd)
	}
	return r.bytes()[:unix.CmsgSpace(4*len(fds))]
}

func (r *rightsBuffer) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r))
}

// Recv reads into b and appends the descriptors that came along to fds. n 0 with no
// error is the end of the stream; the error is EAGAIN when nothing has come. truncated
// says that some descriptors were lost on the way in (this process has too many open).
// On Linux it allocates nothing.
func Recv(fd int, b []byte, fds []int) (n int, got []int, truncated bool, err error) {
	var buf rightsBuffer
	var oobn, flags int
	for {
		n, oobn, flags, err = recvmsg(fd, b, buf.bytes())
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, fds, false, err
	}
	if oobn > 0 {
		fds = appendRights(fds, buf.bytes()[:oobn])
	}
	return n, fds, flags&unix.MSG_CTRUNC != 0, nil
}

// appendRights takes the descriptors out of received control messages.
func appendRights(fds []int, oob []byte) []int {
	head := unix.CmsgLen(0)
	for len(oob) >= head {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0])) // a rightsBuffer is aligned, and so is each step below
		size := min(int(h.Len), len(oob))
		if size < head {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_RIGHTS {
			for at := head; at+4 <= size; at += 4 {
				fds = append(fds, int(*(*int32)(unsafe.Pointer(&oob[at]))))
			}
		}
		oob = oob[min(unix.CmsgSpace(size-head), len(oob)):]
	}
	return fds
}

// NewFile wraps a descriptor of this package in an os.File, which takes it.
func NewFile(fd int, name string) *os.File { return os.NewFile(uintptr(fd), name) }

// NewBlockingFile makes the open file of fd a blocking one first. os.NewFile has the
// runtime's poller watch any other, which costs more than all else that is done to a
// connection on its way from a Recv to net.FileConn; that makes it non-blocking again.
func NewBlockingFile(fd int, name string) *os.File {
	unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0) // of these flags a new socket has no other
	return NewFile(fd, name)
}

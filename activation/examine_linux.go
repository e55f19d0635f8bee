//go:build !portable

package activation

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mqueueMagic is the type of the file system of POSIX message queues
// (ipc/mqueue.c), which x/sys does not name.
const mqueueMagic = 0x19800202

// examine borrows fd and says which socket it is; Name, Index and File are left to
// the caller. If fd is nothing we serve, the error says what it is and what to
// change, and reads on from the descriptor's name.
func examine(fd int) (Socket, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Socket{}, fmt.Errorf("fstat: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return Socket{}, notSocket(fd, st.Mode)
	}
	var o options
	domain, typ, protocol := o.get(fd, unix.SO_DOMAIN), o.get(fd, unix.SO_TYPE), o.get(fd, unix.SO_PROTOCOL)
	listening := o.get(fd, unix.SO_ACCEPTCONN) != 0
	if o.err != nil {
		return Socket{}, fmt.Errorf("getsockopt: %w", o.err)
	}
	kind, err := kindOf(domain, typ, protocol)
	if err != nil {
		return Socket{}, err
	}
	s := Socket{Kind: kind, Listening: listening}
	if !listening {
		if err := unconnected(fd, kind); err != nil {
			return Socket{}, err
		}
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return Socket{}, fmt.Errorf("getsockname: %w", err)
	}
	if s.Addr = netAddr(sa, kind); s.Addr == nil {
		return Socket{}, fmt.Errorf("is a %s socket that is bound to no address: pass only sockets of ListenStream= and ListenDatagram= of the socket unit", kind)
	}
	s.V6Only, err = v6Only(fd, sa)
	return s, err
}

// options reads socket options and keeps the first error.
type options struct{ err error }

func (o *options) get(fd, option int) int {
	value, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
	if err != nil && o.err == nil {
		o.err = err
	}
	return value
}

// kindOf names the kind of a socket, or says why it is none of ours.
func kindOf(domain, typ, protocol int) (Kind, error) {
	inet := domain == unix.AF_INET || domain == unix.AF_INET6
	switch {
	case inet && typ == unix.SOCK_STREAM && (protocol == unix.IPPROTO_TCP || protocol == unix.IPPROTO_MPTCP):
		return TCP, nil
	case inet && typ == unix.SOCK_DGRAM && protocol == unix.IPPROTO_UDP:
		return UDP, nil
	case domain == unix.AF_UNIX && typ == unix.SOCK_STREAM:
		return Unix, nil
	case domain == unix.AF_UNIX && typ == unix.SOCK_DGRAM:
		return Unixgram, nil
	case inet && protocol == unix.IPPROTO_SCTP:
		return "", errors.New("is an SCTP socket: remove SocketProtocol=sctp from the socket unit")
	case inet && protocol == unix.IPPROTO_UDPLITE:
		return "", errors.New("is a UDP-Lite socket: remove SocketProtocol=udplite from the socket unit")
	case domain == unix.AF_UNIX && typ == unix.SOCK_SEQPACKET:
		return "", errors.New("is a unix seqpacket socket: use ListenStream= instead of ListenSequentialPacket= in the socket unit")
	case domain == unix.AF_VSOCK:
		return "", errors.New("is a vsock socket: give ListenStream= a port, an address or a path instead of vsock: in the socket unit")
	case domain == unix.AF_NETLINK:
		return "", errors.New("is a netlink socket: remove ListenNetlink= from the socket unit")
	}
	return "", fmt.Errorf("is a socket of address family %d, type %d, protocol %d: pass only sockets of ListenStream= and ListenDatagram= of the socket unit",
		domain, typ, protocol)
}

// unconnected is nil if fd has no peer.
func unconnected(fd int, kind Kind) error {
	_, err := unix.Getpeername(fd)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return nil
	case err != nil:
		return fmt.Errorf("getpeername: %w", err)
	case kind == TCP || kind == Unix:
		return fmt.Errorf("is a connected %s socket: set Accept=no in the socket unit, so that the listening socket is passed; if no unit makes it, stop the service, which empties its file descriptor store", kind)
	}
	return fmt.Errorf("is a connected %s socket: pass the bound one that ListenDatagram= of the socket unit makes", kind)
}

// notSocket says what fd is and where a unit file makes such a thing.
func notSocket(fd int, mode uint32) error {
	is, cure := "is not a socket", "stop the service, which empties its file descriptor store"
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO:
		is, cure = "is a FIFO", "remove ListenFIFO= from the socket unit"
	case unix.S_IFCHR:
		is, cure = "is a character device", "remove ListenSpecial= from the socket unit, or OpenFile= from the service unit"
	case unix.S_IFREG:
		switch {
		case fileSystem(fd) == mqueueMagic:
			is, cure = "is a message queue", "remove ListenMessageQueue= from the socket unit"
		case strings.HasPrefix(link(fd), "/memfd:"):
			is = "is a memfd"
		default:
			is, cure = "is a regular file", "remove ListenSpecial= from the socket unit, or OpenFile= from the service unit"
		}
	case unix.S_IFDIR:
		is, cure = "is a directory", "pass only sockets"
	case unix.S_IFBLK:
		is, cure = "is a block device", "pass only sockets"
	}
	return errors.New(is + target(fd) + ": " + cure)
}

// fileSystem is the type of the file system that fd is on, 0 if it has none.
func fileSystem(fd int) int64 {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return 0
	}
	return int64(fs.Type)
}

// link is what /proc says fd leads to, empty where it does not say.
func link(fd int) string {
	to, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return ""
	}
	return to
}

// target is link for the middle of a sentence.
func target(fd int) string {
	to := link(fd)
	if to == "" {
		return ""
	}
	return " (" + to + ")"
}

// pidfdID returns the inode number of a pidfd of this process, which is its id for
// as long as the machine runs. It cannot be obtained where all pidfds share one
// inode (before Linux 6.9), nor where inode numbers are cut to 32 bits.
func pidfdID() (uint64, bool) {
	if strconv.IntSize < 64 {
		return 0, false
	}
	fd, err := unix.PidfdOpen(os.Getpid(), 0) // close-on-exec by itself
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || int64(fs.Type) != unix.PID_FS_MAGIC {
		return 0, false
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, false
	}
	return st.Ino, true
}

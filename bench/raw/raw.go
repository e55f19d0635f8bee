// Package raw says what the system calls of a handoff cost by themselves: no worker is
// waited for, nothing is parsed or decided.
package raw

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// turn is how many connections go together: fewer than a socketpair holds.
const turn = 128

// Handoffs makes at least n handoffs and gives the processor time of the master's system
// calls for one: accept4, sendmsg with the descriptor, recvmsg of the answer, and close
// of the copy. It does each of them for many connections in a row, so that the clock is
// read rarely. What clients and workers do in between is not counted.
//
// With last, the worker has closed the connection before: then the master's close is the
// one that ends it, with all that TCP does for that.
func Handoffs(n int, last bool) (time.Duration, error) {
	runtime.LockOSThread() // the clock is the thread's
	defer runtime.UnlockOSThread()
	b, err := newBed()
	if err != nil {
		return 0, err
	}
	defer b.close()
	var sum time.Duration
	turns := (n + turn - 1) / turn
	for range turns {
		took, err := b.turn(last)
		if err != nil {
			return 0, err
		}
		sum += took
	}
	return sum / time.Duration(turns*turn), nil
}

// message is as long as a worker's message for one connection, and so is answer.
var (
	message = []byte(`{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"seq":123456,"act":"newconn","key":"127.0.0.1:8080:4:-1:0"}}` + "\n")
	answer  = []byte(`{"ack":123456,"accepted":true,"cmd":"NODE_CLUSTER"}` + "\n")
)

// bed is a listener, and the channel of a worker.
type bed struct {
	listener       int
	address        unix.Sockaddr
	master, worker int
	in             []byte
}

func newBed() (b *bed, err error) {
	b = &bed{listener: -1, master: -1, worker: -1, in: make([]byte, 4096)}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(b.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(b.listener, turn); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if b.address, err = unix.Getsockname(b.listener); err != nil {
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	b.master, b.worker = pair[0], pair[1]
	return b, nil
}

func (b *bed) close() {
	for _, fd := range []int{b.listener, b.master, b.worker} {
		unix.Close(fd)
	}
}

// turn hands over as many connections as go together.
func (b *bed) turn(last bool) (time.Duration, error) {
	var ours, theirs, clients [turn]int
	for i := range clients {
		ours[i], theirs[i], clients[i] = -1, -1, -1
	}
	defer func() {
		for i := range clients {
			for _, fd := range []int{ours[i], theirs[i], clients[i]} {
				unix.Close(fd) // -1 where there is none
			}
		}
	}()
	var sum time.Duration
	for _, step := range []struct {
		name string
		ours bool
		of   func(i int) error
	}{
		{name: "connect", of: func(i int) (err error) { clients[i], err = b.connect(); return err }},
		{name: "accept4", ours: true, of: func(i int) (err error) { ours[i], err = b.accept(); return err }},
		{name: "sendmsg", ours: true, of: func(i int) error { return b.send(ours[i]) }},
		{name: "a worker's recvmsg", of: func(i int) (err error) { theirs[i], err = b.take(); return err }},
		{name: "a worker's answer", of: func(int) error { _, err := unix.Write(b.worker, answer); return err }},
		{name: "a worker's close", of: func(i int) error {
			if !last {
				return nil
			}
			return closeRaw(&theirs[i])
		}},
		{name: "recvmsg", ours: true, of: func(int) error { return b.receive() }},
		{name: "close", ours: true, of: func(i int) error { return closeRaw(&ours[i]) }},
	} {
		before := threadTime()
		for i := range turn {
			if err := step.of(i); err != nil {
				return 0, fmt.Errorf("%s: %w", step.name, err)
			}
		}
		if step.ours {
			sum += threadTime() - before
		}
	}
	return sum, nil
}

func threadTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		panic(err) // there is no thread without one
	}
	return time.Duration(now.Nano())
}

func (b *bed) connect() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, unix.Connect(fd, b.address)
}

// accept is accept4 without the peer's address.
func (b *bed) accept() (int, error) {
	fd, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(b.listener), 0, 0, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// rights is the control message of one descriptor.
type rights struct {
	header unix.Cmsghdr
	fd     int32
	_      int32
}

func (b *bed) send(fd int) error {
	control := rights{fd: int32(fd)}
	control.header.Level, control.header.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
	control.header.SetLen(unix.CmsgLen(4))
	return b.message(unix.SYS_SENDMSG, message, unsafe.Pointer(&control), unix.CmsgSpace(4))
}

// receive reads one answer and no more.
func (b *bed) receive() error {
	return b.message(unix.SYS_RECVMSG, b.in[:len(answer)], nil, 0)
}

// message is sendmsg or recvmsg on the master's end.
func (b *bed) message(call uintptr, text []byte, control unsafe.Pointer, size int) error {
	iov := unix.Iovec{Base: &text[0]}
	iov.SetLen(len(text))
	header := unix.Msghdr{Iov: &iov, Control: (*byte)(control)}
	header.SetIovlen(1)
	header.SetControllen(size)
	n, _, errno := syscall.RawSyscall(call, uintptr(b.master), uintptr(unsafe.Pointer(&header)), 0)
	if errno != 0 {
		return errno
	}
	if int(n) != len(text) {
		return fmt.Errorf("%d bytes of %d", n, len(text))
	}
	return nil
}

func closeRaw(fd *int) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_CLOSE, uintptr(*fd), 0, 0)
	*fd = -1
	if errno != 0 {
		return errno
	}
	return nil
}

// take receives a descriptor as a worker does.
func (b *bed) take() (int, error) {
	control := make([]byte, unix.CmsgSpace(4))
	n, m, _, _, err := unix.Recvmsg(b.worker, b.in[:len(message)], control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if n != len(message) {
		return -1, fmt.Errorf("%d bytes of %d", n, len(message))
	}
	messages, err := unix.ParseSocketControlMessage(control[:m])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("%d control messages: %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("%d descriptors: %v", len(fds), err)
	}
	return fds[0], nil
}

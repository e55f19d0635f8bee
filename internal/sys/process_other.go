//go:build !linux || portable

package sys

// Elsewhere a goroutine waits for each child, without collecting it, and closes one end
// of a socketpair when it has ended. Until it is collected nobody else gets its number.

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Process is a child. Its methods belong to one goroutine.
type Process struct {
	PID    int
	ExitFD int // becomes readable when the process has ended; watch it, do not read it
	told   chan struct{}
}

func start(c Command) (*Process, error) {
	in, out, err := Socketpair()
	if err != nil {
		return nil, err
	}
	pid, _, err := syscall.StartProcess(c.Path, c.Args, c.attr())
	if err != nil {
		Close(in)
		Close(out)
		return nil, err
	}
	return &Process{pid, in, tellEnd(pid, out)}, nil
}

// tellEnd closes out, which it takes, and then told, when the child has ended, or is none.
func tellEnd(pid, out int) (told chan struct{}) {
	told = make(chan struct{})
	go func() { // ends with the child
		waitid(pid, unix.WEXITED|unix.WNOWAIT)
		Close(out)
		close(told)
	}()
	return told
}

// adoptProcess makes a new ExitFD: the one who would have closed the other end of the
// old one has ended.
func adoptProcess(exitFD, pid int) (*Process, error) {
	if pid <= 0 || exitFD < 0 {
		return nil, unix.EINVAL
	}
	in, out, err := Socketpair()
	if err != nil {
		return nil, err
	}
	Close(exitFD)
	p := &Process{pid, in, tellEnd(pid, out)}
	if waitid(pid, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG) != nil {
		p.PID = 0
	}
	return p, nil
}

// waitid is waitid(2) of one child, which x/sys has for Linux alone; package os calls it
// so on Darwin. What it tells of the end is not looked at; the room for that is enough
// for every system.
func waitid(pid, options int) error {
	const onePID = 1 // P_PID
	var info [16]uint64
	return again(func() error {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, onePID, uintptr(pid), uintptr(unsafe.Pointer(&info)), uintptr(options), 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}

func (p *Process) signal(sig syscall.Signal) error {
	if p.PID <= 0 {
		return unix.ESRCH
	}
	return unix.Kill(p.PID, sig)
}

func (p *Process) reap() (syscall.WaitStatus, error) {
	defer Close(p.ExitFD)
	<-p.told
	if p.PID <= 0 {
		return 0, unix.ECHILD
	}
	var ws syscall.WaitStatus
	err := again(func() error {
		_, err := syscall.Wait4(p.PID, &ws, 0, nil)
		return err
	})
	return ws, err
}

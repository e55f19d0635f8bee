//go:build !linux

package sys

// Elsewhere a goroutine waits for each child and closes one end of a socketpair
// when it has ended. It ends with the child.

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Process is a child. Its methods belong to one goroutine.
type Process struct {
	PID    int
	ExitFD int // becomes readable when the process has ended; watch it, do not read it
	status chan syscall.WaitStatus
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
	p := &Process{PID: pid, ExitFD: in, status: make(chan syscall.WaitStatus, 1)}
	go func() {
		var ws syscall.WaitStatus
		for {
			if _, err := syscall.Wait4(pid, &ws, 0, nil); err != unix.EINTR {
				break
			}
		}
		p.status <- ws
		Close(out)
	}()
	return p, nil
}

func adoptProcess(int) (*Process, error) { return nil, errors.ErrUnsupported }

func (p *Process) signal(sig syscall.Signal) error { return unix.Kill(p.PID, sig) }

func (p *Process) reap() (syscall.WaitStatus, error) {
	Close(p.ExitFD)
	return <-p.status, nil
}

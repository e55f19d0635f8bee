//go:build !portable

package sys

// Linux: a pidfd tells of the end, names the process beyond doubt, and is no
// signal that could be missed.

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Process is a child. Its methods belong to one goroutine.
type Process struct {
	PID    int
	ExitFD int // becomes readable when the process has ended; watch it, do not read it
}

func start(c Command) (*Process, error) {
	attr := c.attr()
	pidfd := -1
	attr.Sys.PidFD = &pidfd
	pid, _, err := syscall.StartProcess(c.Path, c.Args, attr)
	if err != nil {
		return nil, err
	}
	return &Process{PID: pid, ExitFD: pidfd}, nil
}

func (p *Process) signal(sig syscall.Signal) error {
	return unix.PidfdSendSignal(p.ExitFD, sig, nil, 0)
}

// adoptProcess reads from /proc whose descriptor it is (proc(5), fdinfo).
func adoptProcess(pidfd, _ int) (*Process, error) {
	if pidfd < 0 {
		return nil, unix.EBADF
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		value, ok := bytes.CutPrefix(line, []byte("Pid:"))
		if !ok {
			continue
		}
		pid, err := strconv.Atoi(string(bytes.TrimSpace(value)))
		if err != nil {
			return nil, err
		}
		unix.CloseOnExec(pidfd)
		return &Process{PID: max(pid, 0), ExitFD: pidfd}, nil
	}
	return nil, unix.EINVAL
}

// reap asks by the pidfd first: the number of a process that was adopted may be unknown,
// or another child's by now, and waiting for that would hang.
func (p *Process) reap() (syscall.WaitStatus, error) {
	defer unix.Close(p.ExitFD)
	var ws syscall.WaitStatus
	err := again(func() error { return unix.Waitid(unix.P_PIDFD, p.ExitFD, nil, unix.WEXITED|unix.WNOWAIT, nil) })
	if err == nil {
		err = again(func() error {
			_, err := syscall.Wait4(p.PID, &ws, 0, nil)
			return err
		})
	}
	return ws, err
}

package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is one process to start.
type Command struct {
	Path  string   // of the executable
	Args  []string // argv, with argv[0]
	Env   []string
	Dir   string
	Files []int // become descriptors 0, 1, 2, ...; borrowed
}

// Start starts a child in a process group of its own: a Ctrl-C at the terminal is
// for the master alone, and the group can be killed with it.
func Start(c Command) (*Process, error) { return start(c) }

func (c *Command) attr() *syscall.ProcAttr {
	files := make([]uintptr, len(c.Files))
	for i, fd := range c.Files {
		files[i] = uintptr(fd)
	}
	return &syscall.ProcAttr{Dir: c.Dir, Env: c.Env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}}
}

// Signal sends sig to the process; ESRCH when it has ended.
func (p *Process) Signal(sig syscall.Signal) error { return p.signal(sig) }

// KillGroup sends SIGKILL to the process and all it left in its group. Where its PID is
// not known, that is nobody.
//
// The number of a group is nobody else's while anybody is left in it. Of one that was
// adopted it may be later: only call it when ExitFD has just become readable.
func (p *Process) KillGroup() error {
	if p.PID <= 0 { // 0 would be our own group
		return unix.ESRCH
	}
	return unix.Kill(-p.PID, unix.SIGKILL)
}

// AdoptProcess gives a process of which exitFD was the ExitFD, which it takes when there
// is no error: the child of another process that has ended, or of the program whose place
// this one took by exec(2). pid, 0 where it is not known, counts where the descriptor does
// not tell; there it must be a child. The PID is 0 when it has ended, and was collected.
// Reap gives the status of a child, and ECHILD for any other.
func AdoptProcess(exitFD, pid int) (*Process, error) { return adoptProcess(exitFD, pid) }

// Free frees the Process, and leaves the process itself alone.
func (p *Process) Free() { Close(p.ExitFD) }

// Reap collects the exit status, once ExitFD is readable, and frees the Process.
func (p *Process) Reap() (syscall.WaitStatus, error) { return p.reap() }

// again calls f until no signal interrupts it.
func again(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

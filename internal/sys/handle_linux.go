//go:build !portable

package sys

// Linux has pidfd_open(2).

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Handle means one process for good: its pid may be used again once it is reaped,
// and the Handle is then still of the one that ended. Its methods belong to one
// goroutine.
type Handle struct {
	file *os.File // readable once the process has ended
}

func openHandle(pid int) (*Handle, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK) // close-on-exec as every pidfd
	if err != nil {
		return nil, err
	}
	return &Handle{os.NewFile(uintptr(fd), "pidfd")}, nil
}

func (h *Handle) signal(sig syscall.Signal) error {
	raw, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if cerr != nil {
		return cerr
	}
	return err
}

// wait has the runtime's poller watch, so that a wait takes no thread and ctx can end
// it. There is nothing to read.
func (h *Handle) wait(ctx context.Context) error {
	raw, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	done := false // which is asked first, as a ctx that has ended lets nobody wait
	if err := raw.Control(func(fd uintptr) { done = over(int(fd)) }); done || err != nil {
		return err
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		h.file.SetReadDeadline(time.Unix(1, 0))
		close(woken)
	})
	err = raw.Read(func(fd uintptr) bool { return over(int(fd)) })
	if !stop() {
		<-woken
		h.file.SetReadDeadline(time.Time{}) // for the next wait
	}
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

func over(pidfd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
		if err != unix.EINTR {
			return n == 1
		}
	}
}

func (h *Handle) close() { h.file.Close() }

package sys

import (
	"context"
	"syscall"
)

// OpenHandle gives a Handle of the process with this pid, whoever's child it is. The
// error is ESRCH when there is none, and wraps errors.ErrUnsupported where the system
// has no such thing. The caller closes it.
func OpenHandle(pid int) (*Handle, error) { return openHandle(pid) }

// Signal sends sig to the process; ESRCH when it has ended.
func (h *Handle) Signal(sig syscall.Signal) error { return h.signal(sig) }

// Wait returns nil once the process has ended, whether or not its parent has reaped
// it. If ctx ends first it returns ctx's cause.
func (h *Handle) Wait(ctx context.Context) error { return h.wait(ctx) }

// Ended tells whether the process has ended.
func (h *Handle) Ended() bool {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return h.Wait(now) == nil
}

// Close frees the Handle. Nothing may use it after.
func (h *Handle) Close() { h.close() }

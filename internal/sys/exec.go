package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// KeepOnExec has fd stay open in the program that takes the place of this one.
func KeepOnExec(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	return err
}

// CloseOnExec undoes KeepOnExec.
func CloseOnExec(fd int) { unix.CloseOnExec(fd) }

// BlockSignals has signals wait, for this thread, which the caller has locked, and
// for the program that takes the place of this one by exec(2) on this thread; until
// restore. A Go program takes them once it asks for them (os/signal), and has those of
// its own children that Start starts not wait.
func BlockSignals(signals ...syscall.Signal) (restore func(), err error) {
	return blockSignals(signals)
}

package sys

import "golang.org/x/sys/unix"

// KeepOnExec has fd stay open in the program that takes the place of this one.
func KeepOnExec(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	return err
}

// CloseOnExec undoes KeepOnExec.
func CloseOnExec(fd int) { unix.CloseOnExec(fd) }

//go:build !portable

package sys

import "golang.org/x/sys/unix"

func batch() (restore func(), err error) {
	restore = func() {}
	had, err := unix.SchedGetAttr(0, 0)
	if err != nil || had.Policy != unix.SCHED_NORMAL {
		return restore, err
	}
	attr := *had
	attr.Policy = unix.SCHED_BATCH
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return restore, err
	}
	return func() { unix.SchedSetAttr(0, had, 0) }, nil
}

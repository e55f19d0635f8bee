package sys

// Linux: the mask is a thread's, and inherited through exec(2).

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func blockSignals(signals []syscall.Signal) (func(), error) {
	var old unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, sigset(signals), &old); err != nil {
		return nil, err
	}
	return func() { unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) }, nil
}

func sigset(signals []syscall.Signal) *unix.Sigset_t {
	var set unix.Sigset_t
	const bits = uint(8 * unsafe.Sizeof(set.Val[0]))
	for _, s := range signals {
		n := uint(s) - 1
		set.Val[n/bits] |= 1 << (n % bits)
	}
	return &set
}

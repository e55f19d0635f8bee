package proc

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Apart divides the processors that this process may use: one half for what is
// measured, the other for what puts load on it.
func Apart() (measured, load unix.CPUSet, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return measured, load, os.NewSyscallError("sched_getaffinity", err)
	}
	n := all.Count()
	if n < 2 {
		return measured, load, errors.New("one processor cannot be divided between the load and what is measured")
	}
	for cpu, seen := 0, 0; seen < n; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		if seen < n/2 {
			measured.Set(cpu)
		} else {
			load.Set(cpu)
		}
		seen++
	}
	return measured, load, nil
}

// On calls f on the processors of cpus, where also the processes stay that f starts.
// Other goroutines that f starts may run anywhere.
func On(cpus unix.CPUSet, f func() error) (err error) {
	runtime.LockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	err = f()
	if back := unix.SchedSetaffinity(0, &before); back != nil {
		return errors.Join(err, os.NewSyscallError("sched_setaffinity", back)) // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

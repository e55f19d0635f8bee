package side

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A Policy is a scheduler class.
type Policy string

const (
	AsIs  Policy = ""
	Batch Policy = "SCHED_BATCH"
	Other Policy = "SCHED_OTHER"
)

// set gives a process that runs the policy, in all its threads. Its children have their
// own already.
func (p Policy) set(pid int) error {
	if p == AsIs {
		return nil
	}
	number := uint32(unix.SCHED_NORMAL)
	if p == Batch {
		number = unix.SCHED_BATCH
	}
	seen := map[int]bool{}
	for more := true; more; { // a thread that was not seen may have started another
		more = false
		dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			id, err := strconv.Atoi(filepath.Base(dir))
			if err != nil || seen[id] {
				continue
			}
			seen[id], more = true, true
			err = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: number}, 0)
			if err != nil && err != unix.ESRCH {
				return os.NewSyscallError("sched_setattr", err)
			}
		}
	}
	return nil
}

// Package cgroup finds what an earlier run of a service left in its control group,
// and kills it.
//
// A service whose workers outlive its master (KillMode=process) has to tidy up
// itself: systemd then ends nothing but the main process. What is in the control
// group of this process and has nothing to do with this run, nor with the processes
// that the caller keeps, is a leftover. That is only so in a service: the control
// group of a terminal's session holds the person's other programs, and that of a
// container may hold everything. Unit says whether this is a service, and the caller
// asks it first.
//
// # Ownership
//
// Nothing stays open. A Process is a value; by its pid and the time when it began it
// means one process also after that has ended. Of one that cannot be seen only the pid
// is known.
//
// # Errors
//
// Errors are for people. Where there are no control groups of version 2 they wrap
// errors.ErrUnsupported.
package cgroup

import (
	"context"
	"fmt"
	"strings"
)

// A Process is one of a control group.
type Process struct {
	PID  int
	Comm string // its name, as the kernel has it; empty where this process may not see it

	//lint:ignore U1000 other systems have no such groups
	began uint64 // clock ticks after boot; 0 with no Comm
}

func (p Process) String() string {
	if p.Comm == "" {
		return fmt.Sprintf("process %d", p.PID)
	}
	return fmt.Sprintf("%s (%d)", p.Comm, p.PID)
}

// List names processes for people, the first ten of them.
func List(list []Process) string {
	const most = 10
	var names []string
	for _, p := range list[:min(len(list), most)] {
		names = append(names, p.String())
	}
	text := strings.Join(names, ", ")
	if n := len(list) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// Unit is the service whose control group this process is in, like app.service; empty
// unless systemd started this very process for it. The main process of a service and
// its ExecStop= and ExecStopPost= commands are such; what they started, even if it
// inherited their environment, is not, nor is what a person started.
func Unit() string { return unit() }

// Leftovers gives the processes of this process's control group, and of groups below
// it, that are of an earlier run. It does not give
//
//   - this process, its process group, what it started, its ancestors in the group, and
//     what those started;
//   - a process of keep, what it started, its process group, and whatever has its
//     RONDO_WORKER_ID, which says whose it is when its parents have ended.
//
// Under PrivateUsers= and ProtectProc= a run does not see the processes of an earlier
// one. Which of those belong to one of keep is not known, beyond its process group:
// only those are given then that are of a process group of lost, which are the pids of
// what the earlier run is known to have started besides; or all, if keep is empty.
//
// It fails in the root of all groups, which is no service's.
func Leftovers(keep, lost []int) ([]Process, error) { return leftovers(keep, lost) }

// Strangers is Leftovers for a service that this process is none of, whose control
// group is at path, as systemd has it: all but keep and what belongs to those.
func Strangers(path string, keep []int) ([]Process, error) { return strangers(path, keep) }

// Kill sends SIGKILL to processes that Leftovers gave, and returns when all have
// ended. One that has ended since then, or left the control group, is none of them,
// also if its pid is used again. If ctx ends first the error names those that live.
func Kill(ctx context.Context, list []Process) error { return kill(ctx, list) }

// KillIn is Kill for what Strangers gave of the control group at path.
func KillIn(ctx context.Context, path string, list []Process) error { return killIn(ctx, path, list) }

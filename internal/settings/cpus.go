package settings

import "runtime"

// autoWorkers is one worker a processor that this process may use.
func autoWorkers() int { return min(Processors(), MaxWorkers) }

// Processors is how many this process may use: as many as its affinity has, and as its
// cgroup's CPU quota pays for, rounded up.
//
// GOMAXPROCS is near that but not it: it honours its own variable, which is
// meant for Go workers, and never goes below 2 for a quota of one processor.
func Processors() int {
	n := runtime.NumCPU() // the affinity at start
	if quota, limited := cpuQuota(); limited {
		n = min(n, quota)
	}
	return max(1, n)
}

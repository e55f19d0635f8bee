//go:build !linux || portable

package settings

// Only Linux has a CPU quota for a group of processes.

func cpuQuota() (processors int, limited bool) { return 0, false }

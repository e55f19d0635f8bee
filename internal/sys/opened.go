package sys

// Opened names, by process, the sockets on which each of pids listens, or receives what
// anybody sends by UDP, but for those whose inodes are known. A process that may not be
// looked at is not in the map, nor is any where the system does not tell.
func Opened(pids []int, known map[uint64]bool) map[int][]string { return opened(pids, known) }

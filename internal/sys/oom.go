package sys

// OOMFile gives the file in which the system counts the processes that it killed for
// want of memory, of those that share a limit of memory with this one and of those
// below them. It is "" where the system does not tell.
func OOMFile() string { return oomFile() }

// OOMKills reads the count in a file that OOMFile gave. It does not wait.
func OOMKills(file string) (n int, ok bool) { return oomKills(file) }

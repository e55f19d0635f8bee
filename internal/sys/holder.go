package sys

// PortHolder names the process that listens on a TCP port, for people; empty when
// the system does not tell.
func PortHolder(port int) string {
	_, who := portHolder(port)
	return who
}

// PortHolderPID is the process that listens on a TCP port; 0 when the system does
// not tell.
func PortHolderPID(port int) int {
	pid, _ := portHolder(port)
	return pid
}

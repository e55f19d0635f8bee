package sys

// PortHolder names the process that has a port of network, "tcp" or "udp", for people;
// empty when the system does not tell. Of TCP it is the one that listens.
func PortHolder(network string, port int) string {
	_, who := portHolder(network, port)
	return who
}

// PortHolderPID is its process id; 0 when the system does not tell.
func PortHolderPID(network string, port int) int {
	pid, _ := portHolder(network, port)
	return pid
}

package sys

// PortHolder names the process that listens on a TCP port, for people; empty when
// the system does not tell.
func PortHolder(port int) string { return portHolder(port) }

// Package activation takes over listening sockets that the service manager
// opened for this process: systemd, by LISTEN_FDS.
package activation

import (
	"net"
	"os"
)

// Socket is one socket that the service manager passed.
type Socket struct {
	Name      string // of the unit's FileDescriptorName=; "unknown" when none was given
	Index     int    // its place: descriptor 3+Index at start
	Kind      Kind
	Addr      net.Addr // *net.TCPAddr, *net.UnixAddr or *net.UDPAddr
	Listening bool     // listen(2) was called; always false for datagrams
	V6Only    bool     // IPV6_V6ONLY; false for other families
	File      *os.File // close-on-exec and non-blocking; never call its Fd
}

// Kind is what a socket carries.
type Kind string

const (
	TCP      Kind = "tcp"
	UDP      Kind = "udp"
	Unix     Kind = "unix"
	Unixgram Kind = "unixgram"
)

package activation

import (
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// netAddr is a socket's address as package net has it; nil if the socket is bound to none.
func netAddr(sa unix.Sockaddr, kind Kind) net.Addr {
	var ip net.IP
	var port int
	var zone string
	switch sa := sa.(type) {
	case *unix.SockaddrUnix:
		// x/sys turns the leading NUL of an abstract name into @, and reads one in
		// the address of an unbound socket as well.
		if sa.Name == "" || sa.Name == "@" {
			return nil
		}
		return &net.UnixAddr{Name: sa.Name, Net: string(kind)}
	case *unix.SockaddrInet4:
		ip, port = net.IP(sa.Addr[:]), sa.Port
	case *unix.SockaddrInet6:
		ip, port, zone = net.IP(sa.Addr[:]), sa.Port, zoneName(sa.ZoneId)
	}
	switch {
	case port == 0:
		return nil
	case kind == UDP:
		return &net.UDPAddr{IP: ip, Port: port, Zone: zone}
	}
	return &net.TCPAddr{IP: ip, Port: port, Zone: zone}
}

// zoneName is how package net writes the scope of a link-local address.
func zoneName(index uint32) string {
	if index == 0 {
		return ""
	}
	if ifi, err := net.InterfaceByIndex(int(index)); err == nil {
		return ifi.Name
	}
	return strconv.FormatUint(uint64(index), 10)
}

// v6Only tells whether a socket with that address leaves IPv4 to others.
func v6Only(fd int, sa unix.Sockaddr) (bool, error) {
	if _, ok := sa.(*unix.SockaddrInet6); !ok {
		return false, nil
	}
	value, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	if err != nil {
		return false, fmt.Errorf("getsockopt IPV6_V6ONLY: %w", err)
	}
	return value != 0, nil
}

package sys

import "net/netip"

// Listening are the addresses on which TCP and unix sockets listen in this network
// namespace; nil when the system does not tell.
func Listening() *Addresses { return listening() }

// Addresses are what [Listening] has found.
type Addresses struct {
	tcp  map[netip.AddrPort]bool
	unix map[string]bool
}

// TCP says whether a socket listens on just that address.
func (a *Addresses) TCP(at netip.AddrPort) bool { return a.tcp[plain(at)] }

// Unix says whether a socket listens on that path; one that begins with @ is abstract.
func (a *Addresses) Unix(path string) bool { return a.unix[path] }

// plain is at as the tables have it.
func plain(at netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

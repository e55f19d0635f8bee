// Package settings holds what an operator can set: one type, filled from flags,
// the environment and NAME.toml, in that order of precedence.
//
// Resolve gives every field its value or an error that names the field, where
// it was set, and what would be right.
package settings

import (
	"net/netip"
	"time"
)

// Settings are the resolved settings of one rondo.
type Settings struct {
	Name         string        // of the service; names the control socket and the units
	Command      []string      // the worker's program and arguments; resolved to an executable by the master
	Directory    string        // where the workers run; empty means the current one
	Workers      int           // how many; Resolve replaces 0 (auto) by what affinity and cgroup quota allow
	Listen       []Listen      // what to bind, or how passed sockets map
	Bind         bool          // bind what workers ask for also when the init system passed sockets
	Ready        ReadyRule     // when a worker counts as ready
	WaitReady    bool          // a worker is ready when it also sent the message "ready"
	StartTimeout time.Duration // from start to ready
	DrainTimeout time.Duration // from disconnect to SIGTERM
	KillTimeout  time.Duration // from SIGTERM to SIGKILL
	AckTimeout   time.Duration // unanswered for so long, a worker gets nothing new until it answers
	Window       int           // connections sent to one worker and unanswered, at most
	Surge        int           // slots replaced at a time
	MaxDraining  int           // workers of replaced generations at a time; Resolve replaces 0 by Workers
	BackoffMin   time.Duration // before the first restart of a worker that died
	BackoffMax   time.Duration // the longest such wait
	MaxMessage   int           // bytes of one line from a worker; a longer one is dropped and logged
}

// ReadyRule says when a worker is ready.
type ReadyRule string

const (
	ReadyPredecessor ReadyRule = "predecessor" // it listens on all that its predecessor in the slot served
	ReadyFirst       ReadyRule = "first"       // it listens on anything
)

// A Kind is the kind of address a Listen or a Want names.
type Kind string

const (
	KindTCP  Kind = "tcp"
	KindUDP  Kind = "udp"
	KindUnix Kind = "unix"
	KindFD   Kind = "fd" // a passed socket, by its name
)

// Listen is one LISTEN of the command line, or one [[listen]] table:
//
//	LISTEN = [NAME "@"] SOCKET ["=" WANT]
//	SOCKET = PORT | IP:PORT | [IP6]:PORT | udp:ADDR | unix:/PATH | fd:NAME
//	WANT   = PORT | IP:PORT | /PATH
type Listen struct {
	Name string     // empty when not given
	Kind Kind       // of SOCKET
	IP   netip.Addr // of SOCKET; the zero Addr means any address
	Port uint16     // of SOCKET
	Path string     // of SOCKET, for KindUnix
	FD   string     // the name in SOCKET, for KindFD
	Want *Want      // what the worker asks for; nil means the same address
}

// Want is the address a worker asks for and is served from another socket.
type Want struct {
	IP   netip.Addr // the zero Addr means any address
	Port uint16     // 0 when Path is set
	Path string
}

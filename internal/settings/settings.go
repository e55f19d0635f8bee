// Package settings holds what an operator can set: one type, filled from flags,
// the environment and NAME.toml, in that order of precedence.
//
// Each setting is a Key: the same name is the flag, the TOML key and, in
// capitals behind RONDO_, the variable. Sources.Load reads them all; Resolve
// gives every field its value. An error names the key, where it was set (file
// and line, variable) and what would be right, in one line.
//
// # Ownership
//
// Settings are plain values. Load and Resolve open files only to read them, and
// leave nothing open.
//
// # Errors
//
// All are for people: nothing in the program acts on which one it was.
package settings

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"time"
)

// Settings are the resolved settings of one rondo.
type Settings struct {
	Name         string        // of the service; names the control socket and the units
	Command      []string      // the worker's program and arguments; resolved to an executable by the master
	Directory    string        // where the workers run; empty means the current one
	Workers      int           // how many; Resolve replaces 0 (auto) by what affinity and cgroup quota allow
	Listen       []Listen      // what to bind, or how passed sockets map
	Schedule     Schedule      // who accepts connections
	Bind         bool          // bind what workers ask for also when the init system passed sockets
	Ready        ReadyRule     // when a worker counts as ready
	WaitReady    bool          // a worker is ready when it also sent the message "ready"
	StartTimeout time.Duration // from start to ready
	DrainTimeout time.Duration // from disconnect to SIGTERM
	KillTimeout  time.Duration // from SIGTERM to SIGKILL
	ShutdownMsg  bool          // a worker that is to leave gets the message "shutdown" first
	AckTimeout   time.Duration // unanswered for so long, a worker gets nothing new until it answers
	Window       int           // connections sent to one worker and unanswered, at most
	MasterPolicy Policy        // scheduling policy of the master's loop
	GoMaxProcs   GoMaxProcs    // of Go workers
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

// Policy is the scheduling policy of the thread that hands over connections
// (sched(7)). Workers run under what rondo itself was started with in either case.
type Policy string

const (
	// PolicyBatch is SCHED_BATCH: the loop does not interrupt workers to take one
	// connection, and takes several when its turn comes.
	PolicyBatch   Policy = "batch"
	PolicyInherit Policy = "inherit"
)

// GoMaxProcs is what GOMAXPROCS is set to for workers, if it is not set already. Only Go
// programs read it.
type GoMaxProcs string

const (
	// GoMaxProcsShare is what Processors gives divided by the number of workers,
	// rounded up: threads of one worker do not take the processor from another's.
	GoMaxProcsShare   GoMaxProcs = "share"
	GoMaxProcsInherit GoMaxProcs = "inherit"
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
//	SOCKET = PORT | IP:PORT | [IP6]:PORT | udp:ADDR | unix:/PATH | unix:@ABSTRACT | fd:NAME
//	WANT   = PORT | IP:PORT | [IP6]:PORT | /PATH
type Listen struct {
	Name string     // empty when not given
	Kind Kind       // of SOCKET
	IP   netip.Addr // of SOCKET; the zero Addr means any address
	Port uint16     // of SOCKET
	Path string     // of SOCKET, for KindUnix; "@" first means abstract
	FD   string     // the name in SOCKET, for KindFD
	Want *Want      // what the worker asks for; nil means the same address
}

// Want is the address a worker asks for and is served from another socket.
type Want struct {
	IP   netip.Addr // the zero Addr means any address
	Port uint16     // 0 when Path is set
	Path string
}

// What a key is when nobody sets it. Workers and MaxDraining depend on the
// machine and on each other: see Resolve.
const (
	DefaultStartTimeout = 60 * time.Second
	DefaultDrainTimeout = 30 * time.Second
	DefaultKillTimeout  = 5 * time.Second
	DefaultSurge        = 1
	DefaultBackoffMin   = 100 * time.Millisecond
	DefaultBackoffMax   = 30 * time.Second

	// DefaultAckTimeout is long beside an event loop's usual pause and short
	// beside a client's patience: a worker silent for so long is passed over.
	DefaultAckTimeout = time.Second

	// DefaultWindow bounds what one stuck worker holds up, and is the smallest that
	// costs nothing. Processor time of master and workers for a request on a connection
	// of its own (wrk -c64, two workers, medians of 3), at windows 1, 4, 16 and 64:
	// Node 464, 311, 243, 278 us; Go 216, 147, 150, 157 us.
	DefaultWindow = 16

	// DefaultMaxMessage bounds the memory that a worker's unfinished line makes
	// the master hold; user messages are seldom a thousandth of it.
	DefaultMaxMessage = 1 << 20
)

// Resolve returns s with a value in every field that has a default, or an error
// that names the first key whose value is wrong. It reads the machine only for
// Workers, and only when that is 0.
func (s Settings) Resolve() (Settings, error) {
	if len(s.Command) == 0 || s.Command[0] == "" {
		return Settings{}, errNoCommand
	}
	if s.Name == "" {
		s.Name = filepath.Base(s.Command[0])
	}
	if s.Workers == 0 {
		s.Workers = autoWorkers()
	}
	setDefault(&s.Schedule, ScheduleRR)
	setDefault(&s.Ready, ReadyPredecessor)
	setDefault(&s.StartTimeout, DefaultStartTimeout)
	setDefault(&s.DrainTimeout, DefaultDrainTimeout)
	setDefault(&s.KillTimeout, DefaultKillTimeout)
	setDefault(&s.AckTimeout, DefaultAckTimeout)
	setDefault(&s.Window, DefaultWindow)
	setDefault(&s.MasterPolicy, PolicyBatch)
	setDefault(&s.GoMaxProcs, GoMaxProcsShare)
	setDefault(&s.Surge, DefaultSurge)
	setDefault(&s.MaxDraining, s.Workers)
	setDefault(&s.MaxMessage, DefaultMaxMessage)
	if s.BackoffMin == 0 && s.BackoffMax == 0 {
		s.BackoffMin, s.BackoffMax = DefaultBackoffMin, DefaultBackoffMax
	}
	for _, k := range keys {
		if err := k.field(&s).check(); err != nil {
			return Settings{}, fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return s, nil
}

// StoreSize is how many descriptors the service manager must be able to keep for the
// master that comes after one with these settings: a channel, a process and a state of
// each worker, also of those that start or drain; the same of as many again, for scale;
// the state of the service, and some listeners that the master opened itself.
func (s Settings) StoreSize() int {
	const ofWorker, listeners = 3, 15
	return ofWorker*(2*s.Workers+s.Surge+s.MaxDraining) + listeners + 1
}

func setDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

// Diff returns the keys that differ between two resolved Settings and cannot
// change while the master runs, in the order of Keys. A reload refuses them by
// name: the master's sockets and its place on disk stay what they were.
func Diff(old, new Settings) []string {
	var changed []string
	for _, k := range keys {
		if k.fixed && k.field(&old).String() != k.field(&new).String() {
			changed = append(changed, k.Name)
		}
	}
	return changed
}

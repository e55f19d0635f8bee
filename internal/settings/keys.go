package settings

import (
	"errors"
	"fmt"
	"strings"
)

// A Key is one setting as an operator writes it: the flag --NAME, NAME in
// NAME.toml and, with "_" for "-", the variable RONDO_NAME.
type Key struct {
	Name    string
	Default string // for people; empty when there is none
	Usage   string // one line, with the kind of value in backquotes
	Form    Form   // how the value is written
	fixed   bool   // cannot change by a reload
	field   func(*Settings) field
}

// Form is how a key's value is written in TOML, and on the command line.
type Form string

const (
	Text    Form = "text"    // a string
	Number  Form = "number"  // an integer; workers takes "auto" too
	Switch  Form = "switch"  // true or false; a flag may stand alone
	Words   Form = "words"   // an array of strings; not a flag
	Listens Form = "listens" // repeated flag; array of strings or of tables
)

// Variable is the environment variable of k.
func (k Key) Variable() string {
	return "RONDO_" + strings.ToUpper(strings.ReplaceAll(k.Name, "-", "_"))
}

// IsFixed tells whether a reload cannot change k: the service must be restarted.
func (k Key) IsFixed() bool { return k.fixed }

// Check says whether text is a value of k by itself.
func (k Key) Check(text string) error {
	var s Settings
	f := k.field(&s)
	if err := f.add(text); err != nil {
		return err
	}
	return f.check()
}

// Keys returns every setting, in the order in which people should read them.
func Keys() []Key { return append([]Key(nil), keys...) }

const (
	// MaxWorkers is a bound against slips of the keyboard, not a measured one.
	MaxWorkers = 1000

	maxWindow  = 200     // so many in flight every Node from 16 to 26 was seen to take
	minMessage = 4 << 10 // room for every internal message of Node
	maxMessage = 1 << 30
)

var keys = []Key{
	{Name: "name", Default: "base name of COMMAND", Usage: "`NAME` of the service", Form: Text, fixed: true,
		field: func(s *Settings) field { return (*nameField)(&s.Name) }},
	{Name: "command", Usage: "the worker's program and arguments", Form: Words,
		field: func(s *Settings) field { return (*commandField)(&s.Command) }},
	{Name: "directory", Default: "the current one", Usage: "`DIR` the workers run in", Form: Text,
		field: func(s *Settings) field { return (*directoryField)(&s.Directory) }},
	{Name: "workers", Default: "auto", Usage: "`NUMBER` of workers, or auto: what CPU affinity and quota allow", Form: Number,
		field: func(s *Settings) field { return numberField{&s.Workers, 1, MaxWorkers, "auto"} }},
	{Name: "listen", Usage: "`LISTEN`, as in 8080, http@127.0.0.1:80=3000, unix:/PATH or fd:NAME=3000; repeats", Form: Listens, fixed: true,
		field: func(s *Settings) field { return (*listenField)(&s.Listen) }},
	{Name: "schedule", Default: "rr", Usage: "`RULE` for who accepts: rr (the master) or none (the workers, who share the socket); NAME=RULE for one socket, as in rr,admin=none", Form: Text, fixed: true,
		field: func(s *Settings) field { return (*scheduleField)(&s.Schedule) }},
	{Name: "bind", Usage: "bind what workers ask for also when sockets were passed", Form: Switch, fixed: true,
		field: func(s *Settings) field { return (*switchField)(&s.Bind) }},
	{Name: "ready", Default: "predecessor", Usage: "`RULE` by which a worker is ready: predecessor or first", Form: Text,
		field: func(s *Settings) field { return choice(&s.Ready, ReadyPredecessor, ReadyFirst) }},
	{Name: "wait-ready", Usage: "a worker is ready only when it also sent the message \"ready\"", Form: Switch,
		field: func(s *Settings) field { return (*switchField)(&s.WaitReady) }},
	{Name: "start-timeout", Default: "60s", Usage: "`TIME` from a worker's start to ready", Form: Text,
		field: func(s *Settings) field { return (*timeField)(&s.StartTimeout) }},
	{Name: "drain-timeout", Default: "30s", Usage: "`TIME` to finish what a worker holds before SIGTERM", Form: Text,
		field: func(s *Settings) field { return (*timeField)(&s.DrainTimeout) }},
	{Name: "kill-timeout", Default: "5s", Usage: "`TIME` from SIGTERM to SIGKILL", Form: Text,
		field: func(s *Settings) field { return (*timeField)(&s.KillTimeout) }},
	{Name: "shutdown-message", Usage: "send a worker the message \"shutdown\" before it is told to leave, as pm2 does", Form: Switch,
		field: func(s *Settings) field { return (*switchField)(&s.ShutdownMsg) }},
	{Name: "ack-timeout", Default: "1s", Usage: "`TIME` without an answer after which a worker gets nothing new", Form: Text,
		field: func(s *Settings) field { return (*timeField)(&s.AckTimeout) }},
	{Name: "window", Default: "16", Usage: "`NUMBER` of connections in flight to one worker, at most", Form: Number,
		field: func(s *Settings) field { return numberField{&s.Window, 1, maxWindow, ""} }},
	{Name: "master-policy", Default: "batch", Usage: "scheduling `POLICY` of the master: batch (SCHED_BATCH), or inherit what rondo was started with", Form: Text, fixed: true,
		field: func(s *Settings) field { return choice(&s.MasterPolicy, PolicyBatch, PolicyInherit) }},
	{Name: "gomaxprocs", Default: "share", Usage: "`RULE` for a Go worker's processors: share (all, divided by the workers), or inherit", Form: Text,
		field: func(s *Settings) field { return choice(&s.GoMaxProcs, GoMaxProcsShare, GoMaxProcsInherit) }},
	{Name: "surge", Default: "1", Usage: "`NUMBER` of slots replaced at a time", Form: Number,
		field: func(s *Settings) field { return numberField{&s.Surge, 1, MaxWorkers, ""} }},
	{Name: "max-draining", Default: "workers", Usage: "`NUMBER` of replaced workers that drain at a time, at most", Form: Number,
		field: func(s *Settings) field { return numberField{&s.MaxDraining, 1, MaxWorkers, ""} }},
	{Name: "backoff", Default: "100ms..30s", Usage: "`FIRST..LONGEST` wait before a worker that died is restarted", Form: Text,
		field: func(s *Settings) field { return backoffField{&s.BackoffMin, &s.BackoffMax} }},
	{Name: "max-message", Default: "1048576", Usage: "`BYTES` of one message from a worker, at most", Form: Number,
		field: func(s *Settings) field { return numberField{&s.MaxMessage, minMessage, maxMessage, ""} }},
}

var errNoCommand = errors.New("no command: say what to run, as in: rondo run -- node server.js")

// keyNamed finds a key, or says which one was meant.
func keyNamed(name string) (Key, error) {
	names := make([]string, len(keys))
	for i, k := range keys {
		if k.Name == name {
			return k, nil
		}
		names[i] = k.Name
	}
	return Key{}, unknown(name, names)
}

func unknown(name string, known []string) error {
	if near := Nearest(name, known); near != "" {
		return fmt.Errorf("unknown key %q: did you mean %q?", name, near)
	}
	return fmt.Errorf("unknown key %q: the keys are %s", name, strings.Join(known, ", "))
}

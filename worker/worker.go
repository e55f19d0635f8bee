package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/rondokit/rondo/internal/wire"
)

// Config says how a Worker joins. The zero value is good.
type Config struct {
	// WaitReady says that this program calls Ready, and that its master was
	// told to wait for it (--wait-ready).
	WaitReady bool

	// Message, when set, takes what the master sends to the program (rondo send, or
	// worker.send of Node's primary): one JSON text each, the callee's to keep, in their
	// order. It is called on the goroutine that takes connections, and must not block.
	Message func(json.RawMessage)

	// Logger takes what has no caller to return to: messages that cannot be
	// understood, connections that died before Accept. nil discards it.
	Logger *slog.Logger
}

// A Worker is this process's membership. Its methods may be called from any
// goroutine.
type Worker struct {
	config               Config
	log                  *slog.Logger
	id, slot, generation int
	named                bool        // the master knows sockets by name: it is rondo
	complained           atomic.Bool // something from the master was not understood
	channel              *channel    // nil without a master
	spare                *spare

	draining chan struct{} // closed when the drain begins
	released chan struct{} // closed when the master knows that we leave, or is gone
	ended    chan struct{} // closed when the reader has returned; nil without a master
	out      []byte        // the reader's: answers are built here

	// mu guards the fields below and those that listener says it guards. The
	// reader waits in recvmsg, so it cannot also wait for requests on a Go
	// channel, and an owner goroutine behind it would cost each connection a
	// context switch, the dearest part of a handoff.
	mu        sync.Mutex
	listeners map[string]*listener   // by the master's key
	queries   map[int64]*query       // by the seq that the answer will name
	indexes   map[string]*index      // by tuple
	closers   map[*direct]struct{}   // listeners that accept by themselves
	passed    []*passed              // sockets of the service manager
	unclaimed map[*listener]struct{} // closed, with connections that nobody took yet
	drained   bool                   // the drain has begun
	tickets   *tickets               // nil before ShareTickets
	exited    int64                  // seq of our exitedAfterDisconnect; -1 before
}

// joined is the one package variable: the channel is the process's, so is the
// fact that it was taken. Its variables are gone after the first Join, and a
// second one would wrongly find no master.
var joined atomic.Bool

// Join makes this process a worker of the master that started it, or without a
// master one that stands alone. It removes the channel's variables (NODE_CHANNEL_FD,
// NODE_UNIQUE_ID, NODE_CHANNEL_SERIALIZATION_MODE) from the environment and keeps the
// channel from child processes; without a master it takes the sockets of the
// service manager in the same way.
//
// The master counts this worker as online when Join returns, and sends it
// connections after Listen. Join may be called once: a second call is an error, also
// after a failed one.
func Join(config Config) (*Worker, error) {
	if joined.Swap(true) {
		return nil, errors.New("worker: Join was called before in this process")
	}
	env, err := takeEnvironment()
	if err != nil {
		return nil, err
	}
	return join(config, env)
}

// join does the work of Join for one channel. It takes env.fd.
func join(config Config, env environment) (*Worker, error) {
	w := &Worker{
		config: config, log: config.Logger,
		id: env.id, slot: env.slot, generation: env.generation, named: env.rondo,
		draining: make(chan struct{}), released: make(chan struct{}),
		listeners: map[string]*listener{}, queries: map[int64]*query{}, indexes: map[string]*index{},
		closers: map[*direct]struct{}{}, unclaimed: map[*listener]struct{}{},
		exited: -1,
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if env.fd < 0 {
		if err := w.takePassed(); err != nil {
			return nil, err
		}
		return w, nil
	}
	var err error
	if w.channel, err = openChannel(env.fd); err != nil {
		return nil, fmt.Errorf("worker: NODE_CHANNEL_FD=%d: %w", env.fd, err)
	}
	if err := w.channel.send(wire.AppendOnline(nil, w.channel.next(), wire.MaxBatch)); err != nil {
		w.channel.close()
		return nil, fmt.Errorf("worker: online: %w", err)
	}
	w.spare = newSpare()
	w.ended = make(chan struct{})
	go w.read() // ends with the channel: the master closes its end, or Leave ours
	return w, nil
}

// ID is the number that the master gave this process, never used twice in the
// life of a service; 0 without a master.
func (w *Worker) ID() int { return w.id }

// Slot is this worker's place among those of its generation, from 0; its
// successor after a crash or a reload has the same. It is 0 without a master and
// -1 under one that has no slots (Node's).
func (w *Worker) Slot() int { return w.slot }

// Generation counts the configurations of the service that the master started
// workers from; 0 without a master, -1 under one that has no generations.
func (w *Worker) Generation() int { return w.generation }

// Draining is closed when this worker is to take nothing new and to return from
// main when it has finished what it holds: the master said so, or is gone, or Drain
// was called. Listeners have stopped by then.
func (w *Worker) Draining() <-chan struct{} { return w.draining }

// Ready tells a master that waits for it (--wait-ready) that this worker can
// serve. Calling it more than once, or without a master, does nothing more. It is an
// error without Config.WaitReady.
func (w *Worker) Ready() error {
	if !w.config.WaitReady {
		return errors.New("worker: Ready without Config.WaitReady")
	}
	if w.channel == nil {
		return nil
	}
	if err := w.channel.send([]byte("\"ready\"\n")); err != nil {
		return fmt.Errorf("worker: ready: %w", err)
	}
	return nil
}

// Send sends v, as JSON, to the program that the master is part of: Node's process.send.
// rondo itself has no use for messages; a program with its own master takes them by
// master.Config.Message. It is an error without a master, when v is no JSON or more than
// 16 KiB of it, and when it looks like one of Node's own messages.
func (w *Worker) Send(v any) error {
	if w.channel == nil {
		return errors.New("worker: Send: there is no master")
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("worker: Send: %w", err)
	}
	line, err := wire.AppendUser(nil, text)
	if err != nil {
		return fmt.Errorf("worker: Send: the message %w", err)
	}
	if err := w.channel.send(line); err != nil {
		return fmt.Errorf("worker: Send: %w", err)
	}
	return nil
}

// closeFile closes a descriptor that was never shown to anyone.
func closeFile(f *os.File) {
	if f != nil {
		f.Close()
	}
}

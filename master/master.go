// Package master accepts connections and hands each one to a worker process, and
// starts, replaces and ends those processes so that no connection is lost.
//
// A Master has one goroutine that owns everything, in Run: a loop over a poller with
// the clock and the descriptors, around a table that is a pure function of what has
// happened. The other methods send the loop a request and wait for its answer.
//
// # Ownership
//
// A Master takes the sockets in Config.Sockets. Run closes every descriptor it
// opened, and returns after every goroutine it started has returned and, unless
// its context was cancelled while they would not die, every worker has been reaped.
//
// # Errors
//
// New and Check report every fault of the configuration at once. Run returns nil
// after Drain, and otherwise why the service could not go on. ErrBusy and ErrStopped
// are for callers to act on.
package master

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
)

var (
	// ErrBusy refuses a reload while another one is in progress.
	ErrBusy = errors.New("a reload is in progress; wait for it or look at status")
	// ErrStopped answers requests to a Master whose Run has returned.
	ErrStopped = errors.New("the master has stopped")
)

// A Master runs one service. Its methods may be called from any goroutine; Run once.
type Master struct {
	cfg    Config
	now    settings.Settings // as given; cfg may have those of the last master
	log    *slog.Logger
	poller *sys.Poller
	inbox  chan func(*loop) // run by the loop, in order
	done   chan struct{}    // closed when Run returns

	handover *Handover // set before done is closed
	opened   opened

	wake struct {
		sync.Mutex // guards poller against Wake after Close
		closed     bool
	}
}

// Check tells what is wrong with cfg without opening anything: settings, the
// command, and listeners that name sockets which were not passed.
func Check(cfg Config) error {
	_, err := check(&cfg)
	return err
}

func check(cfg *Config) (*table, error) {
	resolved, err := cfg.Settings.Resolve()
	if err != nil {
		return nil, err
	}
	cfg.Settings = resolved
	// Workers that are there are taken over, whatever has become of their program.
	if _, err := settings.CheckCommand(cfg.Settings); err != nil && len(cfg.Stored) == 0 {
		return nil, err
	}
	return configured(cfg)
}

// New gives a Master that is ready to Run. It does not take Config.Sockets if it fails.
func New(cfg Config) (*Master, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Notify == nil {
		cfg.Notify = func(Event) {}
	}
	if cfg.Env == nil {
		cfg.Env = os.Environ()
	}
	if cfg.Stdout == nil {
		cfg.Stdout = os.Stdout
	}
	if cfg.Stderr == nil {
		cfg.Stderr = os.Stderr
	}
	now := cfg.Settings
	if last, replaced, ok := LastSettings(cfg.Stored); ok && !replaced {
		cfg.Settings = last // what is on disk now is the next reload's
	}
	if _, err := check(&cfg); err != nil {
		return nil, err
	}
	poller, err := sys.NewPoller()
	if err != nil {
		return nil, err
	}
	return &Master{cfg: cfg, now: now, log: cfg.Logger, poller: poller,
		inbox: make(chan func(*loop), 64), done: make(chan struct{})}, nil
}

// Run serves until Drain or an error ends it. If ctx ends, Run kills the workers and
// returns ctx's cause.
func (m *Master) Run(ctx context.Context) error {
	// The loop's scheduling class is its thread's; a thread of its own keeps it
	// from goroutines, and goroutines from it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if m.cfg.MasterPolicy == settings.PolicyBatch {
		restore, err := sys.Batch()
		if err != nil {
			m.log.Warn("the master runs without SCHED_BATCH, which costs speed: allow sched_setattr, or set master-policy to inherit", "err", err)
		}
		defer restore()
	}
	defer m.closed()
	l, err := newLoop(m)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		m.send(func(l *loop) { l.stopNow(context.Cause(ctx)) })
	})
	defer stop()
	err = l.run()
	l.close() // not after a panic: the workers are for the next master
	return err
}

func (m *Master) closed() {
	close(m.done)
	m.wake.Lock()
	defer m.wake.Unlock()
	m.wake.closed = true
	m.poller.Close()
}

// send has the loop run f. It reports false when the loop has ended.
func (m *Master) send(f func(*loop)) bool {
	select {
	case m.inbox <- f:
	case <-m.done:
		return false
	}
	m.wake.Lock()
	defer m.wake.Unlock()
	if !m.wake.closed {
		m.poller.Wake()
	}
	return true
}

// ask has the loop run f and waits for the answer that f, or something later, sends.
func (m *Master) ask(ctx context.Context, f func(l *loop, answer chan<- error)) error {
	answer := make(chan error, 1)
	if !m.send(func(l *loop) { f(l, answer) }) {
		return ErrStopped
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	case <-m.done:
	}
	// Of several at once the answer counts most, and then that there will be none.
	select {
	case err := <-answer:
		return err
	default:
	}
	select {
	case <-m.done:
		return ErrStopped
	default:
		return context.Cause(ctx)
	}
}

// Status tells how the service is.
func (m *Master) Status(ctx context.Context) (Status, error) {
	var s Status
	var known map[uint64]bool
	err := m.ask(ctx, func(l *loop, answer chan<- error) {
		s, known = l.status(), l.inodes()
		answer <- nil
	})
	if err != nil {
		return Status{}, err
	}
	m.opened.tell(s.Workers, known)
	return s, nil
}

// Reload replaces every worker by one of a new generation, with the settings that
// Config.Next gives. It returns nil when each slot has a ready new worker; the old
// ones may drain on. On an error the old generation serves on, whole. If ctx ends
// first the reload goes on. While a reload is in progress another one is ErrBusy.
func (m *Master) Reload(ctx context.Context) error {
	return m.ask(ctx, func(l *loop, answer chan<- error) { l.reload(answer) })
}

// Scale changes the number of workers until the next restart. It returns when all
// are ready, or with the reason when a new one failed; that one is tried again.
func (m *Master) Scale(ctx context.Context, workers int) error {
	if workers < 1 || workers > settings.MaxWorkers {
		return errors.New("the number of workers must be from 1 to " + itoa(settings.MaxWorkers))
	}
	return m.ask(ctx, func(l *loop, answer chan<- error) { l.scale(workers, answer) })
}

// Drain stops accepting, lets the workers finish what they hold, and returns when
// Run is about to return. If ctx ends first the drain goes on.
func (m *Master) Drain(ctx context.Context) error {
	err := m.ask(ctx, func(l *loop, _ chan<- error) { l.apply(event{kind: evStop}) })
	if errors.Is(err, ErrStopped) {
		return nil
	}
	return err
}

// Leave stops accepting, waits a moment until what was accepted is handed over, and
// ends Run without ending the workers: what Config.Store keeps is for the next master,
// which takes them over and then replaces them. It returns when Run is about to. It
// fails, and changes nothing, where there is no Store, or before every slot was ready.
func (m *Master) Leave(ctx context.Context) error {
	return m.leave(ctx, func(l *loop) error {
		if l.cfg.Store == nil || l.state == nil {
			return errors.New("nothing keeps the workers for the next master: its unit has no file descriptor store")
		}
		return nil
	}, 1)
}

// HandOver is Leave for a next master that gets what it needs from Handover, and
// that replaces no worker. It fails, and changes nothing, also where there are not
// descriptors enough for it.
func (m *Master) HandOver(ctx context.Context) error {
	return m.leave(ctx, func(l *loop) error {
		if l.state == nil {
			return errors.New("the state cannot be handed over on this system")
		}
		if err := l.mayHandOver(); err != nil {
			return err
		}
		l.handing = true
		return nil
	}, 0)
}

// Handover gives what the next master needs, when Run has returned because of
// HandOver; else nil. The caller takes it.
func (m *Master) Handover() *Handover {
	<-m.done
	h := m.handover
	m.handover = nil
	return h
}

func (m *Master) leave(ctx context.Context, may func(*loop) error, planned int) error {
	err := m.ask(ctx, func(l *loop, answer chan<- error) {
		var err error
		if l.t.phase != serving { // also when it leaves already
			err = fmt.Errorf("the master is %v, not serving; try again when it is", l.t.phase)
		} else {
			err = may(l)
		}
		if err != nil {
			answer <- err
			return
		}
		l.apply(event{kind: evLeave, n: planned})
	})
	if errors.Is(err, ErrStopped) {
		return nil
	}
	return err
}

// DrainWorker replaces one worker, by its id: the new one starts, then the old one drains.
func (m *Master) DrainWorker(ctx context.Context, id int) error {
	return m.ask(ctx, func(l *loop, answer chan<- error) { answer <- l.one(evDrainWorker, id) })
}

// KillWorker sends SIGKILL to one worker and its process group. Its slot gets a new one.
func (m *Master) KillWorker(ctx context.Context, id int) error {
	return m.ask(ctx, func(l *loop, answer chan<- error) { answer <- l.one(evKillWorker, id) })
}

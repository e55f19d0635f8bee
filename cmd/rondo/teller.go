package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/master"
)

const (
	maxMessages = 64                    // wait for the manager; above, news of no lasting worth is dropped
	sendAgain   = 50 * time.Millisecond // when the manager's queue is full
)

// A teller turns the master's events into messages to the service manager. The
// master must not wait for the manager, so the messages do, here.
type teller struct {
	notifier *notify.Notifier
	log      *slog.Logger
	also     func(master.Event) // told first; nil means nobody

	knows atomic.Bool // the manager, of the reload that is asked for

	mu      sync.Mutex     // guards waiting
	waiting []func() error // each sends one message; EAGAIN has it sent again
	more    chan struct{}  // one is enough
}

func newTeller(n *notify.Notifier, log *slog.Logger, also func(master.Event)) *teller {
	return &teller{notifier: n, log: log, also: also, more: make(chan struct{}, 1)}
}

// tell is the master's Config.Notify.
func (t *teller) tell(e master.Event) {
	if t.also != nil {
		t.also(e)
	}
	// Told of a reload that it knows of, systemd 257 would wait for its end also when
	// the master has ended, and for so long start no other one.
	e.Reloading = e.Reloading && !t.knows.Load()
	if states := statesOf(e); len(states) > 0 {
		t.say(states, e.Ready || e.Reloading || e.Reloaded || e.Stopping)
	}
}

// failed tells why the service ends; systemctl status shows it.
func (t *teller) failed(err error) {
	t.say([]notify.State{notify.Status(oneLine(err))}, true)
}

// statesOf is e in the manager's words. A reload has no bad end there: READY
// ends it either way, and the status says which.
func statesOf(e master.Event) []notify.State {
	var states []notify.State
	if e.Reloading {
		states = append(states, notify.Reloading())
	}
	if e.Ready || e.Reloaded {
		states = append(states, notify.Ready)
	}
	if e.Stopping {
		states = append(states, notify.Stopping)
	}
	if e.Alive {
		states = append(states, notify.Alive)
	}
	if e.Extend > 0 {
		states = append(states, notify.ExtendTimeout(e.Extend))
	}
	if e.Status != "" {
		states = append(states, notify.Status(e.Status))
	}
	return states
}

func (t *teller) say(states []notify.State, lasting bool) {
	t.queue(func() error { return t.notifier.Send(states...) }, lasting)
}

func (t *teller) queue(send func() error, lasting bool) {
	t.mu.Lock()
	if lasting || len(t.waiting) < maxMessages {
		t.waiting = append(t.waiting, send)
	}
	t.mu.Unlock()
	select {
	case t.more <- struct{}{}:
	default:
	}
}

func (t *teller) first() func() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		return nil
	}
	return t.waiting[0]
}

func (t *teller) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = t.waiting[1:]
}

// run sends until ctx ends, and then once what still waits.
func (t *teller) run(ctx context.Context) {
	for {
		full := t.send()
		var again <-chan time.Time
		if full && ctx.Err() == nil {
			again = time.After(sendAgain)
		}
		select {
		case <-t.more:
		case <-again:
		case <-ctx.Done():
			t.send()
			return
		}
	}
}

// send sends what waits, in order. It reports whether the manager's queue is full.
func (t *teller) send() (full bool) {
	for send := t.first(); send != nil; send = t.first() {
		err := send()
		if isQueueFull(err) {
			return true
		}
		if err != nil {
			t.log.Warn("service manager was not told", "err", err)
		}
		t.drop()
	}
	return false
}

// errSendAgain has a message sent again, as one that finds the manager's queue full.
var errSendAgain = errors.New("to be sent again")

func isQueueFull(err error) bool { return errors.Is(err, syscall.EAGAIN) || err == errSendAgain }

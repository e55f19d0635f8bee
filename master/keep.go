package master

import (
	"fmt"

	"github.com/rondokit/rondo/internal/fault"
	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/wire"
)

// A Store keeps descriptors for the next master, as the service manager does
// (systemd.service(5), FileDescriptorStoreMax=). Its methods are called on the
// goroutine of Run and must not wait.
type Store interface {
	// Keep has fd, which it borrows, kept under name.
	Keep(name string, fd int)
	// Drop has what is kept under name forgotten.
	Drop(name string)
	// Sync calls done, on any goroutine, when all that Keep was called for is kept,
	// or when that cannot be known.
	Sync(done func())
}

// What is kept, by name: of each worker its channel, its pidfd and its state; the
// state of the service; and the listeners that we opened.
const (
	serviceName  = "state"
	channelName  = "w%d.chan"
	processName  = "w%d.pid"
	workerName   = "w%d.state"
	outName      = "w%d.out"
	errName      = "w%d.err"
	listenerName = "l%d.listen"
	maxAttempts  = 3 // the last of them starts clean
	moreHandoffs = 2 // intents for each connection of the window: refused ones wait for their turn
)

// keep has the store keep fd, if there is one.
func (l *loop) keep(name string, fd int) {
	if l.cfg.Store != nil && fd >= 0 {
		l.cfg.Store.Keep(name, fd)
	}
}

func (l *loop) drop(name string) {
	if l.cfg.Store != nil {
		l.cfg.Store.Drop(name)
	}
}

// maxOwn is how many of the listeners that we opened are kept: one worker may make us
// open thousands, and the store is to have room for the others. It is what
// settings.StoreSize counts for them.
const maxOwn = 15

// keepListener has a listener that we opened kept, while there is room.
func (l *loop) keepListener(ls *listener) {
	n := 0
	for _, other := range l.listeners {
		if other.kept != 0 && !other.unkept {
			n++
		}
	}
	if n < maxOwn {
		l.lastKept++
		ls.kept = l.lastKept
		l.keep(fmt.Sprintf(listenerName, ls.kept), ls.fd)
	} else if !l.ownFull {
		l.ownFull = true
		l.m.log.Warn("too many sockets were opened for workers: this one and more would close if the master were killed",
			"listener", ls.String())
	}
}

// numberOwn gives also those listeners numbers for which the store has no room: they
// can be handed over.
func (l *loop) numberOwn() {
	numbered := false
	for _, ls := range l.t.listeners {
		if !ls.passed && ls.kept == 0 && ls.fd >= 0 {
			l.lastKept++
			ls.kept, ls.unkept, numbered = l.lastKept, true, true
		}
	}
	if !numbered || l.state == nil {
		return
	}
	for _, p := range l.procs { // whose records name them
		if p.state != nil && p.worker != nil {
			l.saveWorker(p)
		}
	}
	l.saved(l.state.Save(encode(l.t.record())))
}

// keepWorker has what is p's kept, and then lets it have connections.
func (l *loop) keepWorker(p *proc) {
	if l.cfg.Store == nil {
		return
	}
	id := p.worker.id
	l.keep(fmt.Sprintf(channelName, id), p.channel)
	l.keep(fmt.Sprintf(processName, id), p.process.ExitFD)
	l.keep(fmt.Sprintf(workerName, id), p.state.FD())
	l.cfg.Store.Sync(func() {
		l.m.send(func(l *loop) {
			if l.procs[id] == p {
				l.apply(event{kind: evKept, worker: id})
			}
		})
	})
}

func (l *loop) dropWorker(id int) {
	for _, name := range []string{channelName, processName, workerName} {
		l.drop(fmt.Sprintf(name, id))
	}
}

// save brings the records up to date with what ev has changed, before anything that
// follows from it is done. What comes and goes with each connection is no part of them.
func (l *loop) save(ev *event) {
	if l.state == nil {
		return
	}
	whole, channel := l.t.unsaved(ev)
	if p := l.procs[ev.worker]; channel && p != nil {
		l.saveWorker(p)
	}
	if whole {
		fault.At("before save")
		l.saved(l.state.Save(encode(l.t.record())))
		fault.At("after save")
	}
}

// unsaved tells which records ev, which t has applied, has changed: the one of the
// whole, and the one of its worker.
func (t *table) unsaved(ev *event) (whole, channel bool) {
	whole = !ev.isHot() || t.changed
	t.changed = false
	return whole, ev.changesChannel()
}

func (l *loop) saveWorker(p *proc) {
	fault.At("before worker save")
	l.saved(p.state.Save(encode(p.worker.record(l.t.identities()))))
	fault.At("after worker save")
}

// saved says once that what there is to save is too much.
func (l *loop) saved(err error) {
	if err != nil && !l.unsavable {
		l.unsavable = true
		l.m.log.Error("the state is too large to be kept: a crash of the master would end its workers", "err", err)
	}
}

// isHot tells of events that change no record by themselves.
func (ev *event) isHot() bool {
	switch ev.kind {
	case evAccepted, evDrained, evMore, evFull, evAcceptFailed, evUnsent, evBlocked, evWritable, evGarbage, evProbeUnsent:
		return true
	case evMessage:
		return !ev.changesChannel() && ev.msg.Kind != wire.Exited && ev.msg.Kind != wire.Bun
	}
	return false
}

// changesChannel tells of events that change the record of their worker.
func (ev *event) changesChannel() bool {
	switch ev.kind {
	case evBound, evSpawned, evUnshared:
		return true
	case evMessage:
		switch ev.msg.Kind {
		case wire.HandleNack, wire.Online, wire.QueryServer, wire.Listening, wire.Close, wire.Tickets:
			return !ev.msg.Envelope
		case wire.User:
			return string(ev.msg.Body) == `"ready"`
		}
	}
	return false
}

// answered settles the handoff that ev is the answer to, when it has been counted: a
// master that is killed between the two counts twice, and says of nothing that it was lost.
func (l *loop) answered(ev *event) {
	if !ev.answers() {
		return
	}
	p := l.procs[ev.worker]
	fault.At("before count")
	if p.counted != p.worker.handedOver {
		p.counted = p.worker.handedOver
		p.state.Count(p.counted)
	}
	fault.At("before settle")
	p.state.Settle(ev.msg.Ack)
}

// answers tells of the answer to a handoff.
func (ev *event) answers() bool {
	return ev.kind == evMessage && ev.msg.Kind == wire.Answer && !ev.msg.Envelope
}

// count keeps the counts of the whole.
func (l *loop) count() {
	c := state.Counters{Accepted: l.accepted, HandedOver: l.t.count.HandedOver, Redistributed: l.t.count.Redistributed,
		Ambiguous: l.t.count.Ambiguous, ClosedUndelivered: l.t.count.ClosedUndelivered}
	if l.state != nil && c != l.counted {
		l.counted = c
		l.state.Count(c)
	}
}

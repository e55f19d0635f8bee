package master

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// stableAfter is how long a worker must have been ready for its slot's failures to be forgotten.
const stableAfter = time.Minute

// maxFirstFailures is how often each worker may die before the first READY.
const maxFirstFailures = 3

// start begins with the strays of a master whose state cannot be read, if there are any.
func (t *table) start() {
	for _, id := range slices.Sorted(maps.Keys(t.workers)) {
		t.takeOn(t.workers[id])
	}
	t.begin()
}

// begin spawns the first workers.
func (t *table) begin() {
	t.startLimit = t.now.add(t.cfg.StartTimeout)
	t.arm(t.startLimit)
	t.fill(t.cfg.Workers)
	t.extend()
	t.status()
}

// fill adds slots up to n and starts a worker in each new one.
func (t *table) fill(n int) {
	for len(t.slots) < n {
		s := &slot{index: len(t.slots)}
		t.slots = append(t.slots, s)
		s.current = t.spawn(s, t.generation, t.cfg)
	}
}

// becameReady sees to what a newly ready worker changes for the whole.
func (t *table) becameReady(w *worker) {
	t.nowServing()
	t.replaced(w)
	t.scaled()
	t.sweep()
	t.status()
}

// nowServing ends the first start when every slot is ready.
func (t *table) nowServing() {
	if t.phase != starting || t.readyCount() < len(t.slots) {
		return
	}
	t.phase, t.startLimit = serving, 0
	t.log.Info("serving", "generation", t.generation, "workers", len(t.slots))
	t.warnUnasked()
	t.statusText = t.statusLine()
	t.do(effect{kind: effNotify, notify: Event{Ready: true, Status: t.statusText}})
}

// warnUnasked names the listeners that would never be served.
func (t *table) warnUnasked() {
	for _, l := range t.listeners {
		if !l.fixed || l.asked {
			continue
		}
		what := "remove it from the socket unit"
		if !l.passed {
			what = "take it out"
		}
		t.log.Warn("no worker listens on it: its connections wait for ever; map it with --listen, or "+what,
			"listener", l.String(), "listen", t.mapping(l))
	}
}

// mapping is the LISTEN that would serve from l what the workers listen on now.
func (t *table) mapping(l *listener) string {
	want := "PORT"
	for _, other := range t.listeners {
		if other.asked && other.network == l.network {
			if want = strconv.Itoa(other.port); other.network == "unix" {
				want = other.path
			}
		}
	}
	if t.isName(l) && l.passed {
		return "fd:" + l.name + "=" + want
	}
	return l.address.String() + "=" + want
}

func (t *table) readyCount() int {
	n := 0
	for _, s := range t.slots {
		if s.isReady() {
			n++
		}
	}
	return n
}

func (s *slot) isReady() bool {
	w := s.current
	return w != nil && w.state == wReady && !w.ended && !w.broken
}

// lost applies that w, which was wanted up, serves its slot no longer.
func (t *table) lost(w *worker, e exit) {
	s := w.slot
	s.lastExit, w.told = &e, &e
	if w.readyAt != 0 && t.now >= w.readyAt.add(stableAfter) {
		s.failures = 0
	}
	switch w {
	case s.next:
		s.next = nil
		t.replacementLost(w, e)
	case s.current:
		s.current = nil
		s.failures++
		if s.next == nil {
			t.retry(s)
		}
	}
	t.giveUp()
	t.reloadHurt(w, e)
	t.scaleHurt(w, e)
	t.status()
}

// retry plans the next start in s.
func (t *table) retry(s *slot) {
	if t.phase > serving {
		return
	}
	wait := t.cfg.BackoffMin
	for i := 1; i < s.failures && wait < t.cfg.BackoffMax; i++ {
		wait *= 2
	}
	wait = min(wait, t.cfg.BackoffMax)
	wait += time.Duration(t.rand.Int64N(int64(wait)/4 + 1)) // jitter: workers that died together do not start together
	s.retryAt = t.now.add(wait)
	t.arm(s.retryAt)
}

// giveUp ends a first start when every worker has died too often.
func (t *table) giveUp() {
	if t.phase != starting {
		return
	}
	var last *exit
	for _, s := range t.slots {
		if s.failures < maxFirstFailures {
			return
		}
		last = s.lastExit
	}
	t.stop(fmt.Errorf("every worker died %d times before it was ready; the last one %s", maxFirstFailures, last))
}

// tick applies all deadlines that have passed and finds the next one.
func (t *table) tick() {
	t.next = 0
	if t.startLimit != 0 && t.now >= t.startLimit { // before its workers, which are late at the same time
		t.stop(t.lateStart())
	}
	t.arm(t.startLimit)
	for _, w := range t.workers {
		t.tickWorker(w)
	}
	for _, s := range t.slots {
		if s.retryAt != 0 && t.now >= s.retryAt {
			s.retryAt = 0
			s.restarts++
			s.current = t.respawn(s)
		}
		t.arm(s.retryAt)
	}
	t.tickAccept()
	t.tickTickets()
	switch {
	case t.phase != settling:
	case t.now >= t.settleBy || t.settled():
		t.endSettling()
	default:
		t.arm(t.settleBy)
	}
	t.tickNotify()
}

// tickAccept arms for what keeps listeners from being accepted on.
func (t *table) tickAccept() {
	if t.acceptFrom > t.now {
		t.arm(t.acceptFrom)
	}
	for _, l := range t.starved {
		t.armRests(l)
	}
}

// tickWorker applies the deadlines of one worker.
func (t *table) tickWorker(w *worker) {
	if w.deadline != 0 && t.now >= w.deadline {
		w.deadline = 0
		t.expired(w)
	}
	t.arm(w.deadline)
	t.tickLeave(w)
	if w.hungAt != 0 && t.now >= w.hungAt {
		w.hungAt = 0
		t.hungUp(w)
	}
	t.arm(w.hungAt)
	t.tickProbe(w)
	limit := w.ackLimit()
	switch {
	case limit == 0 || w.stalled:
	case t.now < limit:
		t.arm(limit)
	default:
		w.stalled = true
		t.log.Warn("worker does not answer and gets nothing new until it does",
			w.attrs("held", w.inFlight, "took", time.Duration(t.now-w.sent[w.head].at))...)
	}
}

// expired applies the end of w's deadline.
func (t *table) expired(w *worker) {
	switch {
	case w.want == up:
		w.why = fmt.Sprintf("was not ready within %v: %s", w.cfg.StartTimeout, t.missing(w))
		t.log.Warn("worker was late", w.attrs("err", w.why)...)
		t.reject(w)
	case !w.signalled:
		t.log.Warn("drain ended by drain-timeout", w.attrs("took", w.cfg.DrainTimeout)...)
		t.cut(w)
		t.terminate(w)
	case !w.beyond:
		t.log.Warn("worker ignored SIGTERM for kill-timeout; killed", w.attrs()...)
		t.do(effect{kind: effSignal, worker: w, signal: sigKill})
	}
}

// reject ends w, which will not be ready, for w.why.
func (t *table) reject(w *worker) {
	t.unseat(w)
	w.want, w.state = down, wDraining
	t.terminate(w)
	t.lost(w, exit{code: -1, reason: w.why})
}

// isBun ends a worker of which nothing can come: Bun (1.4) takes no connections from
// its primary, and its HTTP server does not even ask for them.
func (t *table) isBun(w *worker) {
	if w.want == down || w.state == wReady { // or it only writes such a line
		return
	}
	w.why = "is a program of Bun, which takes no connections from another process (run it with Node; docs/bun.md)"
	t.log.Warn("worker cannot be served", w.attrs("err", w.why)...)
	t.reject(w)
}

// lateStart says why the first start took too long.
func (t *table) lateStart() error {
	for _, s := range t.slots {
		if s.current != nil && s.current.state == wReady {
			continue
		}
		why := "it is being restarted"
		if s.current != nil {
			why = t.missing(s.current)
		}
		if s.lastExit != nil {
			why += "; before that it " + s.lastExit.String()
		}
		return fmt.Errorf("worker of slot %d not ready within start-timeout %v: %s", s.index, t.cfg.StartTimeout, why)
	}
	return nil
}

// mayReplace tells why w cannot be replaced now.
func (t *table) mayReplace(w *worker) error {
	if w.want == down || w.slot.current != w || w.slot.next != nil || t.phase != serving || t.reload != nil {
		return fmt.Errorf("%s is starting, leaving or being replaced", w)
	}
	return nil
}

// drainOne and killOne are the operator's; the slot gets a new worker.
func (t *table) drainOne(w *worker) {
	if t.mayReplace(w) == nil {
		w.slot.next = t.respawn(w.slot)
	}
}

func (t *table) killOne(w *worker) {
	t.do(effect{kind: effSignal, worker: w, signal: sigKill})
}

// settleTime bounds the wait for what was accepted before a stop, when workers do not answer.
const settleTime = time.Second

// stop begins the end: nothing new is accepted, what was accepted is handed over,
// then the workers drain.
func (t *table) stop(err error) {
	if t.phase >= draining || t.phase == settling && !t.leaving {
		return
	}
	t.leaving, t.planned = false, false // a stop wins
	t.phase, t.stopErr = settling, err
	t.settleBy = t.now.add(settleTime)
	t.arm(t.settleBy)
	t.startLimit = 0
	for _, s := range t.slots {
		s.retryAt = 0
	}
	t.endReload("the master is stopping")
	t.do(effect{kind: effNotify, notify: Event{Stopping: true, Status: "stopping"}})
	t.extend()
	for _, l := range t.listeners {
		t.poll(l, false)
		if l.passed || l.failed || t.shared(l) {
			continue
		}
		// Our own listener goes away with us: what waits in its queue is served first.
		l.closing = true
		if !l.starved {
			t.do(effect{kind: effAccept, listener: l})
		}
	}
	if t.readyCount() == 0 {
		t.drainAll()
	}
}

// settled tells whether every accepted connection is a worker's.
func (t *table) settled() bool {
	for _, l := range t.listeners {
		if l.closing || len(l.held) > 0 {
			return false
		}
	}
	for _, w := range t.workers {
		if w.inFlight > 0 && !w.stalled {
			return false
		}
	}
	return true
}

// endSettling goes on when all that was accepted is handed over.
func (t *table) endSettling() {
	if t.leaving {
		t.left()
	} else {
		t.drainAll()
	}
}

// discardHeld closes the connections that no worker has taken by the end of settling.
func (t *table) discardHeld() {
	n := 0
	for _, l := range t.listeners {
		n += len(l.held)
		for _, c := range l.held {
			t.discard(c)
		}
		l.held = nil
	}
	if n > 0 {
		t.log.Warn("connections lost that no worker took before the master ended", "held", n)
	}
}

// drainAll tells every worker to leave.
func (t *table) drainAll() {
	if t.phase >= draining {
		return
	}
	t.phase = draining
	t.discardHeld()
	for _, l := range t.listeners {
		if l.closing {
			t.unbind(l)
		}
	}
	for _, w := range t.workers {
		t.drain(w)
	}
	t.endDrain()
}

// stopNow ends all that is left without waiting for it.
func (t *table) stopNow() {
	t.stop(t.stopErr)
	t.drainAll()
	for _, w := range t.workers {
		if !w.beyond {
			t.do(effect{kind: effSignal, worker: w, signal: sigKill})
		}
	}
}

// unbind closes a listener of our own. What it holds, no worker will take.
func (t *table) unbind(l *listener) {
	t.changed = true
	l.closing, l.failed, l.gone, l.polled = false, true, true, false
	for _, c := range l.held {
		t.discard(c)
	}
	l.held = nil
	t.do(effect{kind: effUnbind, listener: l})
	for i, other := range t.listeners {
		if other == l {
			t.listeners = append(t.listeners[:i:i], t.listeners[i+1:]...)
			break
		}
	}
	for name, h := range t.handles {
		if slices.Contains(h.listeners, l) {
			delete(t.handles, name)
		}
	}
	for _, s := range t.slots { // or a next worker would have to listen on it
		s.served = slices.DeleteFunc(s.served, func(served *listener) bool { return served == l })
	}
}

package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/wire"
)

// survivor is a worker that lives on, with its channel, after its master has ended.
type survivor struct {
	id      int
	pid     int
	record  *channelRecord // nil: it cannot be read
	seq     int64          // no number from here on was used
	intents []state.Intent // sent perhaps, and not answered
	told    bool           // to leave
	unsent  bool           // answers that it waits for are lost
	handed  uint64
}

// lostWith is why a worker is gone that the last master knew.
const lostWith = "ended while no master ran"

// adopt makes t what r says it was, with the workers that are still there and the
// listeners that there are now. Its effects come with the evAdopt that follows.
func (t *table) adopt(r *tableRecord, alive map[int]*survivor) error {
	cfgs := map[int]*settings.Settings{}
	for gen, text := range r.Settings {
		s := new(settings.Settings)
		if err := json.Unmarshal(text, s); err != nil {
			return fmt.Errorf("settings of generation %d: %w", gen, err)
		}
		cfgs[gen] = s
	}
	if cfgs[r.Generation] == nil || r.Reload != nil && cfgs[r.Reload.Generation] == nil {
		return errors.New("settings are missing")
	}
	t.epoch, t.monotonic = r.Epoch, r.Monotonic
	t.cfg, t.generation, t.lastGen, t.lastWorker = cfgs[r.Generation], r.Generation, r.LastGen, r.LastWorker
	t.scaledFrom, t.lastReload, t.adoptions, t.planned = r.ScaledFrom, r.LastReload, r.Adopted+1, r.Planned
	t.phase, t.anew = starting, r.Stopping
	if r.Ready && !r.Stopping {
		t.phase = serving
	}
	byName := map[string]*listener{}
	for l, name := range t.identities() {
		byName[name] = l
	}
	for i, sr := range r.Slots {
		s := &slot{index: i, failures: sr.Failures, retryAt: sr.RetryAt, restarts: sr.Restarts, served: t.named(byName, sr.Served)}
		if e := sr.LastExit; e != nil {
			s.lastExit = &exit{code: e.Code, signal: e.Signal, reason: e.Reason}
		}
		t.slots = append(t.slots, s)
	}
	for _, life := range r.Workers {
		if cfgs[life.Generation] == nil {
			return errors.New("settings are missing")
		}
		t.restore(life, cfgs[life.Generation], alive[life.ID], byName)
	}
	for i, sr := range r.Slots {
		t.slots[i].current, t.slots[i].next = t.workers[sr.Current], t.workers[sr.Next]
	}
	if rr := r.Reload; rr != nil && !r.Planned && !r.Stopping {
		t.reload = &reload{generation: rr.Generation, cfg: cfgs[rr.Generation], slots: rr.Slots, back: rr.Back}
		if rr.Error != "" {
			t.reload.err = errors.New(rr.Error)
		}
		for _, i := range rr.Todo {
			if i >= 0 && i < len(t.slots) {
				t.reload.todo = append(t.reload.todo, t.slots[i])
			}
		}
	}
	return nil
}

// restore makes one worker what it was. One that is gone is restored, too, and ends
// by evAdopt.
func (t *table) restore(life lifeRecord, cfg *settings.Settings, s *survivor, byName map[string]*listener) {
	w := &worker{id: life.ID, generation: life.Generation, cfg: cfg, pid: life.PID, state: life.State, want: life.Want,
		since: life.Since, readyAt: life.ReadyAt, deadline: life.Deadline, hungAt: life.HungAt, signalled: life.Signalled,
		why: life.Why, refusal: life.Refusal, keys: map[string]*key{}, found: s, adopted: true}
	w.slot = &slot{index: life.Slot}
	if life.Slot >= 0 && life.Slot < len(t.slots) {
		w.slot = t.slots[life.Slot]
	}
	t.workers[w.id] = w
	if s == nil {
		return
	}
	w.seq, w.firstSeq, w.handedOver = s.seq, s.seq, s.handed
	for _, i := range s.intents {
		if w.orphans == nil {
			w.orphans = map[int64]int{}
		}
		w.orphans[i.Seq] = i.N
	}
	if s.record == nil {
		return
	}
	w.batch, w.saidReady = s.record.Batch, s.record.SaidReady
	for _, kr := range s.record.Keys {
		t.restoreKey(w, kr, byName)
	}
}

// restoreKey has a key stand for the listeners that there are now.
func (t *table) restoreKey(w *worker, kr keyRecord, byName map[string]*listener) {
	if kr.Query == nil {
		return
	}
	name := handleName(kr.Query)
	h := t.handles[name]
	if h == nil {
		h = &handle{name: name, listeners: t.servedNow(kr, byName), bound: kr.Bound, data: kr.Data}
		t.handles[name] = h
		if len(h.listeners) == 0 {
			t.log.Warn("the socket that workers listen on was not passed again: they get no connections from it; reload makes them ask for what there is",
				"listener", kr.Query.String())
		}
	}
	k := &key{name: name, quoted: wire.Quote(name), asked: kr.Asked, worker: w, query: kr.Query, handle: h, port: kr.Port, listening: kr.Listening}
	h.keys++
	for _, l := range h.listeners {
		l.asked = true
		l.keys++
		k.seats = append(k.seats, &seat{key: k, listener: l})
	}
	w.keys[name] = k
}

// servedNow gives the listeners that a worker is to be served from: what its query would
// get now, so that a socket that was added is served; and for a query by number, which
// a unit may count differently now, or one that matches nothing, the same as before.
func (t *table) servedNow(kr keyRecord, byName map[string]*listener) []*listener {
	if kr.Query.FD < 0 && !kr.Bound {
		if found, err := match(t.listeners, kr.Query); err == nil && len(found) > 0 {
			return found
		}
	}
	return t.named(byName, kr.Listeners)
}

func (t *table) named(byName map[string]*listener, names []string) []*listener {
	var found []*listener
	for _, name := range names {
		if l := byName[name]; l != nil {
			found = append(found, l)
		}
	}
	return found
}

// stray is a worker of whose life nothing is known, because the record of it cannot
// be read: it finishes what it holds, and leaves.
func (t *table) stray(s *survivor) {
	w := &worker{id: s.id, slot: &slot{index: -1}, cfg: t.cfg, pid: s.pid, state: wReady, since: t.now, keys: map[string]*key{},
		found: s, adopted: true, seq: s.seq, firstSeq: s.seq}
	t.workers[w.id] = w
	t.lastWorker = max(t.lastWorker, w.id)
}

// takeOver begins to serve with what adopt has restored.
func (t *table) takeOver() {
	here, gone := 0, 0
	for _, id := range slices.Sorted(maps.Keys(t.workers)) {
		w := t.workers[id]
		if w.found == nil {
			gone++
			t.takeAway(w)
			continue
		}
		here++
		t.takeOn(w)
	}
	t.log.Info("adopted the workers of the last master", "workers", here, "gone", gone, "generation", t.generation, "adopted", t.adoptions)
	if t.anew { // the last one was stopping: its workers leave, and others come
		for _, w := range t.workers {
			t.drain(w)
		}
		t.slots, t.anew = nil, false
		t.start()
		return
	}
	for _, s := range t.slots {
		t.refill(s)
	}
	if t.phase == starting {
		t.startLimit = t.now.add(t.cfg.StartTimeout)
		t.arm(t.startLimit)
		t.extend()
		t.nowServing()
	} else {
		t.statusText = t.statusLine()
		t.do(effect{kind: effNotify, notify: Event{Ready: true, Status: t.statusText}})
	}
	t.reloadOn()
	t.sweep()
	t.status()
	t.tick()
}

// takeOn sees to one worker that lives.
func (t *table) takeOn(w *worker) {
	switch {
	case w.found.record == nil:
		t.log.Warn("what is known of a worker cannot be read: it finishes what it holds, and is replaced", w.attrs()...)
		t.replaceLost(w)
	case w.found.unsent:
		t.log.Warn("answers to a worker were lost with the last master: it finishes what it holds, and is replaced", w.attrs()...)
		t.replaceLost(w)
	case w.want == down && !w.found.told && !w.signalled:
		t.tellLeave(w) // the last master was about to
	}
	if w.state >= wOnline {
		t.probe(w)
	}
	if w.want == up && w.state == wReady {
		t.seat(w)
	}
	w.found = nil
}

// replaceLost has a worker leave that cannot go on.
func (t *table) replaceLost(w *worker) {
	if w.want == down {
		return
	}
	w.want, w.state = down, wDraining
	w.deadline = t.now.add(w.cfg.DrainTimeout)
	t.arm(w.deadline)
	t.tellLeave(w)
	s := w.slot
	if s.current == w {
		s.current = nil
	}
	if s.next == w {
		s.next = nil
	}
}

// tellLeave tells w to take nothing new, finish, and leave. Told twice, Node would
// close its channel at once.
func (t *table) tellLeave(w *worker) {
	t.do(effect{kind: effLine, worker: w, line: wire.AppendDisconnect(nil, w.nextSeq()), on: true})
}

// takeAway sees to one that is gone. One that had not become ready, or whose channel
// could not be kept yet, was the last master's doing: it is started again.
func (t *table) takeAway(w *worker) {
	s := w.slot
	delete(t.workers, w.id)
	t.orphaned(w)
	if w.want == up && w.state == wReady {
		e := exit{code: -1, reason: lostWith}
		s.lastExit = &e
		t.log.Warn("worker died", w.attrs("err", e.reason, "output", "")...)
	}
	if s.current == w {
		s.current = nil
	}
	if s.next == w {
		s.next = nil
		if r := t.reload; r != nil && !slices.Contains(r.todo, s) {
			r.todo = append(r.todo, s)
		}
	}
}

// refill starts a worker where none is, and none is about to be.
func (t *table) refill(s *slot) {
	if s.current == nil && s.next == nil && s.retryAt == 0 {
		if r := t.reload; r != nil {
			r.todo = slices.DeleteFunc(r.todo, func(other *slot) bool { return other == s })
		}
		s.current = t.respawn(s)
	}
}

// probeEvery is how soon a probe is sent again that could not be, or that the worker
// could not take.
const probeEvery = 50 * time.Millisecond

// probe asks w, which gets nothing new until it has answered, to refuse a connection
// that is none. What it answers before that is of the last master's handoffs, and
// when it has answered that, no answer of those is under way: acknowledgements, which
// have no number, are of ours again.
func (t *table) probe(w *worker) {
	w.probing, w.probe = true, w.nextSeq()
	w.probeAt = 0
	w.probeBy = t.now.add(w.cfg.AckTimeout)
	t.arm(w.probeBy)
	t.do(effect{kind: effProbe, worker: w, seq: w.probe})
}

// probeAgain sends another one soon: w could not take the last one.
func (t *table) probeAgain(w *worker) {
	if w.probing && w.probeAt == 0 {
		w.probeAt = t.now.add(probeEvery)
		t.arm(w.probeAt)
	}
}

// tickProbe applies the deadlines of a probe.
func (t *table) tickProbe(w *worker) {
	if !w.probing || w.ended || w.broken {
		return
	}
	if w.probeAt != 0 && t.now >= w.probeAt {
		t.probe(w)
	}
	t.arm(w.probeAt)
	switch {
	case w.probeBy == 0:
	case t.now < w.probeBy:
		t.arm(w.probeBy)
	default:
		w.probeBy = 0
		t.log.Warn("adopted worker does not answer and gets nothing new until it does", w.attrs("took", w.cfg.AckTimeout)...)
	}
}

// beforeUs applies an answer to a message of the last master, or to a probe.
// It reports false for one to nothing that is known.
func (t *table) beforeUs(w *worker, m *wire.Message) bool {
	if w.probing && m.Ack == w.probe {
		w.probing, w.probeAt, w.probeBy = false, 0, 0
		// What it has not answered by now, it never got.
		t.orphaned(w)
		return true
	}
	n, ok := w.orphans[m.Ack]
	if ok {
		delete(w.orphans, m.Ack)
		taken := 0
		if m.Accepted {
			taken = max(0, n-len(m.Refused))
		}
		t.handedOver(w, taken)
		t.lostBefore(w, n-taken, "it refused them, and they ended with the last master")
	}
	return ok || w.adopted && m.Ack < w.seq
}

// orphaned counts what the last master was about to hand to w and never did.
func (t *table) orphaned(w *worker) {
	n := 0
	for _, held := range w.orphans {
		n += held
	}
	w.orphans = nil
	t.lostBefore(w, n, "the last master ended before it had handed them over")
}

// diedHolding counts what the last master had handed to w, which never answered: its
// application may have seen them.
func (t *table) diedHolding(w *worker) {
	for _, held := range w.orphans {
		t.count.Ambiguous += uint64(held)
	}
	w.orphans, w.probing = nil, false
}

// lostBefore counts connections that ended with the last master.
func (t *table) lostBefore(w *worker, n int, why string) {
	if n == 0 {
		return
	}
	t.count.ClosedUndelivered += uint64(n)
	t.log.Warn("connections lost", w.attrs("held", n, "err", why)...)
}

// leave stops accepting and ends when what was accepted is handed over, or soon; the
// workers stay for the next master.
func (t *table) leave(planned bool) {
	if t.phase != serving {
		return
	}
	t.phase, t.leaving, t.planned = settling, true, planned
	t.settleBy = t.now.add(settleTime)
	t.arm(t.settleBy)
	for _, l := range t.listeners {
		t.poll(l, false)
	}
}

// left ends a leave.
func (t *table) left() {
	t.phase = stopped
	for _, l := range t.listeners {
		for _, c := range l.held {
			t.discard(c)
		}
		l.held = nil
	}
	t.do(effect{kind: effExit})
}

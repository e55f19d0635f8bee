package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

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
// listeners that there are now. Its effects come with the evAdopt that follows. On an
// error t is what it was.
func (t *table) adopt(r *tableRecord, alive map[int]*survivor) error {
	cfgs, err := r.settings()
	if err != nil {
		return err
	}
	a := &adoption{t: t, byName: map[string]*listener{}, said: map[string]bool{}}
	for l, name := range t.identities() {
		a.byName[name] = l
	}
	t.epoch, t.monotonic = r.Epoch, r.Monotonic
	t.lastGen, t.lastWorker, t.scaledFrom, t.lastReload = r.LastGen, r.LastWorker, r.ScaledFrom, r.LastReload
	t.tickets = slices.DeleteFunc(r.Tickets, func(k ticketKey) bool { return len(k.Secret) != wire.TicketKeySize })
	t.adoptions, t.planned, t.anew = r.Adopted+1, r.Planned, r.Stopping
	if t.anew { // nobody serves with the settings of the last one any more
		t.lastGen++
		t.generation = t.lastGen
	} else {
		t.cfg, t.generation = cfgs[r.Generation], r.Generation
		t.env, t.handed = r.Env, r.Handed
	}
	if r.Ready && !t.anew {
		t.phase = serving
	}
	for i, sr := range r.Slots {
		t.slots = append(t.slots, a.slot(i, sr))
	}
	a.ownHandles()
	for _, life := range r.Workers {
		a.worker(life, cfgs[life.Generation], alive[life.ID])
	}
	for i, sr := range r.Slots {
		t.slots[i].current, t.slots[i].next = t.workers[sr.Current], t.workers[sr.Next]
	}
	if r.Reload != nil && !r.Stopping {
		t.reload = a.reload(r.Reload, cfgs[r.Reload.Generation])
	}
	if r.Passed != "" {
		t.tellPassed(passedNames(r.Passed))
	}
	return nil
}

// tellPassed says how the sockets that were passed differ from those before.
func (t *table) tellPassed(before map[string]string) {
	var added, renamed, gone []string
	now := passedNames(t.passed())
	for _, id := range slices.Sorted(maps.Keys(now)) {
		switch was, ok := before[id]; {
		case !ok:
			added = append(added, now[id])
		case was != now[id]:
			renamed = append(renamed, was+" is "+now[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if _, ok := now[id]; !ok {
			gone = append(gone, before[id])
		}
	}
	if len(added) > 0 {
		t.log.Info("sockets were passed that the last master did not have", "listener", joinWords(added))
	}
	if len(renamed) > 0 {
		t.log.Info("sockets were passed under other names than before", "listener", joinWords(renamed))
	}
	if len(gone) > 0 {
		t.log.Warn("sockets that the last master had were not passed again, and are served no more", "listener", joinWords(gone))
	}
}

// settings gives those of each generation that r names.
func (r *tableRecord) settings() (map[int]*settings.Settings, error) {
	cfgs := map[int]*settings.Settings{}
	for gen, text := range r.Settings {
		s := new(settings.Settings)
		if err := json.Unmarshal(text, s); err != nil {
			return nil, fmt.Errorf("settings of generation %d: %w", gen, err)
		}
		cfgs[gen] = s
	}
	needed := []int{r.Generation}
	if r.Reload != nil {
		needed = append(needed, r.Reload.Generation)
	}
	for _, life := range r.Workers {
		needed = append(needed, life.Generation)
	}
	for _, gen := range needed {
		if cfgs[gen] == nil {
			return nil, fmt.Errorf("settings of generation %d are missing", gen)
		}
	}
	return cfgs, nil
}

// adoption makes a table of records.
type adoption struct {
	t      *table
	byName map[string]*listener // by identity
	said   map[string]bool      // queries that are served from nothing now
}

func (a *adoption) slot(i int, r slotRecord) *slot {
	s := &slot{index: i, failures: r.Failures, retryAt: r.RetryAt, restarts: r.Restarts, served: a.named(r.Served)}
	if e := r.LastExit; e != nil {
		s.lastExit = &exit{code: e.Code, signal: e.Signal, reason: e.Reason}
	}
	return s
}

func (a *adoption) reload(r *reloadRecord, cfg *settings.Settings) *reload {
	rl := &reload{generation: r.Generation, cfg: cfg, slots: r.Slots, back: r.Back}
	if r.Error != "" {
		rl.err = errors.New(r.Error)
	}
	for _, i := range r.Todo {
		if i >= 0 && i < len(a.t.slots) {
			rl.todo = append(rl.todo, a.t.slots[i])
		}
	}
	return rl
}

// ownHandles restores what the listeners that we opened were opened for, which a
// worker that comes back must find, also when none is left that has it open.
func (a *adoption) ownHandles() {
	for _, l := range a.t.listeners {
		if l.handle != "" {
			a.t.handles[l.handle] = &handle{name: l.handle, listeners: []*listener{l}, bound: true}
		}
	}
}

// worker makes one worker what it was. One that is gone is restored, too, and ends
// by evAdopt.
func (a *adoption) worker(life lifeRecord, cfg *settings.Settings, s *survivor) {
	t := a.t
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
	w.seq, w.handedOver = s.seq, s.handed
	if life.Slot < 0 { // a stray: it listens on nothing any more, and its connections are in no count
		return
	}
	w.orphans = map[int64]int{}
	for _, i := range s.intents {
		w.orphans[i.Seq] = i.N
	}
	if s.record == nil || s.record.TooMuch {
		return
	}
	w.batch, w.saidReady, w.tickets = s.record.Batch, s.record.SaidReady, s.record.Tickets
	for i := range s.record.Keys {
		a.key(w, &s.record.Keys[i])
	}
}

// key has a key stand for the listeners that there are now.
func (a *adoption) key(w *worker, r *keyRecord) {
	if r.Query == nil {
		return
	}
	r.Query.Data = nil // of which JSON makes null
	name := handleName(r.Query)
	h := a.t.handles[name]
	if h == nil {
		h = a.handle(name, r)
	}
	if h.data == nil {
		h.data = r.Data
	}
	k := &key{name: name, quoted: wire.Quote(name), asked: r.Asked, worker: w, query: r.Query, handle: h, port: r.Port, listening: r.Listening, shared: r.Shared}
	h.keys++
	k.sit()
	w.keys[name] = k
}

// handle gives what a key is to be served from: what its query would get now, so that
// a socket that was added is served; but for a query by number, which a unit may count
// differently now, and for one that matches nothing, the same as before. Who asks from
// now on shares it, unless that gets another.
func (a *adoption) handle(name string, r *keyRecord) *handle {
	found, err := match(a.t.listeners, r.Query)
	if err != nil {
		found = nil
	}
	h := &handle{name: name, listeners: a.named(r.Listeners)}
	if len(found) > 0 && r.Query.FD < 0 {
		h.listeners = found
	}
	switch {
	case len(h.listeners) == 0:
		if !a.said[name] {
			a.said[name] = true
			a.t.log.Warn("the socket that workers listen on was not passed again: they get no connections from it; reload makes them ask for what there is",
				"listener", shorten(r.Query.String()))
		}
	case len(found) == 0 || slices.Equal(found, h.listeners):
		a.t.handles[name] = h
	}
	return h
}

func (a *adoption) named(names []string) []*listener {
	var found []*listener
	for _, name := range names {
		if l := a.byName[name]; l != nil {
			found = append(found, l)
		}
	}
	return found
}

// stray is a worker of whose life nothing is known, because the record of the whole
// cannot be read: it finishes what it holds, and leaves.
func (t *table) stray(s *survivor) {
	s.record = nil
	w := &worker{id: s.id, slot: &slot{index: -1}, cfg: t.cfg, pid: s.pid, state: wReady, since: t.now, keys: map[string]*key{},
		found: s, adopted: true, seq: s.seq}
	t.workers[w.id] = w
	t.lastWorker = max(t.lastWorker, w.id)
}

// recount goes on with the counts of the last master. What it had accepted, and had
// neither handed over nor was about to, ended with it. It gives how many connections
// that one had accepted. A master that is killed between counting an answer and
// settling it leaves it counted twice.
func (t *table) recount(c state.Counters) (accepted uint64) {
	t.count = Counters{HandedOver: c.HandedOver, Redistributed: c.Redistributed, Ambiguous: c.Ambiguous, ClosedUndelivered: c.ClosedUndelivered}
	ended := c.HandedOver + c.Ambiguous + c.ClosedUndelivered
	for _, w := range t.workers {
		for _, n := range w.orphans {
			ended += uint64(n)
		}
	}
	if c.Accepted > ended {
		n := c.Accepted - ended
		t.count.ClosedUndelivered += n
		t.log.Warn("connections lost that the last master had accepted and not handed over", "held", n)
	}
	return max(c.Accepted, ended)
}

// takeOver begins to serve with what adopt has restored.
func (t *table) takeOver() {
	here, gone := 0, 0
	ids := slices.Sorted(maps.Keys(t.workers))
	for _, id := range ids {
		if w := t.workers[id]; w.found != nil {
			here++
			t.takeOn(w)
		} else {
			gone++
			t.takeAway(w)
		}
	}
	t.log.Info("adopted the workers of the last master", "workers", here, "gone", gone, "generation", t.generation, "adopted", t.adoptions)
	if t.anew {
		t.startAnew()
		return
	}
	for _, id := range ids {
		if w := t.workers[id]; w != nil && w.want == up && w.state == wReady {
			t.seat(w)
		}
	}
	for _, s := range t.slots {
		t.refill(s)
	}
	if t.phase == starting {
		t.startLimit = t.now.add(t.cfg.StartTimeout)
		t.extend()
		t.nowServing()
	} else {
		t.statusText = t.statusLine()
		t.do(effect{kind: effNotify, notify: Event{Ready: true, Status: t.statusText}})
		if !t.planned && t.readyCount() == len(t.slots) { // else the workers that come may listen on more
			t.warnUnasked()
		}
	}
	for _, id := range ids { // of some, only the end of the last master was in the way
		if w := t.workers[id]; w != nil && w.state == wOnline {
			t.checkReady(w)
		}
	}
	t.reloadOn()
	t.roll()
	t.sweep()
	t.status()
	t.tick()
}

// startAnew has the workers of a master that was stopping leave, and others come, with
// the settings that this master was started with.
func (t *table) startAnew() {
	for _, id := range slices.Sorted(maps.Keys(t.workers)) {
		t.drain(t.workers[id])
	}
	t.slots, t.anew, t.planned, t.scaledFrom = nil, false, false, 0
	t.begin()
	t.tick()
}

// roll begins the reload that a planned end of the last master is for, after the one
// that it was in.
func (t *table) roll() {
	if t.planned && t.reload == nil && t.phase == serving {
		t.do(effect{kind: effReload})
	}
}

// takeOn sees to one worker that lives.
func (t *table) takeOn(w *worker) {
	s := w.found
	w.found = nil
	wasOnline := w.state >= wOnline
	switch {
	case w.want == down:
	case s.record == nil:
		t.log.Warn("what is known of a worker cannot be read: it finishes what it holds, and is replaced", w.attrs()...)
		t.replaceLost(w)
	case s.record.TooMuch:
		t.log.Warn("a worker listened on more than is kept: it finishes what it holds, and is replaced", w.attrs()...)
		t.replaceLost(w)
	case s.unsent:
		t.log.Warn("answers to a worker were lost with the last master: it finishes what it holds, and is replaced", w.attrs()...)
		t.replaceLost(w)
	case w.state < wReady: // nobody heard what it said meanwhile
		w.deadline = t.now.add(w.cfg.StartTimeout)
	}
	if w.want == down && !s.told && !w.signalled { // the last master was about to
		w.tookAt = t.now // it may have been
		t.tellLeave(w)
	}
	if w.want == down && w.deadline == 0 { // or was about to kill it
		w.deadline = t.now.add(w.cfg.KillTimeout)
	}
	if w.hungAt != 0 { // its end may only not have been seen
		w.hungAt = t.now.add(hangUpGrace)
	}
	if wasOnline {
		w.probeBy = t.now.add(w.cfg.AckTimeout)
		t.probe(w)
	}
	t.arm(w.deadline)
	t.arm(w.hungAt)
	t.arm(w.probeBy)
}

// replaceLost has a worker leave that cannot go on.
func (t *table) replaceLost(w *worker) {
	t.vacate(w)
	w.want = down
	if w.state < wReady {
		w.state = wDraining
		t.terminate(w)
		return
	}
	w.state = wDraining
	w.deadline = t.now.add(w.cfg.DrainTimeout)
}

// takeAway sees to one that is gone. One that had not become ready, or whose channel
// could not be kept yet, was the last master's doing: it is started again.
func (t *table) takeAway(w *worker) {
	delete(t.workers, w.id)
	t.do(effect{kind: effRelease, worker: w})
	switch {
	case w.want == down:
		t.log.Info("worker exited", w.attrs("reason", lostWith)...)
	case w.state == wReady:
		e := exit{code: -1, reason: lostWith}
		w.slot.lastExit = &e
		t.log.Warn("worker died", w.died(e)...)
	}
	t.vacate(w)
}

// vacate takes w, which is no use any more, out of its slot. A reload that had begun
// there begins there again.
func (t *table) vacate(w *worker) {
	s := w.slot
	if s.current == w {
		s.current = nil
	}
	if s.next != w {
		return
	}
	s.next = nil
	if r := t.reload; r != nil && !slices.Contains(r.todo, s) {
		r.todo = append(r.todo, s)
	}
}

// refill starts a worker where none is, and none is about to be. A reload waits for
// the one that it is to have there.
func (t *table) refill(s *slot) {
	if s.current != nil || s.next != nil || s.retryAt != 0 {
		return
	}
	r := t.reload
	if r == nil || r.back && !slices.Contains(r.todo, s) {
		s.current = t.respawn(s)
		return
	}
	r.todo = slices.DeleteFunc(r.todo, func(other *slot) bool { return other == s })
	s.next = t.respawn(s)
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
	t.discardHeld()
	t.do(effect{kind: effExit})
}

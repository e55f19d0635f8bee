package master

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rondokit/rondo/internal/state"
)

// memory is what a killed master leaves: what package state keeps, as the loop fills it.
type memory struct {
	record   json.RawMessage
	counts   state.Counters
	accepted uint64 // by the loop's count
	workers  map[int]*workerMemory
	own      map[int]bool // listeners that were opened and not closed, by number
}

type workerMemory struct {
	record       json.RawMessage
	seq          int64 // no number from here on was used
	intents      map[int64]int
	told, unsent bool
	handed       uint64
	moved        bool // since it was saved, its worker listens on other sockets: those of the next master
}

func newMemory() memory { return memory{workers: map[int]*workerMemory{}, own: map[int]bool{}} }

// reserve is state.Worker's.
func (m *workerMemory) reserve(seq int64) {
	if seq >= m.seq {
		m.seq = seq + 4
	}
}

// errKilled is what a point panics with.
var errKilled = errors.New("killed")

// point is where a master may be killed: nothing that would have followed is done.
func (s *stage) point() {
	if s.kill != nil && s.kill() {
		s.killed = true
		panic(errKilled)
	}
}

// killedAt has f run until the n-th point in it. It reports whether there was one.
func (s *stage) killedAt(n int, f func()) (killed bool) {
	return s.killedWhen(func() bool { n--; return n == 0 }, f)
}

// killedWhen has f run until the first point at which that is so.
func (s *stage) killedWhen(so func() bool, f func()) (killed bool) {
	s.kill, s.killed = so, false
	defer func() {
		if s.kill = nil; s.killed { // else it is a failure of the test
			recover()
			killed = true
		}
	}()
	f()
	return false
}

// save is loop.save.
func (s *stage) save(ev *event) {
	s.tb.Helper()
	whole, channel := s.t.unsaved(ev)
	if channel {
		s.point()
		w := s.t.workers[ev.worker]
		s.mem.workers[w.id].record, s.mem.workers[w.id].moved = encode(w.record(s.t.identities())), false
	}
	if whole {
		s.point()
		s.mem.record = encode(s.t.record())
	}
	s.checkSaved(ev, whole)
}

// count is loop.count.
func (s *stage) count() {
	c := s.t.count
	s.mem.counts = state.Counters{Accepted: s.mem.accepted, HandedOver: c.HandedOver, Redistributed: c.Redistributed,
		Ambiguous: c.Ambiguous, ClosedUndelivered: c.ClosedUndelivered}
}

// aftermath is what becomes of the things around a master after it was killed.
type aftermath struct {
	after      time.Duration                 // the next one comes
	sockets    func([]*listener) []*listener // are passed to it, made of those that were
	gone       []*peer                       // and nothing is kept of them
	unreadable []*peer                       // whose records are
	refused    bool                          // the record of the whole is
}

// crash has the master end here and now, and the next one take over. It gives how many
// connections it had accepted and not sent.
func (s *stage) crash(a aftermath) (lost int) {
	s.tb.Helper()
	s.pending, s.toAccept, s.ended = nil, nil, false
	s.now = s.now.add(a.after)
	was := s.t
	for id, p := range s.peers {
		if p.pid == 0 || !p.kept || slices.Contains(a.gone, p) { // its start was undone, or the next master has ended it
			s.loses(p.given())
			delete(s.peers, id)
			delete(s.mem.workers, id)
		}
	}
	lost = s.loseConnections()
	s.t = newTable(was.cfg, was.log, rand.New(rand.NewPCG(1, 2)), was.epoch)
	s.t.stores = was.stores
	if a.refused {
		s.mem.record = nil
	}
	s.reopen(was.listeners, a.sockets)
	if s.killed || was.leaving { // it had not come to save, or the whole is stopped and its record is not
		was = nil
	}
	s.killed = false
	s.recall(a, was)
	for _, id := range slices.Sorted(maps.Keys(s.peers)) {
		if p := s.peers[id]; p != nil && p.closed && s.t.workers[id] != nil {
			s.turn(event{kind: evChannelEnd, worker: id})
		} else if p != nil && p.line != nil {
			s.hear(p)
		}
	}
	s.polled()
	return lost
}

// loseConnections ends the descriptors of the master that was killed: what it had sent
// is with the workers.
func (s *stage) loseConnections() (lost int) {
	for _, p := range s.peers {
		p.lines = nil
		for _, fd := range p.given() {
			if s.open[fd] {
				s.left[fd] = p.id
			}
		}
	}
	for fd := range s.open {
		if s.left[fd] == 0 {
			s.closed[fd] = true
			if !s.had[fd] {
				lost++
			}
		}
	}
	clear(s.open)
	return lost
}

// reopen gives the next master its listeners.
func (s *stage) reopen(were []*listener, sockets func([]*listener) []*listener) {
	var now []*listener
	of := map[*listener]*listener{}
	for _, l := range were {
		if l.passed {
			again := &listener{address: l.address, index: l.index, name: l.name, passed: true, fixed: true, wants: l.wants}
			now, of[again] = append(now, again), l
		}
	}
	if sockets != nil {
		now = sockets(now)
	}
	for i, l := range now {
		l.index, l.passed, l.fixed = i, true, true
	}
	s.t.listeners = now
	var r tableRecord
	if json.Unmarshal(s.mem.record, &r) == nil {
		for _, o := range r.Own {
			if s.mem.own[o.Num] {
				s.t.listeners = append(s.t.listeners, o.listener())
			}
		}
	}
	for _, again := range s.t.listeners {
		for _, l := range were {
			if of[again] == l || !l.passed && l.kept == again.kept {
				s.waiting[again], s.acceptErr[again] = s.waiting[l], s.acceptErr[l]
			}
		}
	}
}

// recall is loop.recall, and the begin of loop.run.
func (s *stage) recall(a aftermath, was *table) {
	s.tb.Helper()
	r := new(tableRecord)
	if json.Unmarshal(s.mem.record, r) != nil {
		r = nil
	}
	alive := map[int]*survivor{}
	for id, p := range s.peers {
		if r != nil && !slices.ContainsFunc(r.Workers, func(life lifeRecord) bool { return life.ID == id }) {
			delete(s.peers, id) // it has ended
			delete(s.mem.workers, id)
			continue
		}
		alive[id] = s.survivor(p, slices.Contains(a.unreadable, p))
	}
	if r != nil {
		if err := s.t.adopt(r, alive); err != nil {
			s.tb.Fatalf("adopt: %v", err)
		}
		s.checkAdopted(r, a, was)
	}
	for id, v := range alive {
		if s.t.workers[id] == nil {
			s.t.stray(v)
		}
	}
	if r == nil {
		s.mem.counts, s.mem.accepted, s.delivered = state.Counters{}, 0, 0
		clear(s.mem.own)
		clear(s.ids)
		clear(s.left)
		clear(s.closed)
		s.turn(event{kind: evStart})
		return
	}
	s.mem.accepted = s.t.recount(s.mem.counts)
	for id := range alive {
		if w := s.t.workers[id]; w.state >= wOnline {
			s.peers[id].ask = true
		}
	}
	s.turn(event{kind: evAdopt})
}

func (s *stage) survivor(p *peer, unreadable bool) *survivor {
	m := s.mem.workers[p.id]
	v := &survivor{id: p.id, pid: p.pid, seq: m.seq, told: m.told, unsent: m.unsent, handed: m.handed}
	if unreadable {
		m.record = nil
	}
	if m.record != nil {
		v.record = new(channelRecord)
		if err := json.Unmarshal(m.record, v.record); err != nil {
			s.tb.Fatalf("record %s: %v", m.record, err)
		}
	}
	for seq, n := range m.intents {
		v.intents = append(v.intents, state.Intent{Seq: seq, N: n})
	}
	return v
}

package master

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// check fails the test unless what must always hold does.
func (s *stage) check() {
	s.tb.Helper()
	s.checkOwners()
	s.checkCounts()
	s.checkSeats()
	s.checkDeadlines()
	s.checkLists()
	s.checkWorkers()
}

// Each connection that this master and those before it accepted is counted as ended,
// or is ours, or with a worker that has not answered the last master.
func (s *stage) checkCounts() {
	s.tb.Helper()
	c := s.t.count
	sum := c.HandedOver + c.Ambiguous + c.ClosedUndelivered + uint64(len(s.open))
	orphans := 0
	for _, w := range s.t.workers {
		for _, n := range w.orphans {
			orphans += n
		}
	}
	if sum += uint64(orphans); sum != s.mem.accepted {
		s.tb.Fatalf("%+v, %d connections of ours and %d of the last master are %d, and %d were accepted", c, len(s.open), orphans, sum, s.mem.accepted)
	}
}

// Who behaves is never called to account, and no slot stays empty.
func (s *stage) checkWorkers() {
	s.tb.Helper()
	for id, w := range s.t.workers {
		if p := s.peers[id]; s.strict && p != nil && !p.wild && w.violations > 0 {
			s.tb.Fatalf("%s has misbehaved %d times for the master, and has not", w, w.violations)
		}
	}
	if s.t.phase > serving {
		return
	}
	for _, slot := range s.t.slots {
		begun := s.t.reload == nil || !slices.Contains(s.t.reload.todo, slot)
		if slot.current == nil && slot.next == nil && slot.retryAt == 0 && begun {
			s.tb.Fatalf("slot %d has no worker, and never gets one", slot.index)
		}
	}
}

// Each connection that was accepted is in one place: held by its listener, in one
// handoff, or closed, once.
func (s *stage) checkOwners() {
	s.tb.Helper()
	place := map[int]string{}
	put := func(c *conn, where string) {
		if was, twice := place[c.fd]; twice {
			s.tb.Fatalf("connection %d is in two places: %s and %s", c.fd, was, where)
		}
		place[c.fd] = where
		if !s.open[c.fd] {
			s.tb.Fatalf("connection %d is %s, and it is closed", c.fd, where)
		}
		if c.listener == nil || slices.Contains(s.t.freeCon, c) {
			s.tb.Fatalf("connection %d is %s, and its record is free for another", c.fd, where)
		}
	}
	for _, l := range s.t.listeners {
		for _, c := range l.held {
			put(c, "held by "+l.String())
		}
	}
	for _, w := range s.t.workers {
		n, listed := 0, 0
		for i := w.head; i < len(w.sent); i++ {
			h := &w.sent[i]
			if h.share != nil {
				continue
			}
			listed++
			if h.done != (h.conns == nil) {
				s.tb.Fatalf("handoff %d of %s: done %v with %d connections", h.seq, w, h.done, len(h.conns))
			}
			for _, c := range h.conns {
				put(c, "with "+w.String())
				n++
			}
		}
		if n != w.inFlight || n > w.cfg.Window {
			s.tb.Fatalf("%s holds %d connections, and inFlight is %d, want them equal and at most %d", w, n, w.inFlight, w.cfg.Window)
		}
		if listed > 2*w.cfg.Window {
			s.tb.Fatalf("%s has %d handoffs on its list, want at most %d", w, listed, 2*w.cfg.Window)
		}
	}
	for fd := range s.open {
		if place[fd] == "" {
			s.tb.Fatalf("connection %d is in no place: nobody will close it", fd)
		}
	}
}

// A seat belongs to a worker that serves its slot and listens there.
func (s *stage) checkSeats() {
	s.tb.Helper()
	for _, l := range s.t.listeners {
		if len(l.ring) > len(s.t.slots) {
			s.tb.Fatalf("the ring of %s has %d places for %d slots", l, len(l.ring), len(s.t.slots))
		}
		for i, seat := range l.ring {
			if seat == nil {
				continue
			}
			w := seat.key.worker
			if s.t.workers[w.id] != w || w.want != up || w.ended || w.state != wReady || s.t.slots[i] != w.slot || w.slot.current != w {
				s.tb.Fatalf("%s has a seat at %s: want %v, state %v, ended %v", w, l, w.want, w.state, w.ended)
			}
			if w.keys[seat.key.name] != seat.key || !seat.key.listening || seat.listener != l {
				s.tb.Fatalf("%s has a seat at %s by the key %q, which it does not listen with", w, l, seat.key.name)
			}
		}
	}
}

// next is no later than the earliest deadline, and that is in the future.
func (s *stage) checkDeadlines() {
	s.tb.Helper()
	for what, at := range s.deadlines() {
		if at == 0 {
			continue
		}
		if s.t.next == 0 || s.t.next > at {
			s.tb.Fatalf("at %d the next tick is at %d, and %s is at %d", s.now, s.t.next, what, at)
		}
	}
}

// deadlines gives, in words of the design and not by the table's own lists, what
// must happen when.
func (s *stage) deadlines() map[string]instant {
	t := s.t
	all := map[string]instant{"the end of the first start": t.startLimit, "the next extension": t.extendAt, "the next rate": t.statusAt}
	if t.phase == settling {
		all["the end of settling"] = t.settleBy
	}
	for _, w := range t.workers {
		all["the deadline of "+w.String()] = w.deadline
		all["the hang-up of "+w.String()] = w.hungAt
		all["the word for "+w.String()+" to leave"] = w.leaveAt
		if w.probing && !w.ended && !w.broken {
			all["the next probe of "+w.String()] = w.probeAt
			all["the end of patience with "+w.String()] = w.probeBy
		}
		if w.head < len(w.sent) && w.sent[w.head].seq >= 0 && !w.stalled {
			all["the ack-timeout of "+w.String()] = w.sent[w.head].at.add(w.cfg.AckTimeout)
		}
	}
	if len(t.tickets) > 0 {
		all["the next key of tickets"] = t.tickets[0].Made.add(ticketRotation)
	}
	for _, slot := range t.slots {
		all["the next start of a slot"] = earliest(all["the next start of a slot"], slot.retryAt)
	}
	for _, l := range t.listeners {
		wants := len(l.held) > 0 || !l.polled && !l.failed && (t.phase <= serving || l.closing)
		if !wants {
			continue
		}
		if t.acceptFrom > t.now {
			all["the end of a pause"] = t.acceptFrom
		}
		for _, seat := range l.ring {
			if seat != nil && seat.restUntil > t.now {
				all["the end of a rest at "+l.String()] = earliest(all["the end of a rest at "+l.String()], seat.restUntil)
			}
		}
	}
	return all
}

func earliest(a, b instant) instant {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// What the table keeps is what it needs.
func (s *stage) checkLists() {
	s.tb.Helper()
	used := map[*handle]bool{}
	for _, w := range s.t.workers {
		for _, k := range w.keys {
			used[k.handle] = true
		}
	}
	for name, h := range s.t.handles {
		if kept := h.bound && !s.gone[h.listeners[0]]; !used[h] && !kept {
			s.tb.Fatalf("the handle %.100q is kept, and no worker has it", name)
		}
	}
	seen := map[*listener]bool{}
	for _, l := range s.t.starved {
		if seen[l] || !l.starved || s.gone[l] {
			s.tb.Fatalf("%s is on the list of starved ones twice, or is not starved, or is closed", l)
		}
		seen[l] = true
	}
	for _, l := range s.t.listeners {
		if l.starved != seen[l] || l.starved && l.polled {
			s.tb.Fatalf("%s: starved %v, on the list %v, polled %v", l, l.starved, seen[l], l.polled)
		}
		if len(l.held) > 0 && !l.starved {
			s.tb.Fatalf("%s holds %d connections that nobody will feed", l, len(l.held))
		}
		if s.gone[l] {
			s.tb.Fatalf("%s is closed and still on the list", l)
		}
	}
	ids := slices.Sorted(maps.Keys(s.t.workers))
	if want := slices.Sorted(maps.Keys(s.peers)); !slices.Equal(ids, want) {
		s.tb.Fatalf("the table knows the workers %v, want %v", ids, want)
	}
	for _, slot := range s.t.slots {
		for _, w := range []*worker{slot.current, slot.next} {
			if w != nil && s.t.phase <= serving && (s.t.workers[w.id] != w || w.want == down) {
				s.tb.Fatalf("%s is in slot %d: want %v, known %v", w, slot.index, w.want, s.t.workers[w.id] == w)
			}
		}
	}
}

// What the next master would find is what there is: each event that changes a record
// is known to.
func (s *stage) checkSaved(ev *event, just bool) {
	s.tb.Helper()
	if !just {
		if fresh := encode(s.t.record()); !bytes.Equal(fresh, s.mem.record) {
			s.tb.Fatalf("after event %d (%+v) the record of the whole is\n%s\nand what is saved is\n%s", ev.kind, ev.msg, fresh, s.mem.record)
		}
	}
	of := s.t.identities()
	for id, w := range s.t.workers {
		if m := s.mem.workers[id]; m != nil && m.record != nil && !m.moved && !w.ended && w.slot.index >= 0 && s.t.phase < settling {
			s.checkChannel("saved", m.record, w.record(of))
		}
	}
}

// checkChannel compares what there is of a worker with a record of it. A record may
// lack the data of a handle that only a later asker brought.
func (s *stage) checkChannel(what string, text []byte, fresh *channelRecord) {
	s.tb.Helper()
	if bytes.Equal(encode(fresh), text) {
		return
	}
	r := new(channelRecord)
	if err := json.Unmarshal(text, r); err != nil {
		s.tb.Fatalf("record %s: %v", text, err)
	}
	for i := range min(len(r.Keys), len(fresh.Keys)) {
		if r.Keys[i].Data == nil {
			fresh.Keys[i].Data = nil
		}
	}
	if !bytes.Equal(encode(fresh), encode(r)) {
		s.tb.Fatalf("the record of a worker is\n%s\nand what was %s is\n%s", encode(fresh), what, encode(r))
	}
}

// checkAdopted fails the test unless the table is what the records say, and what the
// last one was; nil when that had not come to save.
func (s *stage) checkAdopted(r *tableRecord, a aftermath, was *table) {
	s.tb.Helper()
	for id, w := range s.t.workers {
		m := s.mem.workers[id]
		if m == nil {
			continue
		}
		tooMuch := w.found != nil && w.found.record != nil && w.found.record.TooMuch
		m.moved = m.moved || a.sockets != nil || w.slot.index < 0 || tooMuch
		for _, k := range w.keys {
			m.moved = m.moved || len(k.handle.listeners) == 0
		}
	}
	if a.sockets != nil || r.Stopping {
		return
	}
	fresh := s.t.record()
	fresh.Adopted--
	fresh.Handed = r.Handed // which is of an end, and not of what goes on
	if !bytes.Equal(encode(fresh), encode(r)) {
		s.tb.Fatalf("adopted is\n%s\nand recorded was\n%s", encode(fresh), encode(r))
	}
	of := s.t.identities()
	for id, w := range s.t.workers {
		v := w.found
		if v == nil || v.record == nil || s.mem.workers[id].moved {
			continue
		}
		s.checkChannel("adopted", s.mem.workers[id].record, w.record(of))
		if was != nil && !was.workers[id].ended {
			if got, want := portraitOf(w), portraitOf(was.workers[id]); got != want {
				s.tb.Fatalf("adopted is\n%s\nand it was\n%s", got, want)
			}
		}
	}
	if was != nil {
		if got, want := portrait(s.t), portrait(was); got != want {
			s.tb.Fatalf("adopted is\n%s\nand it was\n%s", got, want)
		}
	}
}

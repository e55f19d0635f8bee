package master

import (
	"maps"
	"slices"
)

// check fails the test unless what must always hold does.
func (s *stage) check() {
	s.tb.Helper()
	s.checkOwners()
	s.checkSeats()
	s.checkDeadlines()
	s.checkLists()
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
		n := 0
		for i := w.head; i < len(w.sent); i++ {
			h := &w.sent[i]
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
		if len(w.sent)-w.head > 2*w.cfg.Window {
			s.tb.Fatalf("%s has %d handoffs on its list, want at most %d", w, len(w.sent)-w.head, 2*w.cfg.Window)
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
		if w.head < len(w.sent) && w.sent[w.head].seq >= 0 && !w.stalled {
			all["the ack-timeout of "+w.String()] = w.sent[w.head].at.add(w.cfg.AckTimeout)
		}
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

package master

import (
	"maps"
	"slices"
	"time"

	"github.com/rondokit/rondo/internal/wire"
)

// calm has all workers do what they should, until nothing is left to do.
func (s *stage) calm() {
	s.tb.Helper()
	for range 300 {
		if s.ended || s.quiet() {
			return
		}
		for _, id := range slices.Sorted(maps.Keys(s.peers)) {
			if p := s.peers[id]; p != nil && !s.ended {
				s.behave(p)
			}
		}
		if !s.ended {
			s.pass(time.Second)
		}
	}
	s.tb.Fatalf("all behave, and it does not become quiet: phase %v, ready %d of %d, reload %v, waiting %v, held by us %v",
		s.t.phase, s.t.readyCount(), len(s.t.slots), s.t.reload, s.waiting, s.open)
}

// behave has p do all that it should now.
func (s *stage) behave(p *peer) {
	s.tb.Helper()
	for len(p.owed) > 0 {
		s.accepts(p)
	}
	s.polled()
	w := s.worker(p)
	switch {
	case p.told || p.signal != "":
		for len(p.owed) > 0 {
			s.accepts(p)
		}
		s.exits(p, exit{reason: "exited with code 0"})
	case w.state == wStarting && w.want == up:
		s.online(p, s.batch)
	case w.state == wOnline && w.want == up:
		s.goesOn(p)
	}
}

// goesOn has p do what it lacks to be ready.
func (s *stage) goesOn(p *peer) {
	s.tb.Helper()
	if !p.kept {
		s.keeps(p)
	}
	for _, q := range s.queries {
		if w := s.worker(p); w == nil || w.want == down {
			return
		}
		if k := s.worker(p).keys[q.Key()]; k == nil && s.asks(p, q) == "" {
			s.tb.Fatalf("worker %d may not listen on %s: %v", p.id, q, p.errno)
		} else if k == nil || !k.listening {
			s.says(p, wire.Message{Kind: wire.Listening, Query: q, Ack: -1})
		}
	}
	s.polled()
}

// quiet tells that every slot is served, and nothing waits.
func (s *stage) quiet() bool {
	if s.t.phase != serving || s.t.readyCount() != len(s.t.slots) || len(s.t.workers) != len(s.t.slots) || s.t.reload != nil || s.t.scaling {
		return false
	}
	for _, l := range s.t.listeners {
		if s.waiting[l] > 0 || len(l.held) > 0 {
			return false
		}
	}
	for _, p := range s.peers {
		if len(p.owed) > 0 || s.worker(p).probing {
			return false
		}
	}
	return true
}

// checkEnd fails the test unless each connection has found its end.
func (s *stage) checkEnd() {
	s.tb.Helper()
	if len(s.open) > 0 {
		s.tb.Fatalf("the connections %v are left over", slices.Sorted(maps.Keys(s.open)))
	}
	c := s.t.count
	if ended := c.HandedOver + c.Ambiguous + c.ClosedUndelivered; ended != uint64(len(s.closed)) {
		s.tb.Fatalf("%+v count %d connections, want %d", c, ended, len(s.closed))
	}
}

// checkDelivered fails the test unless what counts as handed over is what workers took.
func (s *stage) checkDelivered() {
	s.tb.Helper()
	if n := s.t.count.HandedOver; n != uint64(s.delivered) {
		s.tb.Fatalf("%d connections count as handed over, and workers took %d", n, s.delivered)
	}
}

// checkGeneration fails the test unless one whole generation serves.
func (s *stage) checkGeneration() {
	s.tb.Helper()
	for _, slot := range s.t.slots {
		if w := slot.current; w != nil && w.generation != s.t.generation && s.t.phase == serving {
			s.tb.Fatalf("%s serves, and the generation is %d", w, s.t.generation)
		}
	}
}

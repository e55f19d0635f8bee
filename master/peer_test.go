package master

import (
	"maps"
	"slices"

	"github.com/rondokit/rondo/internal/wire"
)

// peer gives the worker that serves slot i.
func (s *stage) peer(i int) *peer {
	s.tb.Helper()
	w := s.t.slots[i].current
	if w == nil {
		s.tb.Fatalf("slot %d has no worker", i)
	}
	return s.peers[w.id]
}

// worker gives what the table knows of p.
func (s *stage) worker(p *peer) *worker { return s.t.workers[p.id] }

// starting gives the workers that have not been heard of yet, oldest first.
func (s *stage) starting() []*peer {
	var all []*peer
	for _, id := range slices.Sorted(maps.Keys(s.peers)) {
		if w := s.t.workers[id]; w.state == wStarting && w.want == up {
			all = append(all, s.peers[id])
		}
	}
	return all
}

// newest gives the worker that was started last.
func (s *stage) newest() *peer { return s.peers[s.t.lastWorker] }

// says has p write one message.
func (s *stage) says(p *peer, m wire.Message) {
	s.tb.Helper()
	p.seq++
	m.Seq = p.seq
	if m.Kind == wire.Close {
		p.keys = slices.DeleteFunc(p.keys, func(k string) bool { return k == m.Key })
	}
	p.line = &m
	s.hear(p)
}

// hear is what loop.lines does with one line.
func (s *stage) hear(p *peer) {
	s.tb.Helper()
	s.apply(event{kind: evMessage, worker: p.id, msg: p.line})
	s.point()
	p.line = nil
	s.acceptAll()
}

func (s *stage) online(p *peer, batch int) {
	s.tb.Helper()
	if p.pid == 0 {
		s.spawned(p)
	}
	if !p.kept {
		s.keeps(p)
	}
	s.says(p, wire.Message{Kind: wire.Online, Batch: batch, Ack: -1})
}

// spawned has p's process started.
func (s *stage) spawned(p *peer) {
	s.tb.Helper()
	p.pid = 1000 + p.id
	s.turn(event{kind: evSpawned, worker: p.id, pid: p.pid})
}

// keeps has p's descriptors kept for the next master.
func (s *stage) keeps(p *peer) {
	s.tb.Helper()
	p.kept = true
	if s.t.stores {
		s.turn(event{kind: evKept, worker: p.id})
	}
}

// asks has p query q, and gives the key that it got, if any.
func (s *stage) asks(p *peer, q *wire.Query) string {
	s.tb.Helper()
	n := len(p.keys)
	s.says(p, wire.Message{Kind: wire.QueryServer, Query: q, Ack: -1})
	for slices.ContainsFunc(p.owed, isShare) {
		s.acks(p)
	}
	if len(p.keys) > n {
		return p.keys[n]
	}
	return ""
}

// listens has p say that it listens on what it asked for.
func (s *stage) listens(p *peer, q *wire.Query) {
	s.tb.Helper()
	l := *q
	if p.name != nil {
		l.Port = p.name.Port
	}
	s.says(p, wire.Message{Kind: wire.Listening, Query: &l, Ack: -1})
}

// opens is all that a worker says until it is ready.
func (s *stage) opens(p *peer, batch int, queries ...*wire.Query) {
	s.tb.Helper()
	s.online(p, batch)
	for _, q := range queries {
		if w := s.worker(p); w == nil || w.want == down { // the others were ready first, and this one is not needed
			return
		}
		if s.asks(p, q) == "" {
			s.tb.Fatalf("worker %d may not listen on %s: %v", p.id, q, p.errno)
		}
		s.listens(p, q)
	}
}

func isShare(m sent) bool { return m.share != nil }

func (s *stage) acks(p *peer) {
	s.tb.Helper()
	for i := range p.owed {
		if p.owed[i].envelope && !p.owed[i].acked {
			if line := p.owed[i].share; line != nil {
				p.owed = slices.Delete(p.owed, i, i+1)
				s.line(p, line)
				break
			}
			p.owed[i].acked = true
			if !p.wild && !p.owed[i].probe {
				s.taken[p.owed[i].fds[0]] = p.id
			}
			break
		}
	}
	s.says(p, wire.Message{Kind: wire.HandleAck, Ack: -1})
}

func (s *stage) nacks(p *peer) {
	s.tb.Helper()
	for i := range p.owed {
		if p.owed[i].envelope && !p.owed[i].acked {
			s.loses(p.owed[i].fds)
			p.owed = slices.Delete(p.owed, i, i+1)
			break
		}
	}
	s.says(p, wire.Message{Kind: wire.HandleNack, Ack: -1})
}

// answers has p answer the oldest handoff that it has not answered.
func (s *stage) answer(p *peer, accepted bool, refused ...int) {
	s.tb.Helper()
	if len(p.owed) == 0 {
		s.tb.Fatalf("worker %d has nothing to answer", p.id)
	}
	for isShare(p.owed[0]) { // which is acknowledged, and no more
		if s.acks(p); len(p.owed) == 0 {
			return
		}
	}
	if p.owed[0].envelope && !p.owed[0].acked {
		s.acks(p)
	}
	m := p.owed[0]
	p.owed = p.owed[1:]
	if m.probe {
		p.ask, accepted, refused = false, false, nil
	}
	for i, fd := range m.fds {
		if !accepted || slices.Contains(refused, i) {
			delete(s.taken, fd)
			s.loses([]int{fd})
		} else {
			s.takes(fd)
		}
	}
	s.says(p, wire.Message{Kind: wire.Answer, Ack: m.seq, Accepted: accepted, Refused: refused})
}

// takes notes that an application has fd.
func (s *stage) takes(fd int) {
	if s.open[fd] || s.left[fd] != 0 {
		s.delivered++
		s.had[fd] = true
	}
	if s.left[fd] != 0 {
		delete(s.left, fd)
		s.closed[fd] = true
	}
}

// loses notes that a worker let go of fds: of those that nobody else has, it was the end.
func (s *stage) loses(fds []int) {
	for _, fd := range fds {
		if s.left[fd] != 0 {
			delete(s.left, fd)
			s.closed[fd] = true
		}
	}
}

func (s *stage) accepts(p *peer) { s.tb.Helper(); s.answer(p, true) }
func (s *stage) refuses(p *peer) { s.tb.Helper(); s.answer(p, false) }

// everyoneAccepts has all workers accept all that they were sent.
func (s *stage) everyoneAccepts() {
	s.tb.Helper()
	for again := true; again; {
		again = false
		for _, id := range slices.Sorted(maps.Keys(s.peers)) {
			if p := s.peers[id]; p != nil && !p.closed && len(p.owed) > 0 && !s.ended {
				s.accepts(p)
				again = true
			}
		}
	}
	s.polled()
}

// ends has p close its channel.
func (s *stage) ends(p *peer) {
	s.tb.Helper()
	s.loses(p.given())
	p.closed, p.owed = true, nil
	s.turn(event{kind: evChannelEnd, worker: p.id})
	s.polled()
}

// dies has p end, channel and process.
func (s *stage) dies(p *peer) { s.tb.Helper(); s.exits(p, exit{code: 1, reason: "exited with code 1"}) }

func (s *stage) exits(p *peer, e exit) {
	s.tb.Helper()
	if !p.closed {
		s.ends(p)
	}
	s.turn(event{kind: evExited, worker: p.id, exit: e})
	s.polled()
}

// given lists the connections that p was sent and has not answered.
func (p *peer) given() []int {
	var fds []int
	for _, m := range p.owed {
		fds = append(fds, m.fds...)
	}
	return fds
}

package master

import (
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
)

// lives are what masters are killed in: set sets the stage, and run is what happens
// until the master is killed, at each point in turn.
var lives = []struct {
	name  string
	batch int
	set   func(s *stage)
	run   func(s *stage)
	lossy bool // workers refuse, or die
}{
	{name: "first start", run: func(s *stage) {
		s.web()
		s.turn(event{kind: evStart})
		for _, p := range s.starting() {
			s.opens(p, s.batch, s.queries...)
		}
	}},
	{name: "connections to Node workers", set: served, run: func(s *stage) {
		s.arrive(s.t.listeners[0], 5)
		s.acks(s.peer(0))
		s.accepts(s.peer(1))
		s.arrive(s.t.listeners[0], 4)
		s.everyoneAccepts()
	}},
	{name: "connections in batches", batch: 3, set: served, run: func(s *stage) {
		s.arrive(s.t.listeners[0], 7)
		s.everyoneAccepts()
		s.arrive(s.t.listeners[0], 9)
		s.everyoneAccepts()
	}},
	{name: "refusals", lossy: true, set: served, run: func(s *stage) {
		s.arrive(s.t.listeners[0], 6)
		s.nacks(s.peer(0))
		s.refuses(s.peer(1))
		s.pass(time.Second)
		s.everyoneAccepts()
	}},
	{name: "refusals in batches", lossy: true, batch: 3, set: served, run: func(s *stage) {
		s.arrive(s.t.listeners[0], 6)
		s.answer(s.peer(0), true, 0, 2)
		s.refuses(s.peer(1))
		s.pass(time.Second)
		s.everyoneAccepts()
	}},
	{name: "a worker dies of its connections", lossy: true, set: served, run: func(s *stage) {
		s.arrive(s.t.listeners[0], 6)
		s.acks(s.peer(0))
		s.dies(s.peer(0))
		s.everyoneAccepts()
		s.pass(time.Second)
		s.opens(s.newest(), s.batch, s.queries...)
	}},
	{name: "a worker leaves of its own will", set: served, run: func(s *stage) {
		p := s.peer(0)
		s.says(p, wire.Message{Kind: wire.Exited, Ack: -1})
		s.exits(p, exit{reason: "exited with code 0"})
		s.pass(time.Second)
		s.opens(s.newest(), s.batch, s.queries...)
	}},
	{name: "listeners of our own", run: func(s *stage) {
		s.queries = []*wire.Query{port(8080), port(0)}
		s.turn(event{kind: evStart})
		for _, p := range s.starting() {
			s.opens(p, s.batch, s.queries...)
		}
		s.arrive(s.t.listeners[0], 2)
		s.everyoneAccepts()
		for i := range 2 {
			if p := s.peer(i); len(p.keys) > 1 {
				s.says(p, wire.Message{Kind: wire.Close, Key: p.keys[1], Ack: -1})
			}
		}
	}},
	{name: "sockets that are shared", run: func(s *stage) {
		s.queries = []*wire.Query{port(80), dgram("0.0.0.0", 53), dgram("::", 0)}
		s.web()
		s.udp("dns", "0.0.0.0:53")
		s.t.cfg.Bind = true
		s.turn(event{kind: evStart})
		for _, p := range s.starting() {
			s.opens(p, s.batch, s.queries...)
		}
		s.arrive(s.t.listeners[0], 2)
		s.everyoneAccepts()
		if p := s.peer(1); len(p.keys) > 2 {
			s.says(p, wire.Message{Kind: wire.Close, Key: p.keys[2], Ack: -1})
		}
	}},
	{name: "reload", set: served, run: func(s *stage) {
		s.arrive(s.t.listeners[0], 2)
		s.reload(nil)
		for range 2 {
			s.opens(s.newest(), s.batch, s.queries...)
			s.leave()
		}
		s.arrive(s.t.listeners[0], 2)
		s.everyoneAccepts()
	}},
	{name: "a reload of another number", set: served, run: func(s *stage) {
		s.reload(func(c *settings.Settings) { c.Workers, c.Surge = 3, 2 })
		for range 3 {
			for _, p := range s.starting() {
				s.opens(p, s.batch, s.queries...)
			}
			s.leave()
		}
	}},
	{name: "a reload that is taken back", set: served, run: func(s *stage) {
		s.reload(nil)
		s.opens(s.newest(), s.batch, s.queries...)
		s.leave()
		s.dies(s.newest())
		s.opens(s.newest(), s.batch, s.queries...)
		s.leave()
	}},
	{name: "scale up and down", set: served, run: func(s *stage) {
		s.turn(event{kind: evScale, n: 3})
		s.opens(s.newest(), s.batch, s.queries...)
		s.turn(event{kind: evScale, n: 1})
		s.leave()
	}},
	{name: "a drain that is ended by force", set: served, run: func(s *stage) {
		p := s.peer(0)
		s.turn(event{kind: evDrainWorker, worker: p.id})
		s.opens(s.newest(), s.batch, s.queries...)
		s.pass(time.Minute)
		s.exits(p, exit{code: -1, signal: "SIGKILL", reason: "was killed by SIGKILL"})
	}},
	{name: "stop", set: served, run: func(s *stage) {
		s.arrive(s.t.listeners[0], 2)
		s.turn(event{kind: evStop})
		s.leave()
	}},
	{name: "stop with a listener of our own", run: func(s *stage) {
		s.queries = []*wire.Query{port(8080)}
		s.turn(event{kind: evStart})
		for _, p := range s.starting() {
			s.opens(p, s.batch, s.queries...)
		}
		s.waiting[s.t.listeners[0]] = 2
		s.turn(event{kind: evStop})
		s.leave()
	}},
	{name: "leave", set: served, run: func(s *stage) {
		s.arrive(s.t.listeners[0], 2)
		s.turn(event{kind: evLeave})
		s.everyoneAccepts()
	}},
	{name: "leave for a restart, in a reload", set: served, run: func(s *stage) {
		s.reload(nil)
		s.opens(s.newest(), s.batch, s.queries...)
		s.turn(event{kind: evLeave, n: 1})
	}},
	{name: "leave, and stop all the same", lossy: true, set: served, run: func(s *stage) {
		s.arrive(s.t.listeners[0], 2)
		s.dies(s.peer(0))
		s.turn(event{kind: evLeave, n: 1})
		s.turn(event{kind: evStop})
		s.leave()
	}},
}

// served sets a stage on which two workers serve a passed listener.
func served(s *stage) {
	s.web()
	s.turn(event{kind: evStart})
	for _, p := range s.starting() {
		s.opens(p, s.batch, s.queries...)
	}
}

func TestAMasterMayBeKilledAtAnyPoint(t *testing.T) {
	for _, life := range lives {
		t.Run(life.name, func(t *testing.T) {
			each := 1
			if testing.Short() {
				each = 4
			}
			n, killed := 1-each, true
			for killed {
				n += each
				s := newStage(t, standard(2))
				s.queries, s.batch, s.strict, s.t.stores = []*wire.Query{port(80)}, life.batch, true, true
				if life.set != nil {
					life.set(s)
				}
				killed = s.killedAt(n, func() { life.run(s) })
				lost := s.crash(aftermath{after: time.Second})
				s.calm()
				s.checkEnd()
				s.checkDelivered()
				s.checkGeneration()
				if c := s.t.count; !life.lossy && (c.ClosedUndelivered != uint64(lost) || c.Ambiguous != 0) {
					t.Errorf("point %d: %+v, want what was accepted and not sent alone to be lost, which is %d", n, c, lost)
				}
				if t.Failed() {
					t.Fatalf("at point %d; the log is\n%s", n, s.log.String())
				}
			}
			if n < 10 {
				t.Errorf("the master was killed at %d points, want more", n-1)
			}
		})
	}
}

// A next master may be killed, too, before it has taken over.
func TestAMasterMayBeKilledAtAnyPointOfItsAdoption(t *testing.T) {
	for n, killed := 1, true; killed; n++ {
		s := newStage(t, standard(2))
		s.queries, s.strict = []*wire.Query{port(80), port(8081)}, true
		s.turn(event{kind: evStart})
		for _, p := range s.starting() {
			s.opens(p, 0, s.queries...)
		}
		s.arrive(s.t.listeners[0], 5)
		s.reload(nil)
		gone := s.peer(1)
		lost := 0
		killed = s.killedAt(n, func() {
			lost += s.crash(aftermath{gone: []*peer{gone}})
			for _, p := range []*peer{s.peers[1], s.newest()} {
				s.behave(p)
			}
		})
		s.crash(aftermath{})
		s.calm()
		s.checkEnd()
		s.checkDelivered()
		s.checkGeneration()
		if t.Failed() {
			t.Fatalf("at point %d", n)
		}
	}
}

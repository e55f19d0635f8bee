package master

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

func TestAnAdoptedWorkerGetsNothingBeforeItHasAnsweredTheProbe(t *testing.T) {
	s := kept(t)
	s.crash(aftermath{})
	l := s.t.listeners[0]
	s.arrive(l, 6)
	s.expect(t, "nobody has answered", "send")
	if s.waiting[l] != 6 {
		t.Errorf("%d connections wait in the kernel, want all 6", s.waiting[l])
	}
	s.pass(400 * time.Millisecond)
	s.accepts(s.peers[2])
	s.polled()
	s.expect(t, "one has", "send", "send 2 [101]", "send 2 [102]", "send 2 [103]", "send 2 [104]")
	s.pass(599 * time.Millisecond)
	if n := s.said("does not answer"); n != 0 {
		t.Errorf("said %d times before ack-timeout that the other does not", n)
	}
	s.pass(time.Minute)
	if n := s.said("adopted worker does not answer and gets nothing new until it does"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	s.everyoneAccepts()                              // the probe, late, too
	if n := s.said("worker answers again"); n != 2 { // the other was silent for that minute, too
		t.Errorf("said %d times that a worker answers again, want of both", n)
	}
	s.everyoneAccepts()
	s.arrive(l, 2)
	if len(s.peers[1].owed) == 0 {
		t.Error("it answers late, and gets nothing")
	}
}

func TestAProbeThatWasNotTakenIsRepeated(t *testing.T) {
	for _, row := range []struct {
		name string
		set  func(s *stage, p *peer)
		once func(s *stage, p *peer) // after each of the first three tries
		last func(s *stage, p *peer)
	}{
		{"refused by the worker", func(*stage, *peer) {}, func(s *stage, p *peer) { s.nacks(p) }, func(s *stage, p *peer) {}},
		{"too many descriptors under way", func(s *stage, p *peer) { p.err = unix.ETOOMANYREFS }, func(*stage, *peer) {}, func(s *stage, p *peer) { p.err = nil }},
		{"channel full", func(s *stage, p *peer) { p.full = true }, func(*stage, *peer) {}, func(s *stage, p *peer) { p.reads(s) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := kept(t)
			p := s.peers[1]
			row.set(s, p)
			s.crash(aftermath{})
			tried := func(want int, when string) {
				if got := len(slices.DeleteFunc(s.took("probe"), func(d string) bool { return d != "probe 1" })); got != want {
					t.Errorf("%s: probed %d times, want %d", when, got, want)
				}
			}
			for range 3 {
				tried(1, "a try")
				row.once(s, p)
				s.pass(probeEvery - 1)
				tried(0, "just before the next")
				s.pass(1)
			}
			row.last(s, p)
			s.pass(time.Minute)
			if n := s.said("adopted worker does not answer"); n != 2 {
				t.Errorf("said %d times, want once of each worker", n)
			}
			for len(p.owed) > 1 { // of the last tries all but the last
				s.nacks(p)
			}
			s.everyoneAccepts()
			if s.worker(p).probing {
				t.Error("it has answered, and gets nothing still")
			}
		})
	}
}

func TestAWorkerWhoseChannelIsBrokenIsNotProbedForEver(t *testing.T) {
	s := kept(t)
	s.peers[1].err = unix.EPIPE
	s.crash(aftermath{})
	s.took()
	s.pass(hangUpGrace)
	s.expect(t, "it closed its channel", "probe")
	if s.t.slots[0].current != nil {
		t.Error("it has its slot still")
	}
	s.pass(time.Second)
	s.opens(s.newest(), 0, port(80))
	if s.t.slots[0].current == nil {
		t.Error("no other has its slot")
	}
}

// Acknowledgements have no number: those of the last master's handoffs must not be
// taken for those of this one's.
func TestLateAcknowledgementsAreNotOurs(t *testing.T) {
	for _, batch := range []int{0, 3} {
		t.Run(fmt.Sprintf("batch %d", batch), func(t *testing.T) {
			s, l := serveAs(t, standard(1), batch)
			s.strict = true
			s.arrive(l, 3)
			p := s.peer(0)
			s.crash(aftermath{})
			l = s.t.listeners[0]
			s.arrive(l, 1)
			s.took()
			for len(p.owed) > 1 {
				s.accepts(p)
			}
			s.expect(t, "what the last master sent is answered", "send")
			s.accepts(p)
			s.expect(t, "the probe is", "send", "send 1 [104]")
			if got := s.t.count; got != (Counters{HandedOver: 3}) || s.worker(p).handedOver != 3 {
				t.Errorf("%+v, and the worker took %d; want 3 handed over", got, s.worker(p).handedOver)
			}
			s.dies(p)
			if got := s.t.count; got.Ambiguous != 0 || got.Redistributed != 1 {
				t.Errorf("it died with one that it had not acknowledged: %+v, want that one given again", got)
			}
		})
	}
}

func TestWhatACrashCostsIsCounted(t *testing.T) {
	for _, row := range []struct {
		name  string
		batch int
		set   func(s *stage, l *listener) // until the crash
		after func(s *stage, p *peer)
		want  Counters
		said  string
	}{
		{
			name: "accepted, not sent, which is one where each goes alone",
			set: func(s *stage, l *listener) {
				s.waiting[l] = 3
				s.killedWhen(func() bool { return s.mem.accepted == 3 }, func() { s.accept(l) })
			},
			want: Counters{HandedOver: 2, ClosedUndelivered: 1}, said: "held=1",
		}, {
			name: "accepted, not sent, which is a whole batch", batch: 4,
			set:  func(s *stage, l *listener) { s.waiting[l] = 3; s.accept(l) },
			want: Counters{ClosedUndelivered: 3}, said: "held=3",
		}, {
			name: "intended, not sent",
			set: func(s *stage, l *listener) {
				s.waiting[l] = 1
				s.killedWhen(func() bool { return len(s.mem.workers[1].intents) > 0 }, func() { s.accept(l); s.acceptAll() })
			},
			want: Counters{ClosedUndelivered: 1}, said: "the last master ended before it had handed them over",
		}, {
			name: "sent, taken after", set: func(s *stage, l *listener) { s.arrive(l, 3) },
			want: Counters{HandedOver: 3},
		}, {
			name: "sent in a batch, taken after", batch: 4, set: func(s *stage, l *listener) { s.arrive(l, 3) },
			want: Counters{HandedOver: 3},
		}, {
			name: "sent, refused after", set: func(s *stage, l *listener) { s.arrive(l, 3) },
			after: func(s *stage, p *peer) { s.refuses(p); s.accepts(p); s.refuses(p) },
			want:  Counters{HandedOver: 1, ClosedUndelivered: 2}, said: "it refused them",
		}, {
			name: "sent in a batch, some refused after", batch: 4, set: func(s *stage, l *listener) { s.arrive(l, 3) },
			after: func(s *stage, p *peer) { s.answer(p, true, 1, 1, 7, -1) },
			want:  Counters{HandedOver: 2, ClosedUndelivered: 1}, said: "held=1",
		}, {
			name: "sent, not taken by the channel of the worker", set: func(s *stage, l *listener) { s.arrive(l, 2) },
			after: func(s *stage, p *peer) { s.nacks(p); s.accepts(p) },
			want:  Counters{HandedOver: 1, ClosedUndelivered: 1}, said: "held=1",
		}, {
			name: "sent, and the worker died after", set: func(s *stage, l *listener) { s.arrive(l, 3) },
			after: func(s *stage, p *peer) { s.accepts(p); s.dies(p) },
			want:  Counters{HandedOver: 1, Ambiguous: 2},
		}, {
			name: "sent, and the worker is gone with the master", set: func(s *stage, l *listener) { s.arrive(l, 3) },
			after: nil, want: Counters{ClosedUndelivered: 3}, said: "held=3",
		}, {
			name: "answered before", set: func(s *stage, l *listener) { s.arrive(l, 3); s.everyoneAccepts() },
			want: Counters{HandedOver: 3},
		}, {
			name: "answered, and the answer not seen to",
			set: func(s *stage, l *listener) {
				s.arrive(l, 1)
				s.killedAt(3, func() { s.accepts(s.peers[1]) })
			},
			want: Counters{HandedOver: 1},
		}, {
			name: "answered, and the answer seen to and read again",
			set: func(s *stage, l *listener) {
				s.arrive(l, 1)
				p := s.peers[1]
				s.killedWhen(func() bool { return p.line != nil && len(s.mem.workers[1].intents) == 0 }, func() { s.accepts(p) })
			},
			want: Counters{HandedOver: 1},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, l := serveAs(t, standard(1), row.batch)
			s.queries, s.strict = []*wire.Query{port(80)}, true
			row.set(s, l)
			p := s.peers[1]
			var a aftermath
			if strings.Contains(row.name, "is gone") {
				a.gone = []*peer{p}
			}
			s.log.Reset()
			s.crash(a)
			if row.after != nil {
				row.after(s, p)
			}
			s.calm()
			s.checkEnd()
			if got := s.t.count; got != row.want {
				t.Errorf("%+v, want %+v", got, row.want)
			}
			if row.said != "" && s.said(row.said) == 0 || row.want.ClosedUndelivered == 0 && s.said("lost") > 0 {
				t.Errorf("want %q in the log:\n%s", row.said, s.log.String())
			}
			before := s.t.count
			s.crash(aftermath{}) // which counts nothing twice
			s.calm()
			if got := s.t.count; got != before {
				t.Errorf("after one more crash %+v, want %+v", got, before)
			}
		})
	}
}

func TestDeadlinesThatPassedMeanwhile(t *testing.T) {
	for _, row := range []struct {
		name  string
		set   func(s *stage)
		after time.Duration
		did   []string // signal, spawn
		then  time.Duration
		later []string
	}{
		{
			name: "drain-timeout, not yet", after: 29 * time.Second,
			set:  func(s *stage) { s.turn(event{kind: evScale, n: 1}) },
			then: time.Second, later: []string{"signal 2 SIGTERM"},
		}, {
			name: "drain-timeout", after: time.Minute,
			set: func(s *stage) { s.turn(event{kind: evScale, n: 1}) },
			did: []string{"signal 2 SIGTERM"}, then: 5 * time.Second, later: []string{"signal 2 SIGKILL"},
		}, {
			name: "kill-timeout", after: time.Minute,
			set: func(s *stage) { s.turn(event{kind: evScale, n: 1}); s.pass(30 * time.Second) },
			did: []string{"signal 2 SIGKILL"},
		}, {
			name: "killed, and the order may be lost",
			set:  func(s *stage) { s.turn(event{kind: evScale, n: 1}); s.pass(35 * time.Second) },
			then: 5 * time.Second, later: []string{"signal 2 SIGKILL"},
		}, {
			name: "start-timeout: nobody heard the worker", after: 2 * time.Minute,
			set:  func(s *stage) { s.turn(event{kind: evScale, n: 3}); s.online(s.newest(), 0) },
			then: time.Minute, later: []string{"signal 3 SIGTERM", "spawn 4 slot 2 generation 1"},
		}, {
			name: "start-timeout, before", after: time.Second,
			set: func(s *stage) {
				s.turn(event{kind: evScale, n: 3})
				s.online(s.newest(), 0)
				s.pass(time.Minute)
				s.turn(event{kind: evScale, n: 2})
			},
			then: 4 * time.Second, later: []string{"signal 3 SIGKILL"},
		}, {
			name: "the next start of a slot", after: time.Minute,
			set: func(s *stage) { s.dies(s.peers[2]) },
			did: []string{"spawn 3 slot 1 generation 1"},
		}, {
			name: "a channel that was closed", after: time.Minute,
			set:  func(s *stage) { s.ends(s.peers[2]) },
			then: hangUpGrace + 100*time.Millisecond, later: []string{"spawn 3 slot 1 generation 1"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := kept(t)
			row.set(s)
			s.did = nil
			s.crash(aftermath{after: row.after})
			s.expect(t, "adopted", "signal spawn", row.did...)
			if row.later == nil {
				return
			}
			s.pass(row.then - 1)
			s.expect(t, "just before the next deadline", "signal spawn")
			s.pass(time.Second)
			s.expect(t, "then", "signal spawn", row.later...)
		})
	}
}

// Their life is not known: they finish what they hold, and leave, whatever is known of
// their channels.
func TestStraysLeave(t *testing.T) {
	s := kept(t)
	s.turn(event{kind: evScale, n: 3})
	s.ready()
	s.turn(event{kind: evScale, n: 2}) // 3 was told
	l := s.t.listeners[0]
	s.arrive(l, 2)
	s.did = nil
	s.crash(aftermath{refused: true})
	for i, want := range []string{"probe 1", "probe 2", "probe 3", "spawn 4 slot 0 generation 1", "spawn 5 slot 1 generation 1"} {
		if got := s.did; !slices.Contains(got, want) {
			t.Errorf("%d: adopted: did %q, want %q", i, got, want)
		}
	}
	s.pass(hush)
	for id := 1; id <= 3; id++ {
		if !s.peers[id].told {
			t.Errorf("worker %d was not told to leave", id)
		}
	}
	if s.t.phase != starting {
		t.Errorf("phase %v, want %v", s.t.phase, starting)
	}
	s.crash(aftermath{}) // which does not bring them back
	s.expectSlots(t, "one more crash", "starting 6", "starting 7")
	s.calm()
	s.expectSlots(t, "in the end", "ready 6", "ready 7")
	s.checkEnd()
	if n := len(s.t.workers); n != 2 {
		t.Errorf("%d workers are left, want 2", n)
	}
}

func TestAStrayThatStaysIsEnded(t *testing.T) {
	s := kept(t)
	s.crash(aftermath{refused: true})
	s.took()
	for _, step := range []struct {
		after time.Duration
		name  string
	}{{30 * time.Second, "SIGTERM"}, {5 * time.Second, "SIGKILL"}} {
		s.pass(step.after - 1)
		s.expect(t, "just before", "signal")
		s.pass(1)
		if got, want := slices.Sorted(slices.Values(s.took("signal"))), []string{"signal 1 " + step.name, "signal 2 " + step.name}; !slices.Equal(got, want) {
			t.Errorf("after %v: %q, want %q", step.after, got, want)
		}
	}
}

// A worker's own words count that it said while no master ran, or that the last one had
// not seen to.
func TestWhatAWorkerSaidIsHeardOnce(t *testing.T) {
	for _, row := range []struct {
		name  string
		says  func(s *stage, p *peer)
		set   func(s *stage, p *peer)
		wait  bool // for "ready"
		state workerState
		want  want
	}{
		{name: "online", says: func(s *stage, p *peer) { s.says(p, wire.Message{Kind: wire.Online, Batch: 3, Ack: -1}) }, state: wOnline},
		{
			name: "listening", set: func(s *stage, p *peer) { s.online(p, 0); s.asks(p, port(80)) },
			says: func(s *stage, p *peer) { s.listens(p, port(80)) }, state: wReady,
		}, {
			name: "listening, and ready before", wait: true,
			set: func(s *stage, p *peer) {
				s.online(p, 0)
				s.says(p, wire.Message{Kind: wire.User, Body: []byte(`"ready"`), Ack: -1})
				s.asks(p, port(80))
			},
			says: func(s *stage, p *peer) { s.listens(p, port(80)) }, state: wReady,
		}, {
			name: "ready, and listening before", wait: true,
			set:  func(s *stage, p *peer) { s.opens(p, 0, port(80)) },
			says: func(s *stage, p *peer) { s.says(p, wire.Message{Kind: wire.User, Body: []byte(`"ready"`), Ack: -1}) }, state: wReady,
		}, {
			name: "queryServer", set: func(s *stage, p *peer) { s.online(p, 0) },
			says: func(s *stage, p *peer) { s.asks(p, port(80)) }, state: wOnline,
		}, {
			name: "close", set: func(s *stage, p *peer) { s.opens(p, 0, port(80)); s.asks(p, port(81)) },
			says: func(s *stage, p *peer) { s.says(p, wire.Message{Kind: wire.Close, Key: p.keys[1], Ack: -1}) }, state: wReady,
		}, {
			name: "it leaves", set: func(s *stage, p *peer) { s.opens(p, 0, port(80)) },
			says: func(s *stage, p *peer) { s.says(p, wire.Message{Kind: wire.Exited, Ack: -1}) }, state: wDraining, want: down,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			for n := 1; ; n++ {
				cfg := standard(2)
				cfg.WaitReady = row.wait
				s := newStage(t, cfg)
				s.begins(cfg)
				s.tcp("alt", "[::]:81")
				s.opens(s.peers[2], 0, port(80))
				p := s.peers[1]
				s.spawned(p)
				s.keeps(p)
				if row.set != nil {
					row.set(s, p)
				}
				if !s.killedAt(n, func() { row.says(s, p) }) {
					return
				}
				s.crash(aftermath{})
				w := s.worker(p)
				if w.state != row.state || w.want != row.want {
					t.Fatalf("point %d: it is %v and wanted %v, want %v, %v", n, w.state, w.want, row.state, row.want)
				}
				if p.line != nil || w.violations > 0 {
					t.Fatalf("point %d: not heard, or taken for misbehaviour", n)
				}
				if row.wait { // which the others do not say
					continue
				}
				s.calm()
				s.checkEnd()
				if got := s.worker(s.peer(0)).batch; row.name == "online" && got != 3 {
					t.Errorf("point %d: it takes batches of %d, want 3", n, got)
				}
			}
		})
	}
}

package master

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// expectCounts fails the test unless the counters are want.
func (s *stage) expectCounts(t *testing.T, want Counters) {
	t.Helper()
	if s.t.count != want {
		t.Errorf("the counters are %+v, want %+v", s.t.count, want)
	}
}

func TestTheMastersCopyIsClosedAtTheAnswerAndNotBefore(t *testing.T) {
	s, l := serve(t, 1)
	s.arrive(l, 1)
	s.expect(t, "sent", "send close", "send 1 [101]")
	s.acks(s.peer(0))
	s.expect(t, "acknowledged", "close")
	s.expectCounts(t, Counters{})
	s.accepts(s.peer(0))
	s.expect(t, "accepted", "close", "close 101")
	s.expectCounts(t, Counters{HandedOver: 1})
	if got := s.t.workers[1].handedOver; got != 1 {
		t.Errorf("the worker took %d connections, want 1", got)
	}
}

// Whatever a worker does with a connection before it has taken it, another one gets it.
func TestAConnectionThatWasNotTakenGoesToTheNext(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(s *stage, p *peer)
		want Counters
	}{
		{"NACK: the descriptor did not arrive", func(s *stage, p *peer) { s.nacks(p) }, Counters{Redistributed: 1}},
		{"accepted:false", func(s *stage, p *peer) { s.refuses(p) }, Counters{Redistributed: 1}},
		{"accepted:false without an ACK", func(s *stage, p *peer) {
			s.says(p, wire.Message{Kind: wire.Answer, Ack: p.owed[0].seq})
		}, Counters{Redistributed: 1}},
		{"death before the ACK", func(s *stage, p *peer) { s.dies(p) }, Counters{Redistributed: 1}},
		{"the channel ends before the ACK", func(s *stage, p *peer) { s.ends(p) }, Counters{Redistributed: 1}},
		{"the listener closes, then the ACK, then the channel ends", func(s *stage, p *peer) {
			delete(s.taken, 101)
			p.wild = true // its ACK promises nothing
			s.says(p, wire.Message{Kind: wire.Close, Key: p.keys[0], Ack: -1})
			s.acks(p)
			s.ends(p)
		}, Counters{Redistributed: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, l := serve(t, 2)
			s.arrive(l, 1)
			s.took()
			row.do(s, s.peer(0))
			s.expect(t, "the next worker", "send close", "send 2 [101]")
			s.expectCounts(t, row.want)
			s.accepts(s.peers[2])
			row.want.HandedOver++
			s.expectCounts(t, row.want)
		})
	}
}

func TestAConnectionThatTheChannelDidNotTakeGoesToTheNext(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		then string // what the worker gets next
	}{
		{"full", unix.EAGAIN, ""},
		{"too many descriptors under way", unix.ETOOMANYREFS, "send 1 [102]"},
		{"closed at the other end", unix.EPIPE, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, l := serve(t, 2)
			p := s.peer(0)
			p.err = row.err
			s.arrive(l, 1)
			s.expect(t, "the next worker", "send close", "send 1 [101]", "send 2 [101]")
			s.expectCounts(t, Counters{})
			p.err = nil
			s.pass(restMin)
			s.arrive(l, 1)
			want := "send 2 [102]"
			if row.then != "" {
				want = row.then
			}
			s.expect(t, "one more", "send", want)
		})
	}
}

func TestADeadWorkerGetsNothing(t *testing.T) {
	s, l := serve(t, 1)
	p := s.peer(0)
	p.dead = true
	s.arrive(l, 2)
	s.expect(t, "its process has ended, its channel not yet", "send close", "send 1 [101]")
	s.dies(p)
	s.pass(time.Second)
	s.opens(s.peer(0), 0, port(80))
	s.expect(t, "its successor", "send close", "send 2 [101]", "send 2 [102]")
}

func TestNeitherOfTwoWorkersThatTakeNothingIsTriedTwice(t *testing.T) {
	s, l := serve(t, 2)
	s.peer(0).full, s.peer(1).dead = true, true
	s.arrive(l, 2)
	s.expect(t, "one is full, one has ended", "send close", "send 1 [101]", "send 2 [101]")
	if got, want := heldFDs(l), []int{101}; !slices.Equal(got, want) {
		t.Errorf("held are %v, want %v", got, want)
	}
}

func TestAFullChannelGetsConnectionsAgainOnceItTakesThem(t *testing.T) {
	s, l := serve(t, 1)
	s.peer(0).full = true
	s.arrive(l, 2)
	s.expect(t, "nobody else is there", "send", "send 1 [101]")
	if len(l.held) != 1 {
		t.Fatalf("the listener holds %d, want the one that was tried", len(l.held))
	}
	s.peer(0).reads(s)
	s.expect(t, "it reads", "send", "send 1 [101]", "send 1 [102]")
}

// What was chosen for a worker and is not sent yet is taken back from one that
// cannot have it any more: no connection makes a way for nothing.
func TestWhatIsNotSentYetIsTakenBack(t *testing.T) {
	for name, do := range map[string]func(s *stage, p *peer){
		"its channel fills":      func(s *stage, p *peer) { s.apply(event{kind: evBlocked, worker: p.id}) },
		"its channel breaks":     func(s *stage, p *peer) { s.apply(event{kind: evBroken, worker: p.id}) },
		"its channel ends":       func(s *stage, p *peer) { p.closed = true; s.apply(event{kind: evChannelEnd, worker: p.id}) },
		"it leaves":              func(s *stage, p *peer) { s.says(p, wire.Message{Kind: wire.Exited, Ack: -1}) },
		"it closes the listener": func(s *stage, p *peer) { s.says(p, wire.Message{Kind: wire.Close, Key: p.keys[0], Ack: -1}) },
		"it is scaled away":      func(s *stage, p *peer) { s.apply(event{kind: evScale, n: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			s, l := serveAs(t, standard(2), 4)
			s.waiting[l] = 4
			s.accept(l)
			s.took()
			do(s, s.peers[2])
			s.acceptAll()
			if got := s.took("send", "close"); slices.ContainsFunc(got, func(d string) bool { return strings.HasPrefix(d, "send 2") }) {
				t.Errorf("done was %q, want nothing sent to worker 2", got)
			}
			if got, want := s.peers[1].given(), 2; len(got) < want {
				t.Errorf("worker 1 has %v, want its own and what came back", got)
			}
			s.expectCounts(t, Counters{})
		})
	}
}

func TestWhatIsNotSentYetGoesToTheSuccessor(t *testing.T) {
	s, l := serveAs(t, standard(1), 4)
	s.turn(event{kind: evDrainWorker, worker: 1})
	s.online(s.newest(), 4)
	s.asks(s.newest(), port(80))
	s.waiting[l] = 1
	s.accept(l)
	s.took()
	s.listens(s.newest(), port(80))
	s.expect(t, "the successor became ready", "send", "send 2 [101]")
}

func TestDeathBetweenAckAndAnswerIsAmbiguousAndTheConnectionIsClosed(t *testing.T) {
	for _, end := range []func(*stage, *peer){(*stage).dies, (*stage).ends} {
		s, l := serve(t, 2)
		s.arrive(l, 3) // 101 and 103 go to the first
		s.acks(s.peer(0))
		s.took()
		end(s, s.peer(0))
		s.expect(t, "it died with one acknowledged, and one not", "send close", "close 101", "send 2 [103]")
		s.expectCounts(t, Counters{Ambiguous: 1, Redistributed: 1})
	}
}

func TestTheSecondDeathOverAConnectionClosesIt(t *testing.T) {
	s, l := serve(t, 3)
	s.arrive(l, 1)
	s.dies(s.peers[1])
	s.took()
	s.dies(s.peers[2])
	s.expect(t, "a second worker died of it", "send close", "close 101")
	s.expectCounts(t, Counters{Redistributed: 1, ClosedUndelivered: 1})
	if !strings.Contains(s.log.String(), "two workers died before they took it") {
		t.Errorf("the log does not say why:\n%s", s.log.String())
	}
}

// A worker that leaves takes nobody's connections with it, however often that happens.
func TestAWorkerThatLeavesIsNoDeathOfItsConnections(t *testing.T) {
	s, l := serve(t, 4)
	s.arrive(l, 1)
	for i := 1; i <= 3; i++ {
		s.says(s.peers[i], wire.Message{Kind: wire.Exited, Ack: -1})
		s.took()
		s.exits(s.peers[i], exit{reason: "exited with code 0"})
		s.expect(t, "it left with the connection unacknowledged", "send close", "send "+itoa(i+1)+" [101]")
	}
	s.accepts(s.peers[4])
	s.expectCounts(t, Counters{Redistributed: 3, HandedOver: 1})
}

func TestBatchesGoInOneMessageAndAreAnsweredOnce(t *testing.T) {
	s, l := serveAs(t, standard(2), 3)
	s.arrive(l, 8)
	s.expect(t, "four each, in messages of three", "send", "send 1 [101 103 105]", "send 1 [107]", "send 2 [102 104 106]", "send 2 [108]")
	s.accepts(s.peer(0))
	s.expect(t, "the first answer", "close", "close 101", "close 103", "close 105")
	s.expectCounts(t, Counters{HandedOver: 3})
}

func TestAWorkerMayRefusePartOfABatch(t *testing.T) {
	for _, row := range []struct {
		name    string
		refused []int
		closed  []string
		back    []string
		counts  Counters
	}{
		{"the first and the last", []int{0, 2}, []string{"close 103"}, []string{"send 2 [101 105]"}, Counters{HandedOver: 1, Redistributed: 2}},
		{"one twice", []int{1, 1}, []string{"close 101", "close 105"}, []string{"send 2 [103]"}, Counters{HandedOver: 2, Redistributed: 1}},
		{"all of them", []int{2, 1, 0}, nil, []string{"send 2 [101 103 105]"}, Counters{Redistributed: 3}},
		{"what was not in it", []int{-1, 3, 1 << 40}, []string{"close 101", "close 103", "close 105"}, nil, Counters{HandedOver: 3}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, l := serveAs(t, standard(2), 3)
			s.arrive(l, 5)
			for len(s.peer(1).owed) > 0 {
				s.accepts(s.peer(1))
			}
			before := s.t.count.HandedOver
			s.took()
			s.answer(s.peer(0), true, row.refused...)
			s.expect(t, "the answer", "close send", append(row.closed, row.back...)...)
			row.counts.HandedOver += before
			s.expectCounts(t, row.counts)
		})
	}
}

func TestDeathOfAWorkerWithBatchesLeavesNothingAmbiguous(t *testing.T) {
	s, l := serveAs(t, standard(2), 3)
	s.arrive(l, 6)
	s.took()
	s.accepts(s.peer(1))
	s.took()
	s.dies(s.peer(0))
	s.expect(t, "a batch without an answer", "send close", "send 2 [101 103 105]")
	s.expectCounts(t, Counters{HandedOver: 3, Redistributed: 3})
}

func TestASilentWorkerGetsNothingNewAfterAckTimeout(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 2)
	silent := s.peer(0)
	s.accepts(s.peer(1))
	s.pass(time.Second - 1)
	s.arrive(l, 1)
	if len(silent.owed) != 2 {
		t.Fatalf("just before ack-timeout the silent worker has %d, want 2", len(silent.owed))
	}
	s.pass(1)
	s.took()
	s.arrive(l, 2)
	s.expect(t, "after ack-timeout", "send", "send 2 [104]", "send 2 [105]")
	if got := strings.Count(s.log.String(), "does not answer"); got != 1 {
		t.Errorf("the log says %d times that it does not answer, want once", got)
	}
	s.accepts(silent) // the old one; the other one was sent a moment ago
	s.took()
	s.arrive(l, 2)
	s.expect(t, "it answers again", "send", "send 1 [106]", "send 2 [107]")
	if got := strings.Count(s.log.String(), "answers again"); got != 1 {
		t.Errorf("the log says %d times that it answers again, want once", got)
	}
}

// A worker that slept and wakes answers all at once: that is one pause, and the log
// has two lines of it.
func TestAWorkerAnswersAgainWhenNothingOldIsLeft(t *testing.T) {
	s, l := serve(t, 1)
	s.arrive(l, 4)
	s.pass(3 * time.Second)
	for range 3 {
		s.accepts(s.peer(0))
		if !s.t.workers[1].stalled {
			t.Fatal("with an old connection unanswered it counts as answering")
		}
		s.pass(time.Millisecond)
	}
	s.accepts(s.peer(0))
	if s.t.workers[1].stalled {
		t.Error("with nothing left unanswered it counts as silent")
	}
	for _, line := range []string{"does not answer", "answers again"} {
		if got := strings.Count(s.log.String(), line); got != 1 {
			t.Errorf("the log has %q %d times, want once", line, got)
		}
	}
}

// One that answers all but one does not grow the list that is searched at each answer.
func TestAWorkerThatNeverAnswersOneIsPassedOver(t *testing.T) {
	s, l := serve(t, 1)
	s.arrive(l, 4)
	p := s.peer(0)
	p.wild = true
	for range 100 {
		for len(p.owed) > 1 {
			m := p.owed[1]
			p.owed = slices.Delete(p.owed, 1, 2)
			s.says(p, wire.Message{Kind: wire.Answer, Ack: m.seq, Accepted: true})
		}
		s.arrive(l, 4)
	}
	if got, want := s.t.workers[1].listed(), 2*4; got > want {
		t.Errorf("its list has %d handoffs, want at most %d", got, want)
	}
	s.pass(time.Second)
	if w := s.t.workers[1]; !w.stalled {
		t.Error("after ack-timeout it still gets connections")
	}
}

func TestWhatAWorkerMustNotSayIsNotedOnceAndHarmsNothing(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 1)
	s.took()
	p := s.peer(0)
	p.wild = true
	for range 3 {
		s.says(s.peer(1), wire.Message{Kind: wire.HandleAck, Ack: -1})
		s.says(s.peer(1), wire.Message{Kind: wire.HandleNack, Ack: -1})
		s.says(s.peer(1), wire.Message{Kind: wire.Answer, Ack: 7, Accepted: true})
		s.says(p, wire.Message{Kind: wire.Answer, Ack: 99, Accepted: true})
		s.says(p, wire.Message{Kind: wire.Answer, Ack: -1, Accepted: true})
		s.says(p, wire.Message{Kind: wire.Answer, Envelope: true, Ack: p.owed[0].seq, Accepted: true})
	}
	s.expect(t, "the soup", "send close line")
	for line, want := range map[string]int{"acknowledged a descriptor that was not sent": 1, "answered a message that was not sent": 2} {
		if got := strings.Count(s.log.String(), line); got != want {
			t.Errorf("the log has %q %d times, want %d: once a worker", line, got, want)
		}
	}
	if got, want := s.t.workers[2].violations, 9; got != want {
		t.Errorf("%d violations are counted, want %d", got, want)
	}
	s.accepts(p)
	s.expect(t, "its honest answer", "close", "close 101")
}

func TestAWorkerCannotFillTheLog(t *testing.T) {
	s, _ := serve(t, 1)
	for i := range 300 {
		s.turn(event{kind: evGarbage, worker: 1, err: unix.Errno(i)})
		s.asks(s.peer(0), &wire.Query{Address: strings.Repeat("x", 20_000), Port: i, Type: wire.Pipe, FD: -1})
		s.asks(s.peer(0), &wire.Query{Address: "1.2.3.4", Port: i, Type: wire.IPv4, FD: -1})
	}
	if got, most := s.log.Len(), 64<<10; got > most {
		t.Errorf("the log has %d bytes, want at most %d", got, most)
	}
}

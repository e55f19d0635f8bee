package master

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
)

// state gives the state of the worker that serves slot i.
func (s *stage) state(i int) workerState { s.tb.Helper(); return s.worker(s.peer(i)).state }

func TestTheFirstStartGoesFromStartingToReady(t *testing.T) {
	s := newStage(t, standard(2))
	l := s.web()
	s.turn(event{kind: evStart})
	s.expect(t, "start", "spawn notify", "spawn 1 slot 0 generation 1", "spawn 2 slot 1 generation 1",
		fmt.Sprintf("notify %+v", Event{Extend: extendFor}), fmt.Sprintf("notify %+v", Event{Status: "generation 1: 0/2 ready, 0 conn/s, 0 waiting"}))
	for i, p := range s.starting() {
		if got := s.state(i); got != wStarting {
			t.Errorf("a new worker is %v, want %v", got, wStarting)
		}
		s.online(p, 0)
		if got := s.state(i); got != wOnline {
			t.Errorf("after its first message it is %v, want %v", got, wOnline)
		}
		s.asks(p, port(80))
		if got := s.state(i); got != wOnline {
			t.Errorf("when it may listen it is %v, want %v", got, wOnline)
		}
		s.arrive(l, 1)
		s.listens(p, port(80))
		if got := s.state(i); got != wReady {
			t.Errorf("when it listens it is %v, want %v", got, wReady)
		}
		s.polled()
	}
	got := slices.DeleteFunc(s.took("notify"), func(d string) bool { return !strings.Contains(d, "Ready:true") })
	if len(got) != 1 || !strings.Contains(got[0], "generation 1: 2/2 ready") {
		t.Errorf("the service manager was told %q, want once that it is ready, with the status", got)
	}
	if got, want := s.peer(0).given(), []int{101, 102}; !slices.Equal(append(got, s.peer(1).given()...), want) {
		t.Errorf("what waited went to %v and %v, want %v", s.peer(0).given(), s.peer(1).given(), want)
	}
	if s.t.startLimit != 0 {
		t.Error("the start-timeout still runs")
	}
}

func TestConnectionsAreServedBeforeEverySlotIsReady(t *testing.T) {
	s := newStage(t, standard(2))
	l := s.web()
	s.turn(event{kind: evStart})
	s.opens(s.peer(1), 0, port(80))
	s.arrive(l, 1)
	if got, want := s.peer(1).given(), []int{101}; !slices.Equal(got, want) {
		t.Errorf("the worker that is ready has %v, want %v", got, want)
	}
}

// What a worker takes in one message cannot change while it is being sent.
func TestOnlineCountsOnce(t *testing.T) {
	s, l := serveAs(t, standard(1), 3)
	s.says(s.peer(0), wire.Message{Kind: wire.Online, Batch: 0, Ack: -1})
	s.arrive(l, 2)
	s.expect(t, "after a second online", "send", "send 1 [101 102]")
}

// The rules by which a worker counts as ready, and what it is told to lack.
func TestReadyRules(t *testing.T) {
	for _, row := range []struct {
		name    string
		adjust  func(*settings.Settings)
		then    func(s *stage, p *peer) // the successor's words
		ready   bool
		missing string
	}{
		{"it listens on all that its predecessor served", nil,
			func(s *stage, p *peer) { s.opens(p, 0, port(80), port(81)) }, true, ""},
		{"it listens on one of two", nil,
			func(s *stage, p *peer) { s.opens(p, 0, port(80)) }, false, "does not listen on alt@[::]:81, which its predecessor served"},
		{"--ready first: one of two will do", func(c *settings.Settings) { c.Ready = settings.ReadyFirst },
			func(s *stage, p *peer) { s.opens(p, 0, port(81)) }, true, ""},
		{"--ready first: none will not", func(c *settings.Settings) { c.Ready = settings.ReadyFirst },
			func(s *stage, p *peer) { s.online(p, 0); s.asks(p, port(81)) }, false, "does not listen on anything"},
		{"--wait-ready: it listens and has not said so", func(c *settings.Settings) { c.WaitReady = true },
			func(s *stage, p *peer) { s.opens(p, 0, port(80), port(81)) }, false, `has not sent the message "ready"`},
		{"--wait-ready: it says so and listens then", func(c *settings.Settings) { c.WaitReady = true },
			func(s *stage, p *peer) {
				s.says(p, wire.Message{Kind: wire.User, Body: []byte(`"ready"`)})
				s.opens(p, 0, port(80), port(81))
			}, true, ""},
		{"--wait-ready: it listens and says so then", func(c *settings.Settings) { c.WaitReady = true },
			func(s *stage, p *peer) {
				s.opens(p, 0, port(80), port(81))
				s.says(p, wire.Message{Kind: wire.User, Body: []byte(`{"type":"ready"}`)})
				if s.worker(p).state == wReady {
					s.tb.Fatalf("another message counts as ready")
				}
				s.says(p, wire.Message{Kind: wire.User, Body: []byte(`"ready"`)})
			}, true, ""},
		{"it stops listening before it is ready", nil,
			func(s *stage, p *peer) {
				s.opens(p, 0, port(80))
				s.says(p, wire.Message{Kind: wire.Close, Key: p.keys[0], Ack: -1})
				s.asks(p, port(81))
				s.listens(p, port(81))
			}, false, "does not listen on web@[::]:80"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, standard(1))
			s.web()
			s.tcp("alt", "[::]:81")
			s.turn(event{kind: evStart})
			s.opens(s.peer(0), 0, port(80), port(81))
			cfg := standard(1)
			if row.adjust != nil {
				row.adjust(&cfg)
			}
			s.turn(event{kind: evReload, cfg: &cfg})
			p := s.newest()
			row.then(s, p)
			if got := s.worker(p).state == wReady; got != row.ready {
				t.Errorf("ready %v, want %v", got, row.ready)
			}
			if row.ready {
				return
			}
			s.pass(cfg.StartTimeout)
			if got := fmt.Sprint(s.err); !strings.Contains(got, "was not ready within 1m0s: it ") || !strings.Contains(got, row.missing) {
				t.Errorf("the reload ended with %q, want it to say that the worker was late and %q", got, row.missing)
			}
			if got := p.signal; got != "SIGTERM" {
				t.Errorf("the late worker got %q, want SIGTERM", got)
			}
			s.exits(p, exit{reason: "was killed by SIGTERM"})
			if !strings.Contains(s.log.String(), "; was killed by SIGTERM") {
				t.Errorf("the log does not say how and why it ended:\n%s", s.log.String())
			}
		})
	}
}

func TestASlotThatIsNewHasNoPredecessor(t *testing.T) {
	s := newStage(t, standard(1))
	s.web()
	s.tcp("alt", "[::]:81")
	s.turn(event{kind: evStart})
	s.opens(s.peer(0), 0, port(80), port(81))
	s.turn(event{kind: evScale, n: 2})
	s.opens(s.newest(), 0, port(80))
	if got := s.state(1); got != wReady {
		t.Errorf("the worker of a new slot, with one listener, is %v, want %v", got, wReady)
	}
}

// A listener of ours that closed is gone: no successor can listen on it.
func TestAListenerThatIsGoneIsNotMissed(t *testing.T) {
	s := newStage(t, standard(2))
	s.turn(event{kind: evStart})
	for _, p := range s.starting() {
		s.opens(p, 0, port(8080), port(8081))
	}
	s.dies(s.peer(0)) // it served both
	s.says(s.peers[2], wire.Message{Kind: wire.Close, Key: s.peers[2].keys[1], Ack: -1})
	s.pass(time.Second)
	s.opens(s.peer(0), 0, port(8080))
	if got := s.state(0); got != wReady {
		t.Errorf("the successor is %v, want %v: %s", got, wReady, s.t.missing(s.worker(s.peer(0))))
	}
}

func TestAFirstStartThatIsLateEndsWithTheReason(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(s *stage)
		want string
	}{
		{"it does not listen", func(s *stage) { s.online(s.peer(0), 0) },
			"worker of slot 0 not ready within start-timeout 1m0s: it does not listen on anything"},
		{"another slot is ready", func(s *stage) { s.opens(s.peer(0), 0, port(80)) },
			"worker of slot 1 not ready within start-timeout 1m0s: it does not listen on anything"},
		{"it died before", func(s *stage) {
			s.opens(s.peer(1), 0, port(80))
			s.exits(s.peer(0), exit{code: 3, reason: "exited with code 3", output: "no database"})
		}, "worker of slot 0 not ready within start-timeout 1m0s: it does not listen on anything; before that it exited with code 3; its last output: no database"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, standard(2))
			s.web()
			s.turn(event{kind: evStart})
			row.do(s)
			s.pass(time.Minute - 1)
			if s.t.phase != starting {
				t.Fatalf("before start-timeout the phase is %v, want %v", s.t.phase, starting)
			}
			s.pass(1 + settleTime)
			if got := fmt.Sprint(s.t.stopErr); got != row.want {
				t.Errorf("got  %q\nwant %q", got, row.want)
			}
			s.everyoneLeaves()
			if !s.ended || fmt.Sprint(s.err) != row.want {
				t.Errorf("ended %v with %v, want true with that", s.ended, s.err)
			}
		})
	}
}

// everyoneLeaves has all workers that were told to end do so.
func (s *stage) everyoneLeaves() {
	s.tb.Helper()
	for id := 1; id <= s.t.lastWorker; id++ {
		if p := s.peers[id]; p != nil && (p.told || p.signal != "") {
			s.exits(p, exit{reason: "exited with code 0"})
		}
	}
}

func TestThreeDeathsOfEveryWorkerEndTheFirstStart(t *testing.T) {
	s := newStage(t, standard(2))
	s.web()
	s.turn(event{kind: evStart})
	for round := range 3 {
		for slot := range 2 {
			if s.ended {
				t.Fatalf("it ended in round %d at slot %d", round, slot)
			}
			s.exits(s.peer(slot), exit{code: 1, reason: "exited with code 1", output: "SyntaxError"})
		}
		if !s.ended {
			s.pass(time.Second) // the backoff
		}
	}
	want := "every worker died 3 times before it was ready; the last one exited with code 1; its last output: SyntaxError"
	if !s.ended || fmt.Sprint(s.err) != want {
		t.Errorf("ended %v with %q\nwant true with %q", s.ended, s.err, want)
	}
}

func TestTheLogHasWhatADeadWorkerSaidIfItIsKnown(t *testing.T) {
	for output, want := range map[string]string{
		"": `msg="worker died" worker=1 slot=0 pid=0 generation=1 err="exited with code 1"` + "\n",
		"Error: no database\n    at x.js:1\nNode.js v20": `msg="worker died" worker=1 slot=0 pid=0 generation=1 err="exited with code 1" output="Error: no database"` + "\n",
	} {
		s := newStage(t, standard(1))
		s.web()
		s.turn(event{kind: evStart})
		s.exits(s.peer(0), exit{code: 1, reason: "exited with code 1", output: output})
		if got := s.log.String(); !strings.Contains(got, want) {
			t.Errorf("after the output %q the log has\n%s\nwant %s", output, got, want)
		}
	}
}

func TestOneWorkerThatDiesIsTriedUntilTheFirstStartIsOver(t *testing.T) {
	s := newStage(t, standard(2))
	s.web()
	s.turn(event{kind: evStart})
	s.opens(s.peer(1), 0, port(80))
	for range 5 {
		s.dies(s.peer(0))
		s.pass(4 * time.Second)
	}
	if s.t.phase != starting {
		t.Fatalf("the phase is %v, want %v", s.t.phase, starting)
	}
	s.opens(s.peer(0), 0, port(80))
	if s.t.phase != serving {
		t.Errorf("the phase is %v, want %v", s.t.phase, serving)
	}
}

func TestNothingEndsTheMasterAfterItServed(t *testing.T) {
	s, _ := serve(t, 1)
	for range 20 {
		s.dies(s.peer(0))
		s.pass(time.Minute)
	}
	if s.ended || s.t.phase != serving {
		t.Errorf("after twenty deaths: ended %v, phase %v, want false, %v", s.ended, s.t.phase, serving)
	}
	if got, want := s.t.slots[0].restarts, 20; got != want {
		t.Errorf("%d restarts are counted, want %d", got, want)
	}
}

func TestBackoffDoublesWithJitterAndIsForgottenAfterAStableMinute(t *testing.T) {
	s, _ := serve(t, 1)
	s.t.rand = rand.New(rand.NewPCG(3, 4))
	wait := func() time.Duration {
		s.dies(s.peer(0))
		at := s.t.slots[0].retryAt
		d := time.Duration(at - s.now)
		s.took()
		s.pass(d - 1)
		s.expect(t, "before the backoff is over", "spawn")
		s.pass(1)
		if got := s.took("spawn"); len(got) != 1 {
			t.Fatalf("after the backoff: %q, want one worker", got)
		}
		return d
	}
	jitter := false
	for _, least := range []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000} {
		least *= time.Millisecond
		got := wait()
		if got < least || got > least*5/4 {
			t.Errorf("the wait is %v, want from %v to a quarter more", got, least)
		}
		jitter = jitter || got != least
	}
	if !jitter {
		t.Error("no wait has jitter: workers that died together start together")
	}
	s.opens(s.peer(0), 0, port(80))
	s.pass(stableAfter - 1)
	if got := wait(); got < 30*time.Second {
		t.Errorf("after a minute but for a moment the wait is %v, want the longest", got)
	}
	s.opens(s.peer(0), 0, port(80))
	s.pass(stableAfter)
	if got := wait(); got < 100*time.Millisecond || got > 125*time.Millisecond {
		t.Errorf("after a stable minute the wait is %v, want the first again", got)
	}
}

func TestADeathDoesNotTouchTheOthers(t *testing.T) {
	s, l := serve(t, 3)
	s.took()
	s.dies(s.peer(1))
	s.arrive(l, 4)
	s.expect(t, "four come", "send line signal", "send 1 [101]", "send 3 [102]", "send 1 [103]", "send 3 [104]")
	s.everyoneAccepts()
	s.pass(time.Second)
	s.opens(s.peer(1), 0, port(80))
	s.took()
	s.arrive(l, 3)
	s.expect(t, "the slot is served again", "send", "send 1 [105]", "send 4 [106]", "send 3 [107]")
}

func TestAWorkerThatCannotBeStartedCountsAsDead(t *testing.T) {
	s := newStage(t, standard(1))
	s.web()
	s.turn(event{kind: evStart})
	for range 3 {
		p := s.peer(0)
		p.closed = true // it never had a channel
		s.exits(p, exit{code: -1, reason: "could not be started: no such file"})
		if !s.ended {
			s.pass(time.Second)
		}
	}
	if want := "every worker died 3 times before it was ready; the last one could not be started: no such file"; fmt.Sprint(s.err) != want {
		t.Errorf("ended with %q, want %q", s.err, want)
	}
}

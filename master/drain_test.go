package master

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

const disconnect = `{"cmd":"NODE_CLUSTER","act":"disconnect","seq":%d}`

func TestDrainEscalates(t *testing.T) {
	s, l := serve(t, 1)
	s.arrive(l, 1)
	s.turn(event{kind: evDrainWorker, worker: 1})
	s.opens(s.newest(), 0, port(80))
	s.expect(t, "the successor is ready", "signal")
	if s.peers[1].told {
		t.Fatal("the old worker was told to disconnect before it had answered for its connection, or left that out")
	}
	s.pass(2 * time.Second)
	if !s.peers[1].told {
		t.Fatal("the old worker was not told to disconnect")
	}
	s.arrive(l, 2)
	s.expect(t, "new connections", "send", "send 2 [102]", "send 2 [103]")
	s.accepts(s.peers[1])
	s.expect(t, "what it was sent before", "close send", "close 101")
	s.pass(28*time.Second - 1)
	s.expect(t, "just before drain-timeout", "signal")
	s.pass(1)
	s.expect(t, "at drain-timeout", "signal", "signal 1 SIGTERM")
	s.pass(5*time.Second - 1)
	s.expect(t, "just before kill-timeout", "signal")
	s.pass(1)
	s.expect(t, "at kill-timeout", "signal", "signal 1 SIGKILL")
	s.pass(time.Hour)
	s.expect(t, "an hour later", "signal spawn")
	s.exits(s.peers[1], exit{code: -1, signal: "SIGKILL", reason: "was killed by SIGKILL"})
	s.expect(t, "it has ended", "release spawn", "release 1")
}

func TestAWorkerThatIsNotReadyIsNotToldButEnded(t *testing.T) {
	s, _ := serve(t, 1)
	s.turn(event{kind: evScale, n: 2})
	s.online(s.newest(), 0)
	s.took()
	s.turn(event{kind: evScale, n: 1})
	s.expect(t, "a starting worker is scaled away", "line signal", "signal 2 SIGTERM")
	s.pass(5 * time.Second)
	s.expect(t, "after kill-timeout", "signal", "signal 2 SIGKILL")
}

func TestAWorkerThatLeavesIsAnsweredAndReplaced(t *testing.T) {
	s, l := serve(t, 2)
	s.took()
	p := s.peer(0)
	s.says(p, wire.Message{Kind: wire.Exited, Ack: -1})
	s.expect(t, "exitedAfterDisconnect", "line signal", fmt.Sprintf(`line 1 {"cmd":"NODE_CLUSTER","ack":%d,"seq":1}`, p.seq))
	s.arrive(l, 2)
	s.expect(t, "new connections go to the other", "send", "send 2 [101]", "send 2 [102]")
	s.pass(125 * time.Millisecond)
	s.expect(t, "after the backoff its slot gets a new worker", "spawn", "spawn 3 slot 0 generation 1")
	s.says(p, wire.Message{Kind: wire.Exited, Ack: -1})
	s.expect(t, "it says so again", "line spawn signal", fmt.Sprintf(`line 1 {"cmd":"NODE_CLUSTER","ack":%d,"seq":2}`, p.seq))
	s.exits(p, exit{reason: "exited with code 0"})
	s.expect(t, "it ends", "spawn release", "release 1")
	if got, want := s.t.slots[0].lastExit.reason, "left of its own will; exited with code 0"; got != want {
		t.Errorf("the last exit of the slot is %q, want %q", got, want)
	}
}

func TestAWorkerThatLeavesAndStaysIsEnded(t *testing.T) {
	s, _ := serve(t, 1)
	p := s.peer(0)
	s.says(p, wire.Message{Kind: wire.Exited, Ack: -1})
	s.took()
	s.pass(20 * time.Second)
	s.says(p, wire.Message{Kind: wire.Exited, Ack: -1}) // which does not begin anew
	s.pass(10 * time.Second)
	s.expect(t, "after drain-timeout", "signal", "signal 1 SIGTERM")
}

func TestAWorkerThatClosesItsChannelAndLivesOnIsReplaced(t *testing.T) {
	for name, close := range map[string]func(s *stage, p *peer){
		"both ways":          func(s *stage, p *peer) { s.ends(p) },
		"for reading, by it": func(s *stage, p *peer) { s.turn(event{kind: evBroken, worker: p.id}) },
	} {
		t.Run(name, func(t *testing.T) {
			s, l := serve(t, 2)
			s.took()
			close(s, s.peer(0))
			s.arrive(l, 2)
			s.expect(t, "it closed its channel", "send signal spawn", "send 2 [101]", "send 2 [102]")
			if got, want := s.t.readyCount(), 1; got != want {
				t.Errorf("%d workers count as ready, want %d", got, want)
			}
			s.everyoneAccepts()
			s.pass(hangUpGrace)
			if s.t.slots[0].current != nil {
				t.Error("it still serves its slot")
			}
			s.pass(time.Second)
			if got, want := s.took("spawn"), []string{"spawn 3 slot 0 generation 1"}; !slices.Equal(got, want) {
				t.Errorf("after the backoff: %q, want %q", got, want)
			}
			s.opens(s.newest(), 0, port(80))
			s.pass(30 * time.Second)
			s.expect(t, "after drain-timeout", "signal", "signal 1 SIGTERM")
			s.exits(s.peers[1], exit{reason: "exited with code 0"})
			if got := strings.Count(s.log.String(), "closed its channel and lives on"); got != 1 {
				t.Errorf("the log says it %d times, want once", got)
			}
		})
	}
}

// A process closes its descriptors a little before its end shows.
func TestADyingWorkerHasNotClosedItsChannelOnPurpose(t *testing.T) {
	s, _ := serve(t, 1)
	s.ends(s.peer(0))
	s.pass(hangUpGrace - 1)
	s.dies(s.peer(0))
	s.pass(time.Second)
	if strings.Contains(s.log.String(), "lives on") || s.t.slots[0].lastExit.reason != "exited with code 1" {
		t.Errorf("it counts as living on; the slot's last exit is %q:\n%s", s.t.slots[0].lastExit.reason, s.log.String())
	}
}

func TestKillAndDrainOfOneWorkerAreTheOperators(t *testing.T) {
	s, _ := serve(t, 2)
	s.took()
	s.turn(event{kind: evKillWorker, worker: 1})
	s.expect(t, "kill", "signal spawn", "signal 1 SIGKILL")
	s.dies(s.peers[1])
	s.pass(time.Second)
	s.expect(t, "it died", "spawn signal", "spawn 3 slot 0 generation 1")
	if err := s.t.mayReplace(s.t.workers[3]); err != nil {
		t.Errorf("a starting worker may not be replaced: %v", err)
	}
	s.turn(event{kind: evDrainWorker, worker: 2})
	s.expect(t, "drain", "line spawn", "spawn 4 slot 1 generation 1")
	if err := s.t.mayReplace(s.t.workers[2]); err == nil {
		t.Error("a worker that is being replaced may be replaced again, want an error")
	}
	s.turn(event{kind: evDrainWorker, worker: 2})
	s.expect(t, "drain, again", "spawn line")
	s.dies(s.peers[4])
	s.pass(time.Minute)
	s.expect(t, "its successor died", "line signal spawn", "signal 3 SIGTERM", "spawn 5 slot 0 generation 1")
	if s.worker(s.peer(1)).id != 2 {
		t.Error("the worker does not serve on")
	}
}

// Both workers of a slot may die while one is to follow the other.
func TestASlotWhoseTwoWorkersDieIsTriedAgain(t *testing.T) {
	s, _ := serve(t, 1)
	s.turn(event{kind: evDrainWorker, worker: 1})
	s.dies(s.peers[1])
	s.took()
	s.dies(s.peers[2])
	s.pass(time.Second)
	s.expect(t, "both died", "spawn", "spawn 3 slot 0 generation 1")
}

func TestStopHandsOverWhatWasAcceptedAndThenDrains(t *testing.T) {
	s, l := serve(t, 1)
	s.arrive(l, 5)
	s.refuses(s.peer(0)) // 101 is held, one waits in the kernel
	s.took()
	s.turn(event{kind: evStop})
	if s.t.phase != settling || s.waiting[l] != 1 {
		t.Fatalf("phase %v, %d in the kernel, want %v and 1: it is the init system's", s.t.phase, s.waiting[l], settling)
	}
	s.expect(t, "stop", "line signal send")
	s.pass(restMin)
	s.expect(t, "the refused one", "send", "send 1 [101]")
	s.everyoneAccepts()
	s.pass(hush - 1)
	s.expect(t, "all is handed over", "line signal")
	s.pass(1)
	s.expect(t, "a moment later", "line signal", "line 1 "+fmt.Sprintf(disconnect, 6))
	if s.ended {
		t.Error("it ended before its worker")
	}
	s.exits(s.peer(0), exit{reason: "exited with code 0"})
	s.expect(t, "the worker left", "exit spawn", "exit <nil>")
	s.expectCounts(t, Counters{HandedOver: 4, Redistributed: 1})
}

func TestStopWaitsForASilentWorkerOneSecondOnly(t *testing.T) {
	s, l := serve(t, 1)
	s.arrive(l, 1)
	s.turn(event{kind: evStop})
	s.pass(settleTime - 1)
	if s.t.phase != settling {
		t.Fatalf("phase %v, want %v", s.t.phase, settling)
	}
	s.pass(1)
	if s.t.phase != draining || !s.peer(0).told {
		t.Errorf("phase %v, told %v, want %v, true", s.t.phase, s.peer(0).told, draining)
	}
	s.pass(time.Minute)
	s.dies(s.peer(0))
	s.expectCounts(t, Counters{Redistributed: 1, ClosedUndelivered: 1}) // it came back, and nobody was left
	if !s.ended {
		t.Error("it did not end with its last worker")
	}
}

// While the workers drain there is nothing to wake up for but their time-outs.
func TestAStoppedMasterSleepsUntilTheNextDeadline(t *testing.T) {
	s, _ := serve(t, 1)
	s.turn(event{kind: evStop})
	ticks := 0
	for end := s.now.add(29 * time.Second); s.t.next < end; ticks++ {
		s.now = s.t.next
		s.turn(event{kind: evTick})
		if ticks > 100 {
			t.Fatal("the loop spins")
		}
	}
	if most := 5; ticks > most {
		t.Errorf("%d ticks in 29 s, want at most %d", ticks, most)
	}
}

func TestStopClosesWhatNobodyCanTake(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 1)
	s.refuses(s.peer(0))
	s.refuses(s.peer(1))
	s.turn(event{kind: evStop})
	s.dies(s.peers[1])
	s.dies(s.peers[2])
	s.took()
	s.pass(settleTime)
	s.expect(t, "settled by time", "close spawn exit", "close 101", "exit <nil>")
	s.expectCounts(t, Counters{ClosedUndelivered: 1, Redistributed: 2})
	s.expectLost(t)
}

// expectLost fails the test unless the log says once that one connection is.
func (s *stage) expectLost(t *testing.T) {
	t.Helper()
	if got := s.said("connections lost that no worker took before the master ended\" held=1"); got != 1 {
		t.Errorf("the log says %d times that a connection is lost, want once:\n%s", got, s.log.String())
	}
}

func TestLeaveClosesWhatNobodyTakes(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 1)
	s.refuses(s.peer(0))
	s.refuses(s.peer(1))
	s.turn(event{kind: evLeave})
	s.dies(s.peers[1])
	s.dies(s.peers[2])
	s.pass(settleTime)
	s.expectCounts(t, Counters{ClosedUndelivered: 1, Redistributed: 2})
	s.expectLost(t)
}

func TestStopEmptiesTheQueueOfItsOwnListenersFirst(t *testing.T) {
	s := newStage(t, standard(1))
	s.turn(event{kind: evStart})
	s.opens(s.peer(0), 0, port(8080))
	l := s.t.listeners[0]
	s.arrive(l, 7)
	s.took()
	s.turn(event{kind: evStop})
	s.expect(t, "the worker has no room", "unbind line accept")
	s.everyoneAccepts()
	s.expect(t, "it has", "unbind line send", "send 1 [106]", "send 1 [107]", "send 1 [108]", "unbind [::]:8080")
	s.pass(hush)
	s.expect(t, "a moment later", "unbind line send", "line 1 "+fmt.Sprintf(disconnect, 8))
	s.expectCounts(t, Counters{HandedOver: 7})
}

func TestStopOfADeafListenerDoesNotWait(t *testing.T) {
	s := newStage(t, standard(1))
	s.turn(event{kind: evStart})
	s.opens(s.peer(0), 0, port(8080))
	s.acceptErr[s.t.listeners[0]] = unix.EINVAL
	s.turn(event{kind: evStop})
	if s.t.phase != draining {
		t.Errorf("phase %v, want %v at once", s.t.phase, draining)
	}
}

func TestStopWithoutAReadyWorkerEndsThemAtOnce(t *testing.T) {
	s := newStage(t, standard(2))
	s.web()
	s.turn(event{kind: evStart})
	s.took()
	s.turn(event{kind: evStop})
	s.expect(t, "stop", "line spawn exit", []string(nil)...)
	for id := 1; id <= 2; id++ {
		if got := s.peers[id].signal; got != "SIGTERM" {
			t.Errorf("worker %d got %q, want SIGTERM", id, got)
		}
		s.exits(s.peers[id], exit{reason: "was killed by SIGTERM"})
	}
	s.expect(t, "both have ended", "exit spawn", "exit <nil>")
}

func TestStopWithoutAReadyWorkerDoesNotWaitForAQueue(t *testing.T) {
	s := newStage(t, standard(1))
	s.turn(event{kind: evStart})
	s.opens(s.peer(0), 0, port(8080))
	s.dies(s.peer(0))
	s.arrive(s.t.listeners[0], 1)
	s.took()
	s.turn(event{kind: evStop})
	s.expect(t, "stop while the only worker is down", "unbind exit", "unbind [::]:8080", "exit <nil>")
}

func TestStopStartsNobody(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 1)
	s.dies(s.peers[2]) // its backoff runs
	s.turn(event{kind: evStop})
	s.took()
	s.pass(time.Second)
	s.expect(t, "while it settles", "spawn")
}

func TestStopNowKillsAll(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 3)
	s.turn(event{kind: evStopNow})
	for id := 1; id <= 2; id++ {
		if got := s.peers[id].signal; got != "SIGKILL" {
			t.Errorf("worker %d got %q, want SIGKILL", id, got)
		}
	}
	s.turn(event{kind: evStopNow})
	s.dies(s.peers[1])
	s.took()
	s.dies(s.peers[2])
	s.expect(t, "all have ended", "exit close", "close 102", "exit <nil>")
	if len(s.open) > 0 {
		t.Errorf("the connections %v are left open", s.open)
	}
}

func TestASecondStopChangesNothing(t *testing.T) {
	s, _ := serve(t, 1)
	s.turn(event{kind: evStop})
	s.took()
	s.turn(event{kind: evStop})
	s.expect(t, "again", "line signal notify exit spawn")
	s.turn(event{kind: evReload, err: errors.New("no such file")})
	s.expect(t, "a reload", "spawn done", "done reload the master is draining, not serving; try again when it is")
	s.turn(event{kind: evScale, n: 3})
	s.expect(t, "a scale", "spawn done", "done scale a start, reload or stop is in progress; try again when it has ended")
}

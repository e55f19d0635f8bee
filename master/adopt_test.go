package master

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
)

// said gives how often the log has that message, since the stage was set.
func (s *stage) said(what string) int { return strings.Count(s.log.String(), what) }

// expectSlots fails the test unless each slot has that state of its worker, and of the
// one that is to follow it: "ready 1", "ready 1, starting 3", "retry".
func (s *stage) expectSlots(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	for _, slot := range s.t.slots {
		var words []string
		for _, w := range []*worker{slot.current, slot.next} {
			if w != nil {
				words = append(words, fmt.Sprintf("%v %d", w.state, w.id))
			}
		}
		if slot.retryAt != 0 {
			words = append(words, "retry")
		}
		got = append(got, strings.Join(words, ", "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: the slots have %q, want %q", when, got, want)
	}
}

// begins sets a stage on which two workers start, for a passed listener.
func (s *stage) begins(cfg settings.Settings) {
	s.t = newTable(&cfg, s.t.log, s.t.rand, s.t.epoch)
	s.mem, s.peers, s.ids = newMemory(), map[int]*peer{}, map[int]bool{}
	s.queries, s.strict, s.t.stores = []*wire.Query{port(80)}, true, true
	s.web()
	s.turn(event{kind: evStart})
}

// kept sets a stage of two workers that serve a passed listener, whose channels are kept.
func kept(t *testing.T) *stage {
	s := newStage(t, standard(2))
	s.begins(standard(2))
	for _, p := range s.starting() {
		s.opens(p, 0, s.queries...)
	}
	s.did = nil
	return s
}

func TestEachPhaseOfAMasterGoesOn(t *testing.T) {
	for _, row := range []struct {
		name  string
		set   func(s *stage)
		with  func(s *stage) aftermath
		did   []string // of its adoption: spawn, probe, line, signal, reload
		slots []string
		after func(t *testing.T, s *stage)
		end   []int // the generations that serve in the end
	}{
		{
			name: "serving",
			did:  []string{"probe 1", "probe 2"}, slots: []string{"ready 1", "ready 2"}, end: []int{1, 1},
		}, {
			name: "first start",
			set: func(s *stage) {
				s.begins(standard(2))
				s.opens(s.peers[1], 0, port(80))
				s.online(s.peers[2], 0)
				s.pass(50 * time.Second)
				s.did = nil
			},
			with: func(s *stage) aftermath { return aftermath{after: 20 * time.Second} }, // past start-timeout
			did:  []string{"probe 1", "probe 2"}, slots: []string{"ready 1", "online 2"}, end: []int{1, 1},
			after: func(t *testing.T, s *stage) {
				if s.t.phase != starting {
					t.Errorf("phase %v, want %v", s.t.phase, starting)
				}
				s.pass(59 * time.Second)
				if s.t.phase != starting || s.worker(s.peers[2]).want == down {
					t.Error("the new start-timeout has not been given to the start and its worker")
				}
			},
		}, {
			name: "reload, next one starting",
			set:  func(s *stage) { s.reload(nil); s.online(s.newest(), 0) },
			did:  []string{"probe 1", "probe 2", "probe 3"}, slots: []string{"ready 1, online 3", "ready 2"}, end: []int{2, 2},
		}, {
			name: "reload, next one not started yet",
			set:  func(s *stage) { s.reload(nil) },
			did:  []string{"probe 1", "probe 2", "spawn 4 slot 1 generation 2"}, slots: []string{"ready 1", "ready 2, starting 4"}, end: []int{2, 2},
		}, {
			name: "reload, next one ready and the old one told",
			set:  func(s *stage) { s.reload(nil); s.ready() },
			did:  []string{"probe 1", "probe 2", "probe 3", "spawn 5 slot 1 generation 2"}, slots: []string{"ready 3", "ready 2, starting 5"}, end: []int{2, 2},
		}, {
			name: "reload, all ready",
			set:  func(s *stage) { s.reload(nil); s.ready(); s.leave(); s.ready() },
			did:  []string{"probe 2", "probe 3", "probe 4"}, slots: []string{"ready 3", "ready 4"}, end: []int{2, 2},
		}, {
			name: "reload that is taken back",
			set: func(s *stage) {
				s.reload(func(c *settings.Settings) { c.MaxDraining = 3 })
				s.ready()
				s.dies(s.newest())
				s.expectSlots(t, "taken back", "ready 3, starting 5", "ready 2")
			},
			did: []string{"probe 1", "probe 2", "probe 3", "spawn 6 slot 0 generation 1"}, slots: []string{"ready 3, starting 6", "ready 2"}, end: []int{1, 1},
		}, {
			name: "scaled up, one starting",
			set:  func(s *stage) { s.turn(event{kind: evScale, n: 3}); s.online(s.newest(), 0) },
			did:  []string{"probe 1", "probe 2", "probe 3"}, slots: []string{"ready 1", "ready 2", "online 3"}, end: []int{1, 1, 1},
			after: func(t *testing.T, s *stage) {
				if s.t.scaledFrom != 2 {
					t.Errorf("scaled from %d, want 2", s.t.scaledFrom)
				}
			},
		}, {
			name: "scaled down, one draining",
			set:  func(s *stage) { s.turn(event{kind: evScale, n: 1}) },
			did:  []string{"probe 1", "probe 2"}, slots: []string{"ready 1"}, end: []int{1},
		}, {
			name: "one worker replaced by the operator",
			set:  func(s *stage) { s.turn(event{kind: evDrainWorker, worker: 1}); s.online(s.newest(), 0) },
			did:  []string{"probe 1", "probe 2", "probe 3"}, slots: []string{"ready 1, online 3", "ready 2"}, end: []int{1, 1},
		}, {
			name: "a slot that waits for its next start",
			set:  func(s *stage) { s.dies(s.peers[1]) },
			did:  []string{"probe 2"}, slots: []string{"retry", "ready 2"}, end: []int{1, 1},
		}, {
			name: "a slot whose next start is due",
			set:  func(s *stage) { s.dies(s.peers[1]) },
			with: func(*stage) aftermath { return aftermath{after: time.Second} },
			did:  []string{"probe 2", "spawn 3 slot 0 generation 1"}, slots: []string{"starting 3", "ready 2"}, end: []int{1, 1},
		}, {
			name: "stopping",
			set:  func(s *stage) { s.arrive(s.t.listeners[0], 1); s.turn(event{kind: evStop}) },
			did: []string{"probe 1", "probe 2", fmt.Sprintf("line 1 "+disconnect, 6), fmt.Sprintf("line 2 "+disconnect, 6),
				"spawn 3 slot 0 generation 2", "spawn 4 slot 1 generation 2"},
			slots: []string{"starting 3", "starting 4"}, end: []int{2, 2},
		}, {
			name: "stopping, and the workers told",
			set:  func(s *stage) { s.turn(event{kind: evScale, n: 3}); s.ready(); s.turn(event{kind: evStop}) },
			did:  []string{"probe 1", "probe 2", "probe 3", "spawn 4 slot 0 generation 2", "spawn 5 slot 1 generation 2"}, slots: []string{"starting 4", "starting 5"},
			end: []int{2, 2},
			after: func(t *testing.T, s *stage) {
				if s.t.scaledFrom != 0 {
					t.Error("it is scaled still: a stop ends that")
				}
			},
		}, {
			name: "left for the next one",
			set:  func(s *stage) { s.turn(event{kind: evLeave}) },
			did:  []string{"probe 1", "probe 2"}, slots: []string{"ready 1", "ready 2"}, end: []int{1, 1},
		}, {
			name: "left for a restart",
			set:  func(s *stage) { s.turn(event{kind: evLeave, n: 1}) },
			did:  []string{"probe 1", "probe 2", "reload", "spawn 3 slot 0 generation 2"}, slots: []string{"ready 1, starting 3", "ready 2"}, end: []int{2, 2},
		}, {
			name: "left for a restart, in a reload",
			set:  func(s *stage) { s.reload(nil); s.online(s.newest(), 0); s.turn(event{kind: evLeave, n: 1}) },
			did:  []string{"probe 1", "probe 2", "probe 3"}, slots: []string{"ready 1, online 3", "ready 2"}, end: []int{3, 3},
		}, {
			name: "killed when about to be left",
			set: func(s *stage) {
				s.arrive(s.t.listeners[0], 1)
				s.turn(event{kind: evLeave, n: 1})
			},
			did: []string{"probe 1", "probe 2", "reload", "spawn 3 slot 0 generation 2"}, slots: []string{"ready 1, starting 3", "ready 2"}, end: []int{2, 2},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := kept(t)
			if row.set != nil {
				row.set(s)
			}
			a := aftermath{}
			if row.with != nil {
				a = row.with(s)
			}
			s.did = nil
			s.crash(a)
			if got, want := strings.Count(strings.Join(s.did, "\n"), "Ready:true"), s.t.phase == serving; (got == 1) != want || got > 1 {
				t.Errorf("phase %v, and READY was said %d times", s.t.phase, got)
			}
			s.expect(t, "adopted", "spawn probe line signal reload", row.did...)
			s.expectSlots(t, "adopted", row.slots...)
			if row.after != nil {
				row.after(t, s)
			}
			s.arrive(s.t.listeners[0], 3)
			s.calm()
			s.expectGenerations(t, "in the end", row.end...)
			s.checkEnd()
			if c := s.t.count; c.ClosedUndelivered != 0 || c.Ambiguous != 0 {
				t.Errorf("%+v, want nothing lost", c)
			}
			if s.t.adoptions != 1 || s.said("adopted the workers of the last master") != 1 {
				t.Errorf("adopted %d times, and said %d times", s.t.adoptions, s.said("adopted the workers of the last master"))
			}
		})
	}
}

func TestAWorkerThatIsNoUseAnyMoreIsReplaced(t *testing.T) {
	const (
		unknown = "what is known of a worker cannot be read"
		unsent  = "answers to a worker were lost with the last master"
		died    = "worker died"
	)
	for _, row := range []struct {
		name  string
		set   func(s *stage)
		with  func(s *stage) aftermath
		did   []string // spawn, line, signal
		slots []string
		said  string // in the log, once
		exit  string // last one of slot 0
		end   []int
	}{
		{
			name: "ready, gone", said: died, exit: lostWith,
			with: func(s *stage) aftermath { return aftermath{gone: []*peer{s.peers[1]}} },
			did:  []string{"spawn 3 slot 0 generation 1"}, slots: []string{"starting 3", "ready 2"}, end: []int{1, 1},
		}, {
			name: "all gone",
			with: func(s *stage) aftermath { return aftermath{gone: []*peer{s.peers[1], s.peers[2]}} },
			did:  []string{"spawn 3 slot 0 generation 1", "spawn 4 slot 1 generation 1"}, slots: []string{"starting 3", "starting 4"},
			exit: lostWith, end: []int{1, 1},
		}, {
			name: "starting, gone",
			set:  func(s *stage) { s.turn(event{kind: evScale, n: 3}); s.online(s.newest(), 0) },
			with: func(s *stage) aftermath { return aftermath{gone: []*peer{s.peers[3]}} },
			did:  []string{"spawn 4 slot 2 generation 1"}, slots: []string{"ready 1", "ready 2", "starting 4"}, end: []int{1, 1, 1},
		}, {
			name:  "draining, gone",
			set:   func(s *stage) { s.turn(event{kind: evScale, n: 1}) },
			with:  func(s *stage) aftermath { return aftermath{gone: []*peer{s.peers[2]}} },
			slots: []string{"ready 1"}, said: "worker exited", end: []int{1},
		}, {
			name: "next of a reload, gone",
			set:  func(s *stage) { s.reload(nil); s.online(s.newest(), 0) },
			with: func(s *stage) aftermath { return aftermath{gone: []*peer{s.peers[3]}} },
			did:  []string{"spawn 4 slot 1 generation 2"}, slots: []string{"ready 1", "ready 2, starting 4"}, end: []int{2, 2},
		}, {
			name: "new generation of a reload, ready, gone",
			set:  func(s *stage) { s.reload(nil); s.ready(); s.leave() },
			with: func(s *stage) aftermath { return aftermath{gone: []*peer{s.peers[3]}} },
			did:  []string{"spawn 5 slot 0 generation 2"}, slots: []string{"starting 5", "ready 2"},
			said: died, exit: lostWith, end: []int{2, 2},
		}, {
			name: "old generation in a reload, gone",
			set:  func(s *stage) { s.reload(nil); s.online(s.newest(), 0) },
			with: func(s *stage) aftermath { return aftermath{gone: []*peer{s.peers[2]}} },
			did:  []string{"spawn 4 slot 1 generation 2"}, slots: []string{"ready 1, online 3", "starting 4"},
			said: died, end: []int{2, 2},
		}, {
			name:  "one that another was to replace, gone",
			set:   func(s *stage) { s.turn(event{kind: evDrainWorker, worker: 1}); s.online(s.newest(), 0) },
			with:  func(s *stage) aftermath { return aftermath{gone: []*peer{s.peers[1]}} },
			slots: []string{"online 3", "ready 2"}, said: died, exit: lostWith, end: []int{1, 1},
		}, {
			name:  "one that was to replace another, gone",
			set:   func(s *stage) { s.turn(event{kind: evDrainWorker, worker: 1}); s.online(s.newest(), 0) },
			with:  func(s *stage) aftermath { return aftermath{gone: []*peer{s.peers[3]}} },
			slots: []string{"ready 1", "ready 2"}, end: []int{1, 1},
		}, {
			name: "ready, unreadable", said: unknown,
			with: func(s *stage) aftermath { return aftermath{unreadable: []*peer{s.peers[1]}} },
			did:  []string{"line 1", "spawn 3 slot 0 generation 1"}, slots: []string{"starting 3", "ready 2"}, end: []int{1, 1},
		}, {
			name: "starting, unreadable", said: unknown,
			set:  func(s *stage) { s.turn(event{kind: evScale, n: 3}); s.online(s.newest(), 0) },
			with: func(s *stage) aftermath { return aftermath{unreadable: []*peer{s.peers[3]}} },
			did:  []string{"signal 3 SIGTERM", "spawn 4 slot 2 generation 1"}, slots: []string{"ready 1", "ready 2", "starting 4"}, end: []int{1, 1, 1},
		}, {
			name:  "draining, unreadable",
			set:   func(s *stage) { s.turn(event{kind: evScale, n: 1}) },
			with:  func(s *stage) aftermath { return aftermath{unreadable: []*peer{s.peers[2]}} },
			slots: []string{"ready 1"}, end: []int{1},
		}, {
			name: "next of a reload, unreadable", said: unknown,
			set:  func(s *stage) { s.reload(nil); s.online(s.newest(), 0) },
			with: func(s *stage) aftermath { return aftermath{unreadable: []*peer{s.peers[3]}} },
			did:  []string{"signal 3 SIGTERM", "spawn 4 slot 1 generation 2"}, slots: []string{"ready 1", "ready 2, starting 4"}, end: []int{2, 2},
		}, {
			name: "answers lost", said: unsent,
			set: func(s *stage) {
				s.peers[1].full = true
				s.says(s.peers[1], wire.Message{Kind: wire.QueryServer, Query: port(81), Ack: -1})
			},
			with: func(s *stage) aftermath { s.peers[1].full = false; return aftermath{} },
			did:  []string{"line 1", "spawn 3 slot 0 generation 1"}, slots: []string{"starting 3", "ready 2"}, end: []int{1, 1},
		}, {
			name: "answers lost and about to be told",
			set: func(s *stage) {
				s.turn(event{kind: evDrainWorker, worker: 1})
				s.peers[1].full = true
				s.ready()
				s.peers[1].reads(s)
				s.mem.workers[1].unsent = true
			},
			slots: []string{"ready 3", "ready 2"}, end: []int{1, 1},
		}, {
			name: "told to leave, and the order lost",
			set: func(s *stage) {
				s.turn(event{kind: evDrainWorker, worker: 1})
				s.online(s.newest(), 0)
				s.asks(s.newest(), port(80))
				saved := func() bool { return strings.Contains(string(s.mem.record), `"want":1`) }
				if !s.killedWhen(saved, func() { s.listens(s.newest(), port(80)) }) {
					s.tb.Fatalf("it was not killed")
				}
			},
			did: []string{"line 1"}, slots: []string{"ready 3", "ready 2"}, end: []int{1, 1},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := kept(t)
			if row.set != nil {
				row.set(s)
			}
			s.did = nil
			a := aftermath{}
			if row.with != nil {
				a = row.with(s)
			}
			s.log.Reset()
			s.crash(a)
			for _, p := range a.gone {
				if !slices.Contains(s.did, fmt.Sprintf("release %d", p.id)) {
					t.Errorf("adopted: what is kept of worker %d, which is gone, is not dropped", p.id)
				}
			}
			s.pass(hush)
			got := s.took("spawn", "line", "signal")
			slices.Sort(got)
			for i, d := range got {
				if strings.HasSuffix(d, "}") { // the line
					got[i], _, _ = strings.Cut(d, " {")
					if !strings.Contains(d, "disconnect") {
						t.Errorf("%s, want that it is told to leave", d)
					}
				}
			}
			if !slices.Equal(got, row.did) {
				t.Errorf("adopted: did %q, want %q", got, row.did)
			}
			s.expectSlots(t, "adopted", row.slots...)
			if row.said != "" && s.said(row.said) != 1 {
				t.Errorf("the log says %q %d times:\n%s", row.said, s.said(row.said), s.log.String())
			}
			if got := s.t.slots[0].lastExit; row.exit != "" && (got == nil || got.reason != row.exit) {
				t.Errorf("the last exit of slot 0 is %v, want %q", got, row.exit)
			}
			s.arrive(s.t.listeners[0], 3)
			s.calm()
			s.expectGenerations(t, "in the end", row.end...)
			s.checkEnd()
		})
	}
}

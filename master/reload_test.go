package master

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
)

// reload begins a reload with settings that adjust may change.
func (s *stage) reload(adjust func(*settings.Settings)) {
	s.tb.Helper()
	cfg := *s.t.cfg
	if adjust != nil {
		adjust(&cfg)
	}
	s.turn(event{kind: evReload, cfg: &cfg})
}

// ready has the worker that was started last listen.
func (s *stage) ready() { s.tb.Helper(); s.opens(s.newest(), 0, port(80)) }

// leave has those who were told to leave do so.
func (s *stage) leave() {
	s.tb.Helper()
	s.everyoneAccepts()
	s.everyoneLeaves()
}

// generations gives the generation that serves each slot; 0 where nobody does.
func (s *stage) generations() []int {
	var all []int
	for _, slot := range s.t.slots {
		if w := slot.current; w != nil && w.state == wReady {
			all = append(all, w.generation)
		} else {
			all = append(all, 0)
		}
	}
	return all
}

func (s *stage) expectGenerations(t *testing.T, when string, want ...int) {
	t.Helper()
	if got := s.generations(); !slices.Equal(got, want) {
		t.Errorf("%s: the slots are served by generations %v, want %v", when, got, want)
	}
}

// told gives what the operator and the service manager are told, in short.
func (s *stage) told() []string {
	var all []string
	for _, d := range s.took("done", "notify") {
		switch {
		case strings.HasPrefix(d, "done"):
			all = append(all, d)
		case strings.Contains(d, "Reloading:true"):
			all = append(all, "reloading")
		case strings.Contains(d, "Reloaded:true"):
			all = append(all, "reloaded")
		}
	}
	return all
}

func (s *stage) expectTold(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := s.told(); !slices.Equal(got, want) {
		t.Errorf("%s: told %q, want %q", when, got, want)
	}
}

func TestReloadReplacesTheSlotsOneAfterTheOther(t *testing.T) {
	s, l := serve(t, 3)
	s.reload(nil)
	if got, want := s.told(), []string{"reloading"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	for slot := range 3 {
		old, next := s.peer(slot), s.newest()
		if w := s.worker(next); w.slot.index != slot || w.generation != 2 {
			t.Fatalf("the next worker is %s, want slot %d, generation 2", w, slot)
		}
		s.arrive(l, 3)
		if len(old.owed) != 1 {
			t.Errorf("while its successor starts the worker of slot %d gets %d of 3, want 1", slot, len(old.owed))
		}
		s.everyoneAccepts()
		s.ready()
		s.pass(hush)
		if !old.told || next.told {
			t.Errorf("slot %d: the old one was told to drain %v, the new one %v, want true, false", slot, old.told, next.told)
		}
		s.arrive(l, 3)
		if len(old.owed) != 0 || len(next.owed) != 1 {
			t.Errorf("slot %d: of 3 the old one got %d and the new one %d, want 0 and 1", slot, len(old.owed), len(next.owed))
		}
		s.everyoneAccepts()
	}
	s.expectGenerations(t, "after the reload", 2, 2, 2)
	s.expectTold(t, "every slot has a ready new worker, and old ones drain on", "done reload <nil>", "reloaded")
	if s.t.generation != 2 || s.t.lastReload.State != "done" || s.t.lastReload.Error != nil {
		t.Errorf("generation %d, last reload %+v, want 2 and done", s.t.generation, *s.t.lastReload)
	}
	s.leave()
	if got := len(s.t.workers); got != 3 {
		t.Errorf("%d workers are left, want 3", got)
	}
}

func TestAfterAReloadTheNewSettingsCount(t *testing.T) {
	s, _ := serve(t, 1)
	s.reload(func(c *settings.Settings) { c.Command, c.BackoffMin = []string{"new"}, 10*time.Second })
	s.ready()
	s.leave()
	s.dies(s.peer(0))
	s.took()
	s.pass(10*time.Second - 1)
	s.expect(t, "within the new backoff", "spawn")
	s.pass(3 * time.Second)
	s.expect(t, "after it", "spawn", "spawn 3 slot 0 generation 2")
	if got := s.worker(s.peer(0)).cfg.Command[0]; got != "new" {
		t.Errorf("the next worker runs %q, want new", got)
	}
}

func TestSurgeStartsSoManyAtATime(t *testing.T) {
	s, _ := serve(t, 5)
	s.reload(func(c *settings.Settings) { c.Surge = 2 })
	s.expect(t, "the reload begins", "spawn", "spawn 6 slot 0 generation 2", "spawn 7 slot 1 generation 2")
	s.opens(s.peers[7], 0, port(80))
	s.expect(t, "one is ready", "spawn", "spawn 8 slot 2 generation 2")
	s.opens(s.peers[6], 0, port(80))
	s.expect(t, "the other one is", "spawn", "spawn 9 slot 3 generation 2")
}

func TestMaxDrainingHoldsTheReloadBack(t *testing.T) {
	s, _ := serve(t, 3)
	s.reload(func(c *settings.Settings) { c.MaxDraining = 1 })
	s.ready()
	s.took()
	s.pass(10 * time.Second)
	s.expect(t, "the old one of the first slot drains on", "spawn")
	s.exits(s.peers[1], exit{reason: "exited with code 0"})
	s.expect(t, "it has left", "spawn", "spawn 5 slot 1 generation 2")
}

// Whatever goes wrong with a new worker: the new generation is taken down, the old
// one serves whole, and the reload says why.
func TestAFailedReloadIsTakenBack(t *testing.T) {
	for _, row := range []struct {
		name string
		fail func(s *stage)
		why  string
	}{
		{"the first new one dies", func(s *stage) {
			s.exits(s.newest(), exit{reason: "exited with code 1", output: "throw err;\nError: Cannot find module\n    at x.js:1\nNode.js v20"})
		},
			"worker of slot 0 (generation 2) exited with code 1; its last output: Error: Cannot find module"},
		{"the first new one is late", func(s *stage) { s.pass(time.Minute) },
			"worker of slot 0 (generation 2) was not ready within 1m0s: it does not listen on web@[::]:80, which its predecessor served (--ready first accepts that)"},
		{"the first new one leaves", func(s *stage) { s.says(s.newest(), wire.Message{Kind: wire.Exited, Ack: -1}) },
			"worker of slot 0 (generation 2) left of its own will"},
		{"the first new one closes its channel", func(s *stage) { s.ends(s.newest()); s.pass(hangUpGrace) },
			"worker of slot 0 (generation 2) closed its channel"},
		{"the second new one dies", func(s *stage) { s.ready(); s.dies(s.newest()) },
			"worker of slot 1 (generation 2) exited with code 1"},
		{"the last new one is late", func(s *stage) { s.ready(); s.ready(); s.pass(time.Minute) },
			"worker of slot 2 (generation 2) was not ready within 1m0s: it does not listen on web@[::]:80, which its predecessor served (--ready first accepts that)"},
		{"one dies right after it became ready", func(s *stage) { s.ready(); s.dies(s.peer(0)) },
			"worker of slot 0 (generation 2) exited with code 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, _ := serve(t, 3)
			s.reload(func(c *settings.Settings) { c.MaxDraining = 10 })
			s.took()
			row.fail(s)
			answered := 0
			for n := 0; s.answers[cmdReload] == 0 || slices.Contains(s.generations(), 0); n++ {
				if n > 20 {
					t.Fatalf("the way back does not end: slots %v, reload %+v", s.generations(), s.t.reload)
				}
				for _, p := range s.starting() {
					if w := s.worker(p); w.generation != 1 {
						t.Errorf("%s was started on the way back", w)
					}
					s.opens(p, 0, port(80))
				}
				s.pass(200 * time.Millisecond)
				answered = max(answered, s.answers[cmdReload])
			}
			s.leave()
			s.expectGenerations(t, "after the way back", 1, 1, 1)
			if got := s.told(); len(got) != 2 || got[0] != "done reload "+row.why || got[1] != "reloaded" {
				t.Errorf("told %q\nwant %q, once", got, "done reload "+row.why)
			}
			if r := s.t.lastReload; s.t.generation != 1 || r.State != "failed" || r.Error == nil || *r.Error != row.why {
				t.Errorf("generation %d, last reload %+v, want 1, failed, and why", s.t.generation, *r)
			}
			for _, w := range s.t.workers {
				if w.generation != 1 && w.want == up {
					t.Errorf("%s is kept, want the old generation alone", w)
				}
			}
			s.reload(nil)
			if got := s.worker(s.newest()).generation; got != 3 {
				t.Errorf("the next reload makes generation %d, want 3: a number is used once", got)
			}
		})
	}
}

func TestARollbackReplacesWithTheOldSettings(t *testing.T) {
	s, _ := serve(t, 2)
	old := s.t.cfg
	s.reload(func(c *settings.Settings) { c.Command = []string{"new"} })
	s.ready()
	s.dies(s.newest())
	if w := s.worker(s.newest()); w.cfg != old || w.generation != 1 || w.slot.index != 0 {
		t.Errorf("the way back starts %s with %v, want slot 0, generation 1 and %v", w, w.cfg.Command, old.Command)
	}
	if s.peer(0).told {
		t.Error("the new worker was told to drain before the old generation was back in its slot")
	}
	s.ready()
	if !s.peers[3].told {
		t.Error("the new worker was not told to drain")
	}
}

func TestWhenTheWayBackFailsTheNewOneServesOn(t *testing.T) {
	s, _ := serve(t, 2)
	s.reload(nil)
	s.ready()
	s.dies(s.newest()) // slot 1's
	s.took()
	s.dies(s.newest()) // the old generation's, for slot 0
	s.expectGenerations(t, "the way back failed", 2, 1)
	s.expectTold(t, "the reload is over", "done reload worker of slot 1 (generation 2) exited with code 1", "reloaded")
	s.dies(s.peer(0))
	s.pass(time.Second)
	if w := s.worker(s.peer(0)); w.generation != 1 {
		t.Errorf("the next worker of that slot is %s, want generation 1", w)
	}
}

func TestACrashOfAnOldWorkerDoesNotEndAReload(t *testing.T) {
	for _, row := range []struct {
		name string
		slot int // whose old worker dies while the first slot is being replaced
	}{{"in the slot that is being replaced", 0}, {"in a slot that comes later", 2}} {
		t.Run(row.name, func(t *testing.T) {
			s, _ := serve(t, 3)
			s.reload(nil)
			s.dies(s.peer(row.slot))
			s.pass(200 * time.Millisecond)
			if w := s.t.slots[row.slot].current; w != nil && w.generation != 1 {
				t.Errorf("until its slot's turn comes %s serves it, want generation 1", w)
			}
			s.opens(s.peers[4], 0, port(80)) // the new one of the first slot
			for n := 0; s.t.reload != nil; n++ {
				if n > 10 {
					t.Fatalf("the reload does not end: %+v", s.t.reload)
				}
				s.pass(200 * time.Millisecond)
				for _, p := range s.starting() {
					s.opens(p, 0, port(80))
				}
			}
			s.leave()
			s.expectGenerations(t, "after the reload", 2, 2, 2)
			if s.err != nil {
				t.Errorf("the reload ended with %v, want nil", s.err)
			}
		})
	}
}

func TestAReloadMayChangeTheNumberOfWorkers(t *testing.T) {
	for _, row := range []struct{ before, after int }{{2, 4}, {4, 2}, {1, 2}, {3, 1}} {
		s, l := serve(t, row.before)
		s.reload(func(c *settings.Settings) { c.Workers, c.MaxDraining = row.after, 10 })
		for s.t.reload != nil {
			s.ready()
		}
		s.leave()
		if got := len(s.generations()); got != row.after || slices.Contains(s.generations(), 0) {
			t.Errorf("from %d to %d workers: the slots are served by %v", row.before, row.after, s.generations())
		}
		if got := len(s.t.workers); got != row.after {
			t.Errorf("from %d to %d workers: %d are left", row.before, row.after, got)
		}
		s.took()
		s.arrive(l, row.after)
		if got := s.took("send"); len(got) != row.after {
			t.Errorf("from %d to %d workers: a round of connections makes %q", row.before, row.after, got)
		}
	}
}

func TestAFailedReloadTakesItsNewSlotsBack(t *testing.T) {
	s, _ := serve(t, 1)
	s.reload(func(c *settings.Settings) { c.Workers, c.Surge, c.MaxDraining = 3, 3, 3 })
	s.opens(s.peers[3], 0, port(80)) // slot 1
	s.dies(s.peers[4])               // slot 2
	s.leave()
	s.expectGenerations(t, "after the way back", 1)
	if got := len(s.t.workers); got != 1 {
		t.Errorf("%d workers are left, want 1", got)
	}
}

func TestAScaledNumberSurvivesAReload(t *testing.T) {
	s, _ := serve(t, 2)
	s.turn(event{kind: evScale, n: 3})
	s.ready()
	s.expectTold(t, "scaled", "done scale <nil>")
	s.reload(func(c *settings.Settings) { c.MaxDraining = 10 })
	for s.t.reload != nil {
		s.ready()
	}
	s.leave()
	s.expectGenerations(t, "after the reload", 2, 2, 2)
	if from := s.t.snapshot().ScaledFrom; from == nil || *from != 2 {
		t.Errorf("scaled from %v, want 2", from)
	}
	s.reload(func(c *settings.Settings) { c.Workers, c.MaxDraining = 5, 10 })
	for s.t.reload != nil {
		s.ready()
	}
	s.leave()
	if from := s.t.snapshot().ScaledFrom; from == nil || *from != 5 {
		t.Errorf("after the settings say 5: scaled from %v, want 5", from)
	}
	s.reload(func(c *settings.Settings) { c.Workers, c.MaxDraining = 3, 10 })
	for s.t.reload != nil {
		s.ready()
	}
	if from := s.t.snapshot().ScaledFrom; from != nil {
		t.Errorf("after the settings say what it was scaled to: scaled from %v, want null", *from)
	}
}

func TestStopEndsAReload(t *testing.T) {
	s, _ := serve(t, 2)
	s.reload(nil)
	s.took()
	s.turn(event{kind: evStop})
	s.expectTold(t, "stop", "done reload the master is stopping", "reloaded")
	if got := s.newest().signal; got != "SIGTERM" {
		t.Errorf("the starting worker got %q, want SIGTERM", got)
	}
	s.everyoneLeaves()
	if !s.ended || s.err != nil {
		t.Errorf("ended %v, %v, want true, nil", s.ended, s.err)
	}
}

func TestAReloadThatCannotBeginSaysWhyAndChangesNothing(t *testing.T) {
	s, _ := serve(t, 1)
	s.turn(event{kind: evReload, err: errors.New("app.toml:3: unknown key")})
	// The manager was not told that a reload began: nor is it told of an end, for which
	// READY stands.
	s.expectTold(t, "bad settings", "done reload app.toml:3: unknown key")
	if r := s.t.snapshot().Reload; r == nil || r.State != "failed" {
		t.Errorf("reload %+v, want a failed one", r)
	}
	s.expectGenerations(t, "afterwards", 1)
	s.turn(event{kind: evStop})
	s.took()
	s.reload(nil)
	s.expectTold(t, "stopping", "done reload the master is draining, not serving; try again when it is")
}

func TestAReloadDuringTheStartDoesNotEndTheStart(t *testing.T) {
	s := newStage(t, standard(1))
	s.turn(event{kind: evStart})
	s.took()
	s.reload(nil)
	s.expectTold(t, "starting", "done reload the master is starting, not serving; try again when it is")
	if r := s.t.snapshot().Reload; r != nil {
		t.Errorf("reload %+v, want none", r)
	}
}

func TestAReloadDuringTheReplacementOfOneWorkerComesToItLater(t *testing.T) {
	s, _ := serve(t, 2)
	s.turn(event{kind: evDrainWorker, worker: 1}) // starts worker 3
	s.took()
	s.reload(func(c *settings.Settings) { c.Surge, c.MaxDraining = 2, 10 })
	s.expect(t, "the other slot begins", "spawn", "spawn 4 slot 1 generation 2")
	s.opens(s.peers[3], 0, port(80))
	s.expect(t, "the operator's replacement is done", "spawn", "spawn 5 slot 0 generation 2")
	s.opens(s.peers[4], 0, port(80))
	s.opens(s.peers[5], 0, port(80))
	s.expectGenerations(t, "after the reload", 2, 2)
	s.expectTold(t, "after the reload", "done reload <nil>", "reloaded")
}

func TestCutCountsTheWorkersOfTheOldGenerationAlone(t *testing.T) {
	s, _ := serve(t, 2)
	s.reload(nil)
	s.ready()
	s.ready()
	s.everyoneLeavesBut(1)
	s.pass(30 * time.Second)
	if got, want := s.t.lastReload.Cut, 1; got != want {
		t.Errorf("cut is %d, want %d", got, want)
	}
	s.exits(s.peers[1], exit{reason: "was killed by SIGTERM"})
	s.says(s.peer(0), wire.Message{Kind: wire.Exited, Ack: -1}) // of the new one, and it stays
	s.pass(30 * time.Second)
	if got, want := s.t.lastReload.Cut, 1; got != want {
		t.Errorf("after a worker of the new generation did not end, cut is %d, want %d", got, want)
	}
}

func (s *stage) everyoneLeavesBut(id int) {
	s.tb.Helper()
	for other, p := range s.peers {
		if other != id && p.told {
			s.exits(p, exit{reason: "exited with code 0"})
		}
	}
}

func TestScaleStartsAndDrainsWorkers(t *testing.T) {
	s, l := serve(t, 2)
	s.turn(event{kind: evScale, n: 4})
	s.expect(t, "up", "spawn done", "spawn 3 slot 2 generation 1", "spawn 4 slot 3 generation 1")
	s.opens(s.peers[4], 0, port(80))
	s.expect(t, "one is ready", "done")
	s.opens(s.peers[3], 0, port(80))
	s.expectTold(t, "both are", "done scale <nil>")
	s.arrive(l, 4)
	s.expect(t, "a round", "send", "send 1 [101]", "send 2 [102]", "send 3 [103]", "send 4 [104]")
	s.everyoneAccepts()
	s.turn(event{kind: evScale, n: 1})
	s.pass(hush)
	if got := []bool{s.peers[1].told, s.peers[2].told, s.peers[3].told, s.peers[4].told}; !slices.Equal(got, []bool{false, true, true, true}) {
		t.Errorf("told to drain are %v, want the last three", got)
	}
	s.expectTold(t, "down", "done scale <nil>")
	s.leave()
	s.turn(event{kind: evScale, n: 2})
	s.ready()
	if from := s.t.scaledFrom; from != 0 {
		t.Errorf("back at the settings' number: scaled from %d, want nothing", from)
	}
	if got, want := s.worker(s.peer(1)).id, 5; got != want {
		t.Errorf("the slot has worker %d, want %d", got, want)
	}
}

func TestAScaleThatFailsSaysWhyAndTriesOn(t *testing.T) {
	s, _ := serve(t, 1)
	s.turn(event{kind: evScale, n: 2})
	s.took()
	s.dies(s.newest())
	s.expectTold(t, "the new one died", "done scale worker of slot 1 exited with code 1; it is tried again")
	s.pass(time.Second)
	s.ready()
	s.expectGenerations(t, "the next one is ready", 1, 1)
	s.expectTold(t, "nobody waits for it any more")
}

func TestScaleIsRefusedWhileAReloadRuns(t *testing.T) {
	s, _ := serve(t, 1)
	s.reload(nil)
	s.took()
	s.turn(event{kind: evScale, n: 2})
	s.expect(t, "a scale", "spawn done", "done scale a start, reload or stop is in progress; try again when it has ended")
}

func TestAReloadAsksTheServiceManagerForTimeUntilItIsOver(t *testing.T) {
	s, _ := serve(t, 1)
	s.reload(nil)
	s.took()
	s.pass(25 * time.Second)
	want := fmt.Sprintf("notify %+v", Event{Extend: extendFor})
	if got := s.took("notify"); !slices.Equal(got, []string{want, want}) {
		t.Errorf("in 25 s it was told %q, want twice %q", got, want)
	}
	s.ready()
	s.took()
	s.pass(25 * time.Second)
	if got := s.took("notify"); slices.Contains(got, want) {
		t.Errorf("after the reload it was told %q, want no extension", got)
	}
}

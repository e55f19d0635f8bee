package master

import (
	"fmt"
	"testing"
	"time"
)

// Workers that no signal can be sent to, as when the account of the service was changed.
func TestWorkersThatCannotBeEndedHoldUpNothing(t *testing.T) {
	s, l := serve(t, 2)
	s.crash(aftermath{})
	old := []*peer{s.peer(0), s.peer(1)}
	for _, p := range old {
		p.beyond = true
		s.accepts(p) // the probe
	}
	s.reload(nil)
	s.ready()
	s.ready()
	s.expectGenerations(t, "after a reload", 2, 2)
	s.pass(s.t.cfg.DrainTimeout)
	s.pass(s.t.cfg.KillTimeout)
	s.pass(time.Minute)
	for _, p := range old {
		if got := s.said(fmt.Sprintf("to end it, as root: kill -KILL %d\" worker=%d", p.pid, p.id)); got != 1 {
			t.Errorf("the log says %d times that worker %d cannot be ended:\n%s", got, p.id, s.log.String())
		}
	}
	if n, cut := s.said("killed"), s.t.lastReload.Cut; n != 0 || cut != 0 {
		t.Errorf("the log says %d times that one was killed, and %d are counted as cut, want none", n, cut)
	}
	s.reload(nil)
	s.ready()
	s.ready()
	s.expectGenerations(t, "after another", 3, 3)
	if s.t.reload != nil {
		t.Error("the other reload does not end")
	}
	s.arrive(l, 2)
	s.everyoneAccepts()
	others := func() {
		for _, p := range s.peers {
			if !p.beyond && p.told {
				s.exits(p, exit{reason: "exited with code 0"})
			}
		}
	}
	others()
	s.turn(event{kind: evKillWorker, worker: old[0].id})
	s.turn(event{kind: evStop})
	others()
	if !s.ended || s.err != nil {
		t.Errorf("the stop: ended %v, %v", s.ended, s.err)
	}
}

// One that serves is no less a worker for it: it has its time to drain.
func TestAStopWaitsForAWorkerThatCannotBeEnded(t *testing.T) {
	s, _ := serve(t, 1)
	s.crash(aftermath{})
	p := s.peer(0)
	p.beyond = true
	s.accepts(p) // the probe
	s.turn(event{kind: evKillWorker, worker: p.id})
	s.turn(event{kind: evStop})
	if s.pass(s.t.cfg.DrainTimeout - 1); s.ended {
		t.Fatal("it did not wait until drain-timeout")
	}
	if s.pass(1); !s.ended || s.err != nil {
		t.Errorf("after drain-timeout: ended %v, %v", s.ended, s.err)
	}
}

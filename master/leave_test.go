package master

import (
	"testing"
	"time"
)

// What a Node worker took last may not have sent its request yet, and Node 26 closes it
// when it is told to leave.
func TestAWorkerIsToldToLeaveAMomentAfterItsLastConnection(t *testing.T) {
	for name, row := range map[string]struct {
		batch int
		since time.Duration // its last connection; 0: it had none
		after time.Duration // it is told
	}{
		"it had none":                   {0, 0, 0},
		"just now":                      {0, 1, hush - 1},
		"a little ago":                  {0, hush / 2, hush / 2},
		"long ago":                      {0, hush, 0},
		"with our library, which waits": {8, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := serveAs(t, standard(1), row.batch)
			s.batch = row.batch
			p := s.peer(0)
			if row.since > 0 {
				s.arrive(l, 1)
				s.accepts(p)
				s.pass(row.since)
			}
			s.turn(event{kind: evStop})
			if row.after > 0 {
				s.pass(row.after - 1)
				if p.told {
					t.Errorf("it is told before %v", row.after)
				}
				s.pass(1)
			}
			if !p.told {
				t.Errorf("it is not told after %v", row.after)
			}
		})
	}
}

// A drain that is short anyway is not all spent on it.
func TestTheMomentIsAQuarterOfAShortDrain(t *testing.T) {
	cfg := standard(1)
	cfg.DrainTimeout = 100 * time.Millisecond
	s, l := serveAs(t, cfg, 0)
	p := s.peer(0)
	s.arrive(l, 1)
	s.accepts(p)
	s.turn(event{kind: evStop})
	s.pass(25*time.Millisecond - 1)
	if p.told {
		t.Error("it is told at once")
	}
	s.pass(1)
	if !p.told {
		t.Error("it is not told after 25 ms of 100")
	}
}

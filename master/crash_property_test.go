package master

import (
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// crash has the master be killed, and another one adopt what it left.
func (d *dice) crash(t *rapid.T) {
	d.s.tb = t
	if d.s.ended {
		t.Skip("it has ended")
	}
	if rapid.Bool().Draw(t, "in the middle") {
		do, _ := one(t, "of", []func(*rapid.T){d.arrive, d.batch, d.begin, d.answer, d.misbehave, d.end, d.pass, d.operate, d.stop})
		d.s.killedAt(rapid.IntRange(1, 30).Draw(t, "point"), func() { do(t) })
		if d.s.ended {
			return
		}
	}
	d.s.crash(d.aftermath(t))
}

// leave has the master leave the workers to the next one.
func (d *dice) leave(t *rapid.T) {
	d.s.tb = t
	if d.s.ended || d.s.t.phase != serving {
		t.Skip("it does not serve")
	}
	d.s.turn(event{kind: evLeave, n: rapid.IntRange(0, 1).Draw(t, "planned")})
	if !d.s.ended && rapid.Bool().Draw(t, "all answer") {
		d.s.everyoneAccepts()
	}
	if !d.s.ended {
		d.s.pass(settleTime)
	}
	d.s.crash(d.aftermath(t))
}

// aftermath is what the next master finds.
func (d *dice) aftermath(t *rapid.T) aftermath {
	a := aftermath{
		after:   rapid.SampledFrom([]time.Duration{0, 100 * time.Millisecond, 10 * time.Second, time.Minute}).Draw(t, "after"),
		refused: rapid.IntRange(0, 9).Draw(t, "refused") == 9,
	}
	for _, id := range slices.Sorted(maps.Keys(d.s.peers)) {
		switch p := d.s.peers[id]; rapid.IntRange(0, 9).Draw(t, "found") {
		case 8:
			if p.line == nil { // else nobody will hear it
				a.gone = append(a.gone, p)
			}
		case 9:
			a.unreadable = append(a.unreadable, p)
		}
	}
	if len(d.s.t.listeners) > 0 && d.s.t.listeners[0].passed {
		switch rapid.IntRange(0, 4).Draw(t, "sockets") {
		case 3:
			a.sockets = func(l []*listener) []*listener { slices.Reverse(l); return l }
		case 4:
			a.sockets = func(l []*listener) []*listener {
				if i := slices.IndexFunc(l, func(l *listener) bool { return l.name == "more" }); i >= 0 {
					return slices.Delete(l, i, i+1)
				}
				l[0].name = "renamed"
				return append(l, tcp("more", "127.0.0.1:80"))
			}
		}
	}
	return a
}

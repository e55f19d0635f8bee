package master

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rondokit/rondo/internal/settings"
)

// reload is a change of generation in progress. Slots are replaced pairwise: a new
// worker starts, is waited for, and the old one drains. If a new one fails, the way
// back is the same way: slots already replaced get workers of the old generation.
type reload struct {
	generation int
	cfg        *settings.Settings
	todo       []*slot // not yet begun
	slots      int     // how many there were before
	planned    bool    // for a restart of the master
	back       bool    // being taken back
	err        error
}

// beginReload starts a new generation from cfg, or fails for err.
func (t *table) beginReload(cfg *settings.Settings, err error) {
	if t.phase != serving {
		// Nothing has begun: the manager is not told, for which READY would end a start.
		t.do(effect{kind: effDone, done: cmdReload, err: fmt.Errorf("the master is %v, not serving; try again when it is", t.phase)})
		return
	}
	planned := t.planned
	t.planned = false
	t.lastReload = &Reload{State: "running"}
	if err != nil {
		t.recordReload(err)
		t.status()
		return
	}
	t.lastGen++
	t.reload = &reload{generation: t.lastGen, cfg: cfg, slots: len(t.slots), planned: planned}
	if t.scaledFrom == 0 {
		for len(t.slots) < cfg.Workers {
			t.slots = append(t.slots, &slot{index: len(t.slots)})
		}
	}
	t.reload.todo = slices.Clone(t.slots)
	t.log.Info("reload began", "generation", t.reload.generation)
	if !planned { // systemd runs no ExecStop= while it is told of a reload, so another restart would drain
		t.do(effect{kind: effNotify, notify: Event{Reloading: true}})
		t.extend()
	}
	t.reloadOn()
	t.status()
}

// reloadOn starts what surge and max-draining allow, and ends the reload when all is replaced.
func (t *table) reloadOn() {
	r := t.reload
	if r == nil {
		return
	}
	busy, leaving := 0, 0
	for _, s := range t.slots {
		if s.next != nil {
			busy++
		}
	}
	for _, w := range t.workers {
		if w.want == down && !w.beyond {
			leaving++
		}
	}
	for busy < r.cfg.Surge && leaving+busy < r.cfg.MaxDraining {
		// A slot may have a next worker already, by an operator's word on its current one.
		i := slices.IndexFunc(r.todo, func(s *slot) bool { return s.next == nil })
		if i < 0 {
			break
		}
		s := r.todo[i]
		r.todo = slices.Delete(r.todo, i, i+1)
		s.retryAt = 0
		s.next = t.respawn(s)
		busy++
	}
	if len(r.todo) == 0 && busy == 0 {
		t.finishReload()
	}
}

// respawn starts a worker of the generation that s should have now.
func (t *table) respawn(s *slot) *worker {
	if r := t.reload; r != nil && !r.back && !slices.Contains(r.todo, s) {
		return t.spawn(s, r.generation, r.cfg)
	}
	return t.spawn(s, t.generation, t.cfg)
}

func (t *table) replaced(w *worker) { t.reloadOn() }

// replacementLost applies that a worker died, or was late, before it could take over its slot.
func (t *table) replacementLost(w *worker, e exit) {
	r := t.reload
	switch {
	case r == nil:
		t.log.Warn("replacement failed; the worker it was for serves on", w.attrs("err", e.reason)...)
	case r.back:
		t.log.Error("worker of the old generation did not start again; the new one serves on in its slot",
			w.attrs("err", e.reason)...)
	}
	if w.slot.current == nil {
		w.slot.failures++
		t.retry(w.slot)
	}
}

// reloadHurt takes the reload back when one of its workers has failed.
func (t *table) reloadHurt(w *worker, e exit) {
	r := t.reload
	if r == nil {
		return
	}
	if r.back || w.generation != r.generation {
		t.reloadOn()
		return
	}
	r.back = true
	r.err = fmt.Errorf("worker of slot %d (generation %d) %s", w.slot.index, w.generation, e)
	r.todo = nil
	for _, s := range t.slots {
		if n := s.next; n != nil {
			s.next = nil
			t.drain(n)
		}
	}
	t.dropSlots(r.slots)
	for _, s := range t.slots {
		switch {
		case s.current == nil:
			if s.retryAt == 0 {
				t.retry(s)
			}
		case s.current.generation == r.generation:
			r.todo = append(r.todo, s)
		}
	}
	t.reloadOn()
}

func (t *table) finishReload() {
	r := t.reload
	t.reload = nil
	if r.err == nil {
		t.cfg, t.generation, t.env = r.cfg, r.generation, t.ownEnv
		switch {
		case t.scaledFrom == 0:
			t.dropSlots(r.cfg.Workers)
		case len(t.slots) == r.cfg.Workers: // as many as the new settings say
			t.scaledFrom = 0
		default:
			t.scaledFrom = r.cfg.Workers
		}
		if r.planned {
			t.warnUnasked()
		}
	}
	t.reloadDone(r.err)
}

// endReload ends a reload that cannot go on.
func (t *table) endReload(why string) {
	if t.reload != nil {
		t.reload = nil
		t.reloadDone(errors.New(why))
	}
}

// reloadDone tells everyone how a reload that had begun ended.
func (t *table) reloadDone(err error) {
	t.recordReload(err)
	t.statusText = t.statusLine()
	t.do(effect{kind: effNotify, notify: Event{Reloaded: true, Status: t.statusText}})
	t.roll()
}

// recordReload keeps for status how a reload ended, and tells who asked for it.
func (t *table) recordReload(err error) {
	ended := t.wall().UTC().Format(time.RFC3339)
	t.lastReload.State, t.lastReload.Ended = "done", &ended
	if err != nil {
		text := err.Error()
		t.lastReload.State, t.lastReload.Error = "failed", &text
		t.log.Error("reload failed; the old generation serves on", "generation", t.generation, "err", err)
	} else {
		t.log.Info("reload done", "generation", t.generation)
	}
	t.do(effect{kind: effDone, done: cmdReload, err: err})
}

// cut counts a worker of a replaced generation whose drain was ended by drain-timeout.
func (t *table) cut(w *worker) {
	serves := t.generation
	if r := t.reload; r != nil && !r.back {
		serves = r.generation
	}
	if t.lastReload != nil && t.phase <= serving && w.generation < serves {
		t.lastReload.Cut++
		w.cutIn = t.lastReload
	}
}

// scale changes the number of workers until the next restart.
func (t *table) scale(n int) {
	if t.reload != nil || t.phase != serving {
		t.do(effect{kind: effDone, done: cmdScale, err: errors.New("a start, reload or stop is in progress; try again when it has ended")})
		return
	}
	if t.scaledFrom == 0 {
		t.scaledFrom = t.cfg.Workers
	}
	if n == t.scaledFrom {
		t.scaledFrom = 0
	}
	t.log.Info("scaled", "workers", n, "before", len(t.slots))
	t.scaling = true
	t.dropSlots(n)
	t.fill(n)
	t.scaled()
	t.status()
}

// dropSlots drains the workers of the slots from n on.
func (t *table) dropSlots(n int) {
	if n >= len(t.slots) {
		return
	}
	gone := t.slots[n:]
	t.slots = slices.Clone(t.slots[:n])
	for _, s := range gone {
		s.retryAt = 0
		for _, w := range []*worker{s.current, s.next} {
			if w != nil {
				t.drain(w)
			}
		}
		s.current, s.next = nil, nil
	}
	for _, l := range t.listeners {
		l.ring = l.ring[:min(n, len(l.ring))]
	}
}

// scaled ends a scale when every slot is ready.
func (t *table) scaled() {
	if t.scaling && t.readyCount() == len(t.slots) {
		t.scaling = false
		t.do(effect{kind: effDone, done: cmdScale})
	}
}

// scaleHurt ends a scale when a new worker failed; its slot is tried again.
func (t *table) scaleHurt(w *worker, e exit) {
	if t.scaling && w.readyAt == 0 {
		t.scaling = false
		t.do(effect{kind: effDone, done: cmdScale,
			err: fmt.Errorf("worker of slot %d %s; it is tried again", w.slot.index, e)})
	}
}

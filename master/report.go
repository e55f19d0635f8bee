package master

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// statusEvery is how often the rate in STATUS is renewed while connections come.
const statusEvery = 10 * time.Second

// A change of state asks for extendFor more time each extendEvery, so that it lasts
// as long as its own time-outs allow and not the service manager's.
const (
	extendEvery = 10 * time.Second
	extendFor   = 30 * time.Second
)

func (t *table) wall() time.Time { return t.epoch.Add(time.Duration(t.now)) }

// status tells the service manager when the line for people has changed.
func (t *table) status() {
	if s := t.statusLine(); s != t.statusText && t.phase <= serving {
		t.statusText = s
		t.do(effect{kind: effNotify, notify: Event{Status: s}})
	}
}

// statusLine is STATUS: generation 3: 4/4 ready, 812 conn/s, 0 waiting; last reload ok 12:01
func (t *table) statusLine() string {
	var b strings.Builder
	held := 0
	for _, l := range t.listeners {
		held += len(l.held)
	}
	fmt.Fprintf(&b, "generation %d: %d/%d ready, %d conn/s, %d waiting", t.generation, t.readyCount(), len(t.slots), t.rate, held)
	for _, s := range t.slots {
		if (s.current == nil || s.current.state != wReady) && s.lastExit != nil {
			fmt.Fprintf(&b, "; slot %d: last worker %s", s.index, s.lastExit.reason)
			break
		}
	}
	if r := t.lastReload; r != nil && t.reload == nil {
		at, _ := time.Parse(time.RFC3339, *r.Ended)
		word := "ok"
		if r.Error != nil {
			word = "failed"
		}
		fmt.Fprintf(&b, "; last reload %s %s", word, at.Local().Format("15:04"))
	} else if t.reload != nil {
		fmt.Fprintf(&b, "; reloading to generation %d", t.reload.generation)
	}
	return b.String()
}

// extend asks for more time, now and again while the change of state lasts.
func (t *table) extend() {
	t.extendAt = t.now.add(extendEvery)
	t.arm(t.extendAt)
	t.do(effect{kind: effNotify, notify: Event{Extend: extendFor}})
}

func (t *table) tickNotify() {
	if t.extendAt != 0 && t.now >= t.extendAt {
		t.extendAt = 0
		if t.phase != serving || t.reload != nil {
			t.extend()
		}
	}
	t.arm(t.extendAt)
	if t.statusAt != 0 && t.now >= t.statusAt {
		t.rate = (t.count.HandedOver - t.statusSeen) / uint64(statusEvery/time.Second)
		t.statusAt = 0
		if t.count.HandedOver != t.statusSeen {
			t.statusAt = t.now.add(statusEvery)
		}
		t.statusSeen = t.count.HandedOver
		t.status()
	}
	t.arm(t.statusAt)
}

// snapshot is what the table knows of Status.
func (t *table) snapshot() Status {
	s := Status{Generation: t.generation, State: t.phase.String(), Counters: t.count,
		Listeners: []Listener{}, Workers: []Worker{}}
	if t.reload != nil {
		s.State = "reloading"
	}
	if t.scaledFrom != 0 {
		from := t.scaledFrom
		s.ScaledFrom = &from
	}
	if t.lastReload != nil {
		r := *t.lastReload
		s.Reload = &r
	}
	for _, l := range t.listeners {
		view := Listener{Name: l.name, Key: l.keyText(), Address: l.address.String(), Passed: l.passed, Asked: l.keys > 0,
			Schedule: "rr", Accepting: t.mayAccept(l), Waiting: len(l.held)}
		if t.shared(l) {
			view.Schedule, view.Accepting = "none", l.keys > 0
		}
		s.Listeners = append(s.Listeners, view)
	}
	for _, w := range t.workers {
		s.Workers = append(s.Workers, Worker{ID: w.id, Slot: w.slot.index, PID: w.pid, Generation: w.generation,
			State: w.state.String(), Want: w.want.String(), AgeS: time.Duration(t.now - w.since).Seconds(),
			HandedOver: w.handedOver, InFlight: w.inFlight, Restarts: w.slot.restarts, LastExit: w.slot.lastExit.public()})
	}
	for _, slot := range t.slots {
		if slot.current == nil && slot.next == nil { // waits for its next start; how the last one ended must be seen
			s.Workers = append(s.Workers, Worker{Slot: slot.index, Generation: t.generation, State: "exited", Want: up.String(),
				Restarts: slot.restarts, LastExit: slot.lastExit.public()})
		}
	}
	slices.SortFunc(s.Workers, func(a, b Worker) int {
		if a.Slot != b.Slot {
			return a.Slot - b.Slot
		}
		return a.ID - b.ID
	})
	return s
}

func (e *exit) public() *Exit {
	if e == nil {
		return nil
	}
	x := &Exit{Reason: e.reason}
	if e.code >= 0 {
		x.Code = &e.code
	}
	if e.signal != "" {
		x.Signal = &e.signal
	}
	return x
}

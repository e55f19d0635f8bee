package master

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/rondokit/rondo/internal/lastline"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
)

// slot is a place for one worker at a time. Workers come and go; the slot stays.
type slot struct {
	index    int
	current  *worker // serves, or is the first to start here
	next     *worker // started to replace current
	served   []*listener
	failures int // starts and deaths in a row without a stable minute
	retryAt  instant
	restarts int
	lastExit *exit
}

// workerState is where a worker is; want is where it should be.
type workerState uint8

const (
	wStarting workerState = iota // spawned
	wOnline                      // its channel works
	wReady                       // may receive handoffs
	wDraining                    // finishes what it holds, or was told to end
)

func (s workerState) String() string {
	return [...]string{"starting", "online", "ready", "draining"}[s]
}

// worker is one process and its channel.
type worker struct {
	id         int
	slot       *slot
	generation int
	cfg        *settings.Settings // of its generation
	pid        int
	state      workerState
	want       want
	since      instant // started
	readyAt    instant
	deadline   instant // of starting, of draining, or of SIGTERM
	tookAt     instant // a connection, the last time
	leaveAt    instant // to be told to leave; 0: it was told, or is not to be
	signalled  bool    // SIGTERM was sent
	beyond     bool    // no signal can be sent to it: it ends when it wants to
	cutIn      *Reload // that counts it as cut
	saidReady  bool
	tickets    bool    // it shares the keys of session tickets
	ended      bool    // the channel has been read to its end
	hungAt     instant // and if the process lives then, it has closed it on purpose

	adopted bool          // from the last master
	found   *survivor     // until takeOver
	orphans map[int64]int // connections that it handed over, by seq, and that are not answered
	probing bool          // it gets nothing until it has answered the probe
	probe   int64         // seq
	probeAt instant       // send another one
	probeBy instant       // say that it does not answer; 0: that was said
	unkept  bool          // its channel is not kept yet for the next master

	batch      int // connections it takes in one message; 0: Node's protocol only
	seq        int64
	keys       map[string]*key
	sent       []handoff // unanswered from head on, oldest first
	head       int
	inFlight   int
	dirty      bool
	blocked    bool // its channel is full
	broken     bool // its channel takes nothing more
	stalled    bool // it has left a connection unanswered for ack-timeout
	handedOver uint64

	why        string // it must end, or leaves: its end says so
	told       *exit  // its slot's last, from before its process had ended
	refusal    string // what it could not listen on last, and why
	violations int
	heard      map[string]bool // that it did, and the log says
}

// want is what was decided about a worker.
type want uint8

const (
	up want = iota
	down
)

func (w want) String() string { return [...]string{"up", "down"}[w] }

// key is one listener that a worker opened: its own name for one handle.
type key struct {
	name      string
	asked     int64 // seq of the query
	quoted    []byte
	worker    *worker
	query     *wire.Query
	handle    *handle
	port      int // as answered
	seats     []*seat
	shared    bool // the worker has the socket itself, and no seats
	listening bool
	closed    bool // by the worker, or with its channel
}

// handle is what a query was resolved to, the same for all workers that ask it.
type handle struct {
	name      string
	listeners []*listener
	keys      int             // of workers, that stand for it
	bound     bool            // we opened its listener for it
	data      json.RawMessage // of the first asker; secret
}

func (w *worker) nextSeq() int64 {
	w.seq++
	return w.seq - 1
}

func (w *worker) attrs(more ...any) []any {
	return append([]any{"worker", w.id, "slot", w.slot.index, "pid", w.pid, "generation", w.generation}, more...)
}

func (w *worker) String() string {
	return fmt.Sprintf("worker %d (slot %d, generation %d)", w.id, w.slot.index, w.generation)
}

// listeners gives those that w listens on.
func (w *worker) listeners() []*listener {
	var all []*listener
	for _, name := range slices.Sorted(maps.Keys(w.keys)) {
		if k := w.keys[name]; k.listening {
			all = append(all, k.handle.listeners...)
		}
	}
	return all
}

// spawn starts a worker in s.
func (t *table) spawn(s *slot, generation int, cfg *settings.Settings) *worker {
	t.lastWorker++
	w := &worker{id: t.lastWorker, slot: s, generation: generation, cfg: cfg, since: t.now, keys: map[string]*key{}}
	w.deadline = t.now.add(cfg.StartTimeout)
	w.unkept = t.stores
	t.arm(w.deadline)
	t.workers[w.id] = w
	t.do(effect{kind: effSpawn, worker: w})
	return w
}

func (t *table) online(w *worker, batch int) {
	if w.state == wStarting { // what it takes cannot change while it is being sent
		w.batch, w.state = batch, wOnline
	}
}

// missing says what w still lacks to be ready, or nothing.
func (t *table) missing(w *worker) string {
	if w.cfg.WaitReady && !w.saidReady {
		return `it has not sent the message "ready"`
	}
	open := w.listeners()
	if w.cfg.Ready == settings.ReadyPredecessor {
		for _, l := range w.slot.served {
			if !slices.Contains(open, l) {
				return fmt.Sprintf("it does not listen on %s, which its predecessor served (--ready first accepts that)", l)
			}
		}
	}
	if len(open) == 0 && !w.cfg.WaitReady {
		return "it does not listen on anything"
	}
	if w.unkept {
		return "the service manager has not taken its channel into the file descriptor store"
	}
	return ""
}

// checkReady makes w ready when nothing is missing, and replaces its predecessor.
func (t *table) checkReady(w *worker) {
	if w.want == down {
		return
	}
	if w.state == wReady {
		t.seat(w)
		return
	}
	if t.missing(w) != "" {
		return
	}
	w.state, w.readyAt, w.deadline = wReady, t.now, 0
	s := w.slot
	old := s.current
	s.current = w
	if s.next == w {
		s.next = nil
	}
	t.seat(w)
	t.log.Info("worker became ready", w.attrs("took", time.Duration(t.now-w.since))...)
	if old != nil && old != w {
		t.drain(old)
	}
	t.becameReady(w)
}

// seat gives w its place in the ring of each listener that it listens on.
func (t *table) seat(w *worker) {
	i := w.slot.index
	for _, k := range w.keys {
		if !k.listening {
			continue
		}
		for _, s := range k.seats {
			for len(s.listener.ring) <= i {
				s.listener.ring = append(s.listener.ring, nil)
			}
			s.listener.ring[i] = s
			t.wait(s.listener)
		}
	}
	w.slot.served = w.listeners()
}

// unseat takes w out of every ring: it gets no new connection.
func (t *table) unseat(w *worker) {
	for _, k := range w.keys {
		t.unseatKey(k)
	}
}

func (t *table) unseatKey(k *key) {
	i := k.worker.slot.index
	for _, s := range k.seats {
		if r := s.listener.ring; i < len(r) && r[i] == s {
			r[i] = nil
		}
	}
	t.recall(k.worker, k)
}

// forget ends what k stands for. A handle of passed sockets goes with its last key;
// one that we bound goes with its listener, so that a worker that comes back finds it.
func (t *table) forget(k *key) {
	t.unseatKey(k)
	k.closed = true
	delete(k.worker.keys, k.name)
	for _, l := range k.handle.listeners {
		l.keys--
	}
	// After an adoption it may be one that no worker shares any more.
	if k.handle.keys--; k.handle.keys == 0 && !k.handle.bound && t.handles[k.handle.name] == k.handle {
		delete(t.handles, k.handle.name)
	}
}

// drain tells w to take nothing new, finish what it holds, and leave.
func (t *table) drain(w *worker) {
	if w.want == down {
		return
	}
	t.unseat(w)
	wasUp := w.state == wReady && !w.broken && !w.ended
	w.want, w.state = down, wDraining
	if !wasUp {
		t.terminate(w)
		return
	}
	t.tellLeave(w)
	w.deadline = t.now.add(w.cfg.DrainTimeout)
	t.arm(w.deadline)
	t.log.Info("worker drains", w.attrs()...)
}

// leaves applies that w has decided, itself, to take nothing new and end.
func (t *table) leaves(w *worker) {
	if w.want == down {
		return
	}
	t.unseat(w)
	w.want, w.state = down, wDraining
	w.deadline = t.now.add(w.cfg.DrainTimeout)
	t.arm(w.deadline)
	w.why = "left of its own will"
	t.lost(w, exit{code: -1, reason: w.why})
}

// terminate sends SIGTERM now, and SIGKILL after kill-timeout.
func (t *table) terminate(w *worker) {
	w.signalled = true
	w.deadline = t.now.add(w.cfg.KillTimeout)
	t.arm(w.deadline)
	t.do(effect{kind: effSignal, worker: w, signal: sigTerm})
}

// unsignalled applies that w cannot be ended, as when it is of another account than the
// master: nobody waits for it any more.
func (t *table) unsignalled(w *worker, err error) {
	if w.cutIn != nil {
		w.cutIn.Cut--
		w.cutIn = nil
	}
	if !w.beyond {
		w.beyond = true
		t.log.Error("worker cannot be ended, and lives on until it ends itself; to end it, as root: kill -KILL "+strconv.Itoa(w.pid),
			w.attrs("err", err)...)
		t.reloadOn()
	}
	if t.phase == draining {
		t.endDrain()
	}
}

// endDrain ends a stop when nobody is left who is to be waited for.
func (t *table) endDrain() {
	for _, w := range t.workers {
		if !w.beyond || !w.signalled || !w.adopted { // a child of ours must be reaped
			return
		}
	}
	t.phase = stopped
	t.do(effect{kind: effExit, err: t.stopErr})
}

// channelEnd applies that the channel of w was read to its end.
func (t *table) channelEnd(w *worker) {
	if w.ended {
		return
	}
	w.ended = true
	t.unseat(w)
	t.abandon(w)
	for _, k := range w.keys {
		t.forget(k)
	}
	t.hangUp(w)
	t.sweep()
}

// broken applies that nothing can be written to w any more. Mostly it is about to
// end; if it does not, it has closed its channel as much as one that was read to its end.
func (t *table) broken(w *worker) {
	w.broken = true
	t.recall(w, nil)
	t.hangUp(w)
}

// hangUp gives the process of w a little time to end, too.
func (t *table) hangUp(w *worker) {
	if w.hungAt == 0 {
		w.hungAt = t.now.add(hangUpGrace)
		t.arm(w.hungAt)
	}
}

// hangUpGrace is how long a process may outlive its channel before it counts as
// alive: a dying one closes its descriptors a little before its end shows, and the
// loop tells of that only when it has the last lines, which may take tailWindow.
const hangUpGrace = 4 * tailWindow

// hungUp applies that w closed its channel and lives on.
func (t *table) hungUp(w *worker) {
	if w.want == down {
		return
	}
	t.unseat(w)
	w.want, w.state = down, wDraining
	w.deadline = t.now.add(w.cfg.DrainTimeout)
	t.arm(w.deadline)
	t.log.Warn("worker closed its channel and lives on", w.attrs()...)
	t.lost(w, exit{code: -1, reason: "closed its channel"})
}

// exited applies the end of a process, after the end of its channel.
func (t *table) exited(w *worker, e exit) {
	t.channelEnd(w)
	if w.why != "" {
		e.reason = w.why + "; " + e.reason
	}
	unexpected := w.want == up
	delete(t.workers, w.id)
	t.do(effect{kind: effRelease, worker: w})
	if unexpected {
		w.want = down
		if w.refusal != "" && w.state != wReady {
			e.reason = "could not listen on " + w.refusal + "; " + e.reason
		}
		t.log.Warn("worker died", w.died(e)...)
		t.lost(w, e)
	} else {
		if w.told != nil && w.slot.lastExit == w.told {
			w.slot.lastExit = &e
		}
		t.log.Info("worker exited", w.attrs("reason", e.reason)...)
	}
	if t.phase == draining {
		t.endDrain()
	}
	t.reloadOn()
}

// died is how w ended, for the log: with what it said, if that is known.
func (w *worker) died(e exit) []any {
	if line, _ := lastline.Of(e.output); line != "" {
		return w.attrs("err", e.reason, "output", line)
	}
	return w.attrs("err", e.reason)
}

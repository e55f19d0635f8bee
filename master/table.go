package master

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/rondokit/rondo/internal/lastline"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
)

// instant is a point in time of the loop's clock, in nanoseconds since it started
// plus one; 0 means none.
type instant int64

func (i instant) add(d time.Duration) instant { return i + instant(d) }

// table is what the master knows: listeners, slots, workers and connections. It has
// no clock, no descriptors and no goroutines; connections are numbers to it. step
// applies one event and gives what the loop must do, so every transition is a row in
// a test, and the whole is driven by a property test without a process or socket.
//
// A connection that step was told of is in exactly one place at a time: held by its
// listener, in a worker's batch, sent to a worker, or ended by an effect.
type table struct {
	log     *slog.Logger
	rand    *rand.Rand
	now     instant
	next    instant // no deadline is earlier; 0 means there is none
	effects []effect

	epoch      time.Time          // when now was 1
	monotonic  int64              // the system's clock then, in nanoseconds; the loop's
	cfg        *settings.Settings // of the generation that serves
	generation int                // that serves
	lastGen    int                // handed out last
	lastWorker int

	listeners []*listener
	handles   map[string]*handle
	slots     []*slot
	workers   map[int]*worker
	tickets   []ticketKey // the one to encrypt with first; none before a worker asked

	phase      phase
	startLimit instant // while phase is starting: exit then
	acceptFrom instant // accepting is paused until then, for want of descriptors
	acceptWait time.Duration
	acceptSaid instant // in the log, when it last paused
	sendSaid   instant // likewise, when handing over did
	statusAt   instant
	statusSeen uint64
	rate       uint64 // connections a second, of late
	statusText string
	extendAt   instant
	settleBy   instant
	stopErr    error

	reload     *reload // in progress
	lastReload *Reload
	scaledFrom int
	scaling    bool

	unpassed     error  // sockets that --listen names and that are not there
	stores       bool   // channels are kept for the next master: a worker gets nothing before its own is
	adoptions    int    // masters before this one
	anew         bool   // adopted from a master that was stopping
	changed      bool   // beside what the event says: by the time, mostly
	leaving      bool   // the workers stay for the next master
	planned      bool   // which is to replace them
	handed       bool   // adopted from a master that made place for this one
	env, ownEnv  string // hashes of environments: of the generation, and of what this master starts
	texts        map[*settings.Settings]json.RawMessage
	identified   map[*listener]string // identities, of
	identifiedOf []keptListener       // these
	passedOf     *string              // what names those of them that were passed

	starved  []*listener // not polled for want of a worker with room, or holding connections
	dirty    []*worker   // with a batch that flush must send
	lastConn uint64
	freeCon  []*conn
	freeVec  [][]*conn
	count    Counters
}

// phase is the life of the master itself.
type phase uint8

const (
	starting phase = iota // not every slot has been ready yet
	serving
	settling // stopping: what was accepted is still handed over
	draining // stopping: workers were told to leave
	stopped
)

func (p phase) String() string {
	return [...]string{"starting", "ready", "draining", "draining", "stopped"}[p]
}

// eventKind is what happened. The comments name the fields of event that count.
type eventKind uint8

const (
	evTick         eventKind = iota // time has passed
	evStart                         // begin: spawn the first workers
	evAccepted                      // fd, listener
	evDrained                       // listener: nothing more to accept
	evMore                          // listener: more may wait, others come first
	evFull                          // listener: nobody has room
	evDeaf                          // listener, err: it is no listener any more
	evAcceptFailed                  // listener, err: descriptors or memory ran out
	evMessage                       // worker, msg
	evGarbage                       // worker, err: a line that is no message
	evUnsent                        // worker, seq: a handoff that could not be sent
	evUnshared                      // worker, seq, err: a socket that could not be passed
	evBlocked                       // worker: its channel takes no more
	evWritable                      // worker: its channel takes again
	evBroken                        // worker: its channel takes nothing ever again
	evChannelEnd                    // worker: read to its end
	evSpawned                       // worker, pid
	evExited                        // worker, exit: also when it could not be started
	evUnsignalled                   // worker, err: a signal that it was not sent
	evBound                         // worker, seq, listener or errno: answer to effBind
	evReload                        // cfg, err
	evScale                         // n
	evDrainWorker                   // worker
	evKillWorker                    // worker
	evAdopt                         // begin with what adopt restored
	evKept                          // worker: its channel is kept for the next master
	evProbeUnsent                   // worker: a probe could not be sent
	evLeave                         // n: end, and leave the workers; 1: to be replaced
	evStop                          // drain and end
	evStopNow                       // kill and end
)

type event struct {
	kind     eventKind
	now      instant
	worker   int
	listener *listener
	fd       int
	seq      int64
	n        int
	pid      int
	errno    int
	msg      *wire.Message
	exit     exit
	cfg      *settings.Settings
	err      error
}

// exit tells how a process ended.
type exit struct {
	code   int // -1: by signal, or never started
	signal string
	reason string // for people: "exited with code 1"
	output string // its last lines, when the master has them
	hint   string // the command that shows them, when it has not
}

func (e exit) String() string {
	said, _ := lastline.Of(e.output) // all of it went to the operator, too
	if said == "" {
		said = e.hint
	}
	if said == "" {
		return e.reason
	}
	return e.reason + "; its last output: " + said
}

// effectKind is what the loop must do.
type effectKind uint8

const (
	effSpawn   effectKind = iota // worker
	effSend                      // worker, handoff: pass its connections
	effShare                     // worker, listener, seq, line: pass the listener itself
	effLine                      // worker, line: write it; on: it tells the worker to leave
	effClose                     // fd: close the master's copy
	effAccept                    // listener: accept while it has room
	effPoll                      // listener, on: wait for it, or stop
	effSignal                    // worker, signal
	effBind                      // worker, seq, query
	effUnbind                    // listener: close it
	effRelease                   // worker: forget it; its process and its channel have ended
	effProbe                     // worker, seq: pass it one end of a pair, for a key that is none
	effSettle                    // worker, seq: a handoff that ended without an answer
	effReload                    // read the settings again, and evReload
	effMessage                   // worker, line: it said that to us
	effNotify                    // notify
	effDone                      // done, err: a command has its result
	effExit                      // err: Run returns it
)

type effect struct {
	kind     effectKind
	worker   *worker
	listener *listener
	handoff  *handoff
	line     []byte
	fd       int
	seq      int64
	on       bool
	signal   signal
	query    *wire.Query
	notify   Event
	done     command
	err      error
}

// signal is what a worker is told by the operating system.
type signal uint8

const (
	sigTerm signal = iota
	sigKill        // also all it left in its process group
)

// command is an operator's word that is answered later.
type command uint8

const (
	cmdReload command = iota
	cmdScale
)

func newTable(cfg *settings.Settings, log *slog.Logger, rnd *rand.Rand, epoch time.Time) *table {
	return &table{
		log: log, rand: rnd, cfg: cfg, epoch: epoch, generation: 1, lastGen: 1,
		handles: map[string]*handle{}, workers: map[int]*worker{},
	}
}

// step applies one event and returns what the loop must do next, in order. The
// slice is valid until the next call. Batches wait for flush, and deadlines for evTick.
func (t *table) step(ev event) []effect {
	t.now = ev.now
	t.effects = t.effects[:0]
	switch ev.kind {
	case evTick:
		t.tick()
	case evStart:
		t.start()
	case evAdopt:
		t.takeOver()
	case evLeave:
		t.leave(ev.n == 1)
	case evAccepted:
		t.accepted(ev.listener, ev.fd)
	case evDrained:
		t.drained(ev.listener)
	case evMore:
		t.wait(ev.listener)
	case evFull:
		t.starve(ev.listener)
	case evDeaf:
		t.deaf(ev.listener, ev.err)
	case evAcceptFailed:
		t.acceptFailed(ev.listener, ev.err)
	case evReload:
		t.beginReload(ev.cfg, ev.err)
	case evScale:
		t.scale(ev.n)
	case evStop:
		t.stop(nil)
	case evStopNow:
		t.stopNow()
	default:
		w := t.workers[ev.worker]
		if w == nil {
			panic(fmt.Sprintf("master: event %d for worker %d, which is gone", ev.kind, ev.worker))
		}
		t.stepWorker(w, ev)
	}
	if len(t.starved) > 0 {
		t.feed()
	}
	if t.phase == settling && t.settled() {
		t.changed = true
		t.endSettling()
	}
	return t.effects
}

// stepWorker applies an event of one worker.
func (t *table) stepWorker(w *worker, ev event) {
	switch ev.kind {
	case evMessage:
		t.message(w, ev.msg)
	case evGarbage:
		t.violation(w, ev.err.Error())
		t.probeAgain(w) // it may have been the answer
	case evUnsent:
		t.unsent(w, ev.seq, ev.err)
	case evUnshared:
		t.unshared(w, ev.seq, ev.err)
	case evBlocked:
		w.blocked = true
		t.recall(w, nil)
	case evWritable:
		w.blocked = false
	case evBroken:
		t.broken(w)
	case evChannelEnd:
		t.channelEnd(w)
	case evSpawned:
		w.pid = ev.pid
	case evKept:
		w.unkept = false
		t.checkReady(w)
	case evProbeUnsent:
		t.probeAgain(w)
	case evUnsignalled:
		t.unsignalled(w, ev.err)
	case evExited:
		t.exited(w, ev.exit)
	case evBound:
		t.bound(w, ev)
	case evDrainWorker:
		t.drainOne(w)
	case evKillWorker:
		t.killOne(w)
	default:
		panic(fmt.Sprintf("master: unknown event %d in phase %v", ev.kind, t.phase))
	}
}

func (t *table) do(e effect) { t.effects = append(t.effects, e) }

// arm makes sure that a tick comes no later than at.
func (t *table) arm(at instant) {
	if at != 0 && (t.next == 0 || at < t.next) {
		t.next = at
	}
}

// message applies one message of a worker.
func (t *table) message(w *worker, m *wire.Message) {
	if m.Envelope {
		// Nothing that a worker may send us is of use here. The loop has closed the
		// descriptor and says whether there was one.
		return
	}
	if m.Seq < 0 && (m.Kind == wire.QueryServer || m.Kind == wire.Exited) {
		t.violation(w, "sent a message without seq, so that it cannot be answered")
		return
	}
	switch m.Kind {
	case wire.HandleAck:
		t.handleAck(w, true)
	case wire.HandleNack:
		t.handleAck(w, false)
	case wire.Answer:
		t.answer(w, m)
	case wire.Online:
		t.online(w, m.Batch)
	case wire.QueryServer:
		t.queryServer(w, m.Seq, m.Query)
	case wire.Listening:
		t.listening(w, m.Query)
	case wire.Close:
		t.closeKey(w, m.Key)
	case wire.Exited:
		t.line(w, wire.AppendAck(nil, w.nextSeq(), m.Seq))
		t.leaves(w)
	case wire.User:
		if string(m.Body) == `"ready"` {
			w.saidReady = true
			t.checkReady(w)
		}
		t.do(effect{kind: effMessage, worker: w, line: m.Body})
	case wire.SocketsClosed, wire.SocketCount:
		t.sockets(w, m)
	case wire.Tickets:
		t.sharesTickets(w)
	case wire.Bun:
		t.isBun(w)
	case wire.Unknown, wire.NewConn, wire.NewConns, wire.Disconnect:
		// A later release may say more; a worker has no business with the others.
	default:
		panic(fmt.Sprintf("master: message of kind %d from worker %d", m.Kind, w.id))
	}
}

func (t *table) line(w *worker, b []byte) {
	if len(b) > wire.MaxLine {
		panic(fmt.Sprintf("master: line of %d bytes to worker %d", len(b), w.id))
	}
	t.do(effect{kind: effLine, worker: w, line: b})
}

// violation notes something that a worker must not do. It harms nobody else, so
// the worker is left alone; the first of each kind is logged, all are counted.
func (t *table) violation(w *worker, what string) {
	w.violations++
	if w.unheard(what) {
		t.log.Warn("worker misbehaved on its channel", w.attrs("err", shorten(what))...)
	}
}

// unheard tells whether what is new from w, and worth a line in the log. A worker
// can neither fill the log nor hold memory by what it says.
func (w *worker) unheard(what string) bool {
	what = shorten(what)
	if len(w.heard) >= maxHeard || w.heard[what] {
		return false
	}
	if w.heard == nil {
		w.heard = map[string]bool{}
	}
	w.heard[what] = true
	return true
}

const maxHeard = 16

// shorten cuts what a worker made us say.
func shorten(s string) string {
	if len(s) > maxSaid {
		return s[:maxSaid] + "..."
	}
	return s
}

const maxSaid = 1000

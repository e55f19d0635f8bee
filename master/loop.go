package master

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rondokit/rondo/internal/fault"
	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// What a poller tag names, in its highest byte; the rest is a number.
const (
	tagListener uint64 = iota + 1
	tagChannel
	tagExit
)

const tagShift = 56

// acceptBudget is how many connections one listener may bring in a turn of the loop.
const acceptBudget = 64

// loop is the part of a Master with a clock and descriptors. Everything in it
// belongs to the goroutine of Run.
type loop struct {
	m     *Master
	cfg   *Config
	t     *table
	began time.Time
	now   instant

	listeners    map[int]*listener // by number
	lastNum      int
	lastKept     int
	ownFull      bool            // more than are kept, and the log says so
	maxListeners int             // that workers may make us open
	ctx          context.Context // of Config.Next; ends with the loop
	cancel       context.CancelFunc
	procs        map[int]*proc // by worker id
	oom          oomWatch

	state     *state.Service // nil where nothing would keep it
	unsavable bool           // and the log says so
	accepted  uint64         // connections
	counted   state.Counters // as kept

	pending  []event     // raised by effects, applied after them
	toAccept []*listener // at the end of the turn
	waiting  []*proc     // with lines that have been read and are for the next turn
	ready    []sys.Ready
	buf      []byte // one outgoing line
	fds      []int
	msg      wire.Message

	begun       bool   // run
	adopted     bool   // the workers of the last master
	refused     string // what of the last master's was not taken over; "" if nothing
	handing     bool   // leaves with a Handover
	readingNext bool   // for a reload

	reloading chan<- error
	scaling   chan<- error
	sliceEnd  instant
	alive     instant // when to tell the watchdog
	lookAt    instant // when to look again for who has a port
	ended     bool
	err       error
	starts    sync.WaitGroup // goroutines that start processes
	helpers   sync.WaitGroup // goroutines that read their output, read settings
	output    output
}

func newLoop(m *Master) (*loop, error) {
	l := &loop{m: m, cfg: &m.cfg, began: time.Now(), now: 1,
		listeners: map[int]*listener{}, procs: map[int]*proc{}, maxListeners: maxListeners(), oom: newOOMWatch(sys.OOMFile())}
	t, err := configured(l.cfg)
	if err != nil {
		return nil, err
	}
	l.t = t
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.output = output{out: newSink(m.cfg.Stdout), err: newSink(m.cfg.Stderr), hurry: make(chan struct{}), journal: m.cfg.Journal, name: m.cfg.Name,
		begun: m.cfg.Begun}
	t.epoch, t.monotonic, t.log = l.began, monotonic(), m.log
	t.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	t.stores = l.cfg.Store != nil
	t.ownEnv = environmentHash(l.cfg.Env)
	t.env = t.ownEnv
	if t.unpassed != nil {
		m.log.Error("a socket that is to be listened on was not passed; the others are served", "err", t.unpassed)
	}
	if err := l.open(); err != nil {
		l.leaveBehind() // the workers are for the next master, or for the one that made place for this one
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) run() error {
	l.begun = true
	if l.cfg.Sweep != nil {
		l.cfg.Sweep(l.adoptedPIDs(), l.lostPIDs())
	}
	read := l.watchAdopted()
	if l.adopted {
		fault.At("before adoption")
		l.apply(event{kind: evAdopt})
	} else {
		l.apply(event{kind: evStart})
	}
	read()
	l.acceptAll()
	if l.cfg.Watchdog > 0 {
		l.alive = l.now
	}
	for !l.ended {
		l.turn()
	}
	return l.err
}

// turn waits for something to happen and does what follows from it. A deadline is
// applied after what was ready when it had passed: a master that was held up, stopped
// or starved finds the answers of its workers before it finds them late.
func (l *loop) turn() {
	late := l.t.next != 0 && l.now >= l.t.next
	var err error
	l.ready, err = l.m.poller.Wait(l.ready[:0], l.timeout())
	if err != nil {
		panic("master: the poller does not wait: " + err.Error())
	}
	last := l.now
	l.now = instant(time.Since(l.began)) + 1
	l.yield(last)
	for _, r := range l.ready {
		l.event(r)
	}
	l.goOn()
	l.acceptAll()
	for more := true; more; {
		select {
		case f := <-l.m.inbox:
			f(l)
		default:
			more = false
		}
	}
	if late {
		l.apply(event{kind: evTick})
	}
	if l.alive != 0 && l.now >= l.alive {
		l.alive = l.now.add(l.cfg.Watchdog)
		l.cfg.Notify(Event{Alive: true})
	}
	l.acceptAll()
}

// maxSlice is how long a busy loop keeps its processor: a little less than what Go's
// runtime lets a goroutine have (10 ms). After that it takes the processor away at each
// system call, and looks for such calls every 20 us: a sixth of the master's CPU time.
const maxSlice = 8 * time.Millisecond

// yield begins a new slice when the loop has been busy for one. last is when the last
// turn was.
func (l *loop) yield(last instant) {
	if l.now < l.sliceEnd {
		return
	}
	if l.now < last.add(maxSlice) {
		runtime.Gosched()
	}
	l.sliceEnd = l.now.add(maxSlice)
}

// timeout is how long the loop may wait.
func (l *loop) timeout() time.Duration {
	next := l.t.next
	if l.alive != 0 && (next == 0 || l.alive < next) {
		next = l.alive
	}
	switch {
	case len(l.waiting) > 0:
		return 0
	case next == 0:
		return -1
	case next <= l.now:
		return 0
	}
	return max(0, time.Duration(next-1)-time.Since(l.began))
}

// event applies one descriptor that is ready. Listeners wait for acceptAll.
func (l *loop) event(r sys.Ready) {
	num := int(r.Tag & (1<<tagShift - 1))
	switch r.Tag >> tagShift {
	case tagListener:
		if ls := l.listeners[num]; ls != nil && ls.polled {
			ls.ready = true
			l.toAccept = append(l.toAccept, ls)
		}
	case tagChannel:
		p := l.procs[num]
		if p == nil || p.channel < 0 || p.dead {
			return
		}
		if r.Write {
			l.writable(p)
		}
		if r.Read && p.channel >= 0 && !p.paused && !p.waiting {
			l.read(p)
		}
	case tagExit:
		if p := l.procs[num]; p != nil {
			l.exited(p)
		}
	}
}

// apply gives ev to the table and does what it says, and what follows from that.
func (l *loop) apply(ev event) {
	l.step(&ev)
	l.follow()
}

// follow applies what effects have raised.
func (l *loop) follow() {
	for len(l.pending) > 0 {
		ev := l.pending[0]
		l.pending = l.pending[1:]
		l.step(&ev)
	}
	l.pending = l.pending[:0]
}

// step gives ev to the table, keeps what that changes, and does what it says. What is
// about to be handed over goes before all that takes long: it would end with the master.
func (l *loop) step(ev *event) {
	ev.now = l.now
	if len(l.t.dirty) > 0 && !ev.isHot() {
		l.do(l.t.flush())
	}
	effects := l.t.step(*ev)
	l.save(ev)
	l.do(effects)
	l.count() // not before: what is lost by the way is lost, and counted by who comes next
	l.answered(ev)
}

// settle sends all batches, also those that others could not take.
func (l *loop) settle() {
	for len(l.t.dirty) > 0 {
		l.do(l.t.flush())
		l.follow()
	}
}

// acceptAll takes connections where there are some and a worker has room. Nothing comes
// between that and their being sent: until then they would end with the master.
func (l *loop) acceptAll() {
	l.settle()
	for i := 0; i < len(l.toAccept); i++ {
		l.accept(l.toAccept[i])
		l.settle()
	}
	l.toAccept = l.toAccept[:0]
}

func (l *loop) raise(ev event) { l.pending = append(l.pending, ev) }

// accept takes connections from ls while a worker has room.
func (l *loop) accept(ls *listener) {
	for range acceptBudget {
		if !l.t.mayAccept(ls) {
			l.apply(event{kind: evFull, listener: ls})
			return
		}
		if !ls.ready && !sys.Waiting(ls.fd) {
			l.apply(event{kind: evDrained, listener: ls})
			return
		}
		ls.ready = false
		fault.At("before accept")
		l.accepted++ // first: a master that is killed in between has lost it
		l.count()
		fd, err := sys.Accept(ls.fd)
		fault.At("after accept")
		if err != nil {
			l.accepted--
			l.count()
		}
		switch err {
		case nil:
			l.apply(event{kind: evAccepted, listener: ls, fd: fd})
			if l.t.goesAlone() {
				l.settle()
			}
		case unix.EAGAIN: // another process that has the socket took it
			l.apply(event{kind: evDrained, listener: ls})
			return
		case unix.EINVAL, unix.EBADF, unix.ENOTSOCK:
			l.apply(event{kind: evDeaf, listener: ls, err: err})
			return
		default:
			if !sys.IsOfConnection(err) {
				l.apply(event{kind: evAcceptFailed, listener: ls, err: err})
				return
			}
			// The connection has ended before it was accepted; the next one has not.
		}
	}
	l.apply(event{kind: evMore, listener: ls})
}

// do carries out effects. What they raise is applied by the caller.
func (l *loop) do(effects []effect) {
	for i := range effects {
		e := &effects[i]
		switch e.kind {
		case effSpawn:
			fault.At("before spawn")
			l.spawn(e.worker)
		case effSend:
			l.send(l.procs[e.worker.id], e.handoff)
		case effShare:
			l.share(l.procs[e.worker.id], e)
		case effLine:
			if p := l.procs[e.worker.id]; p != nil && p.channel >= 0 {
				p.state.Reserve(e.worker.seq)
				fault.At("before line")
				l.write(p, e.line)
				if e.on {
					fault.At("after disconnect")
					p.state.SetTold()
				}
			}
		case effClose:
			sys.Release(e.fd)
		case effAccept:
			l.toAccept = append(l.toAccept, e.listener)
		case effPoll:
			l.poll(e.listener, e.on)
		case effSignal:
			l.signal(l.procs[e.worker.id], e.signal)
		case effBind:
			l.bind(e.worker, e.seq, e.query)
		case effUnbind:
			l.unbind(e.listener)
		case effRelease:
			l.release(e.worker.id)
		case effProbe:
			l.probe(l.procs[e.worker.id], e.seq)
		case effSettle:
			if p := l.procs[e.worker.id]; p != nil {
				p.state.Settle(e.seq)
			}
		case effReload:
			l.reload(nil)
		case effMessage:
			l.heard(e)
		case effNotify:
			if e.notify.Ready {
				fault.At("before ready")
				if l.state != nil {
					l.state.Adopted()
				}
			}
			l.cfg.Notify(e.notify)
		case effDone:
			l.finish(e.done, e.err)
		case effExit:
			l.ended = true
			if l.err == nil {
				l.err = e.err
			}
		default:
			panic(fmt.Sprintf("master: unknown effect %d", e.kind))
		}
	}
}

func (l *loop) poll(ls *listener, on bool) {
	want := sys.Interest(0)
	if on {
		want = sys.Read
	}
	if err := l.m.poller.Watch(ls.fd, tagListener<<tagShift|uint64(ls.num), want); err != nil {
		panic(fmt.Sprintf("master: cannot poll %s: %v", ls, err))
	}
}

// close frees what the loop holds.
func (l *loop) close() {
	l.cancel()
	if l.t.leaving {
		l.leaveBehind()
	} else if l.begun { // nobody is left whom the next master could take over
		l.drop(serviceName)
	}
	for _, ls := range l.listeners {
		l.unbind(ls)
	}
	for _, p := range l.procs {
		l.abandon(p)
	}
	if l.state != nil {
		l.state.Close()
	}
	l.output.end()
	hurry := time.AfterFunc(lastWords, func() { close(l.output.hurry) })
	defer hurry.Stop()
	finished := make(chan struct{})
	go func() { // ends when the helpers have; they need the inbox emptied
		l.starts.Wait()
		for _, p := range l.procs { // what nobody hears of any more
			p.start.undo()
		}
		l.helpers.Wait()
		close(finished)
	}()
	for {
		select {
		case <-l.m.inbox: // of helpers that came too late
		case <-finished:
			l.output.close()
			if l.m.handover != nil {
				l.m.handover.Begun = l.output.unended
			}
			return
		}
	}
}

func (l *loop) signal(p *proc, s signal) {
	if p == nil {
		return
	}
	if p.process == nil { // being started
		p.early = append(p.early, s)
		return
	}
	var err error
	switch s {
	case sigTerm:
		err = p.process.Signal(syscall.SIGTERM)
	case sigKill:
		p.killed = true
		if err = p.process.Signal(syscall.SIGKILL); err == nil { // else it was adopted and has ended: its number may be another's
			p.process.KillGroup()
		}
	}
	if err != nil && err != unix.ESRCH {
		l.raise(event{kind: evUnsignalled, worker: p.worker.id, err: err})
	}
}

// release forgets a worker whose process and channel have ended.
func (l *loop) release(id int) {
	if p := l.procs[id]; p != nil {
		if p.state != nil {
			p.state.Close()
		}
		delete(l.procs, id)
	}
	l.dropWorker(id)
}

func itoa(n int) string { return strconv.Itoa(n) }

package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// stored is what the last master left, sorted.
type stored struct {
	service   int // -1: none
	workers   map[int]*storedWorker
	listeners map[int]int // descriptor by number
}

type storedWorker struct{ channel, process, state, out, err int }

// sortStored sorts descriptors by their names. Those of no known name are given back.
func sortStored(all map[string]int) (s stored, unknown map[string]int) {
	s = stored{service: -1, workers: map[int]*storedWorker{}, listeners: map[int]int{}}
	unknown = map[string]int{}
	for name, fd := range all {
		if name == serviceName {
			s.service = fd
			continue
		}
		stem, kind, _ := strings.Cut(name, ".")
		n, err := strconv.Atoi(stem[min(1, len(stem)):])
		switch {
		case err != nil || n <= 0:
			unknown[name] = fd
		case stem[0] == 'l' && kind == "listen":
			s.listeners[n] = fd
		case stem[0] == 'w' && !s.worker(n).take(kind, fd), stem[0] != 'w' && stem[0] != 'l':
			unknown[name] = fd
		}
	}
	return s, unknown
}

func (s *stored) worker(id int) *storedWorker {
	if s.workers[id] == nil {
		s.workers[id] = &storedWorker{-1, -1, -1, -1, -1}
	}
	return s.workers[id]
}

func (w *storedWorker) take(kind string, fd int) bool {
	switch kind {
	case "chan":
		w.channel = fd
	case "pid":
		w.process = fd
	case "state":
		w.state = fd
	case "out":
		w.out = fd
	case "err":
		w.err = fd
	default:
		return false
	}
	return true
}

// IsStored tells whether a descriptor of that name is one that a master keeps for
// the next one. listening says that it is a listening socket: a unit may call one of
// its own "state".
func IsStored(name string, listening bool) bool {
	s, unknown := sortStored(map[string]int{name: 0})
	return len(unknown) == 0 && listening == (len(s.listeners) > 0)
}

// LastSettings gives the settings of the generation that the last master served with,
// from what it left; and whether the next one replaces the workers, for which other
// settings may count. It borrows the descriptors. ok is false where there is nothing to be read.
func LastSettings(stored map[string]int) (s settings.Settings, replaced, ok bool) {
	fd, ok := stored[serviceName]
	if !ok {
		return s, false, false
	}
	dup, err := sys.Dup(fd)
	if err != nil {
		return s, false, false
	}
	svc, err := state.OpenService(dup)
	if err != nil {
		sys.Close(dup)
		return s, false, false
	}
	defer svc.Close()
	text, err := svc.Load()
	r := new(tableRecord)
	if err != nil || json.Unmarshal(text, r) != nil || json.Unmarshal(r.Settings[r.Generation], &s) != nil {
		return settings.Settings{}, false, false
	}
	_, err = r.settings()
	return s, r.Planned || r.Stopping || err != nil || svc.Attempts()+1 >= maxAttempts, true
}

// recall takes over what the last master left, or begins anew. It reports whether
// there is something to take over.
func (l *loop) recall() (adopted bool, err error) {
	s, unknown := sortStored(l.cfg.Stored)
	for name, fd := range unknown {
		l.m.log.Warn("a descriptor in the store is none of ours: dropped", "listener", name)
		sys.Close(fd)
		l.drop(name)
	}
	record, err := l.recallService(&s)
	if err != nil {
		return false, err
	}
	if record != nil {
		l.ownListeners(record, s.listeners)
	}
	alive := map[int]*survivor{}
	for id, sw := range s.workers {
		if record != nil && !slices.ContainsFunc(record.Workers, func(life lifeRecord) bool { return life.ID == id }) {
			l.discard(id, sw, nil) // it has ended, and the last master had no time to say so
			continue
		}
		if v := l.survivor(id, sw, record); v != nil {
			alive[id] = v
		}
	}
	if record != nil {
		if err := l.t.adopt(record, alive); err != nil {
			if l.cfg.MustAdopt {
				return false, err
			}
			l.refuse("the state of the last master cannot be used: its workers finish what they hold, and are replaced", err)
			l.closeOwn()
			record = nil
		}
	}
	for num, fd := range s.listeners { // that no record names
		sys.Close(fd)
		l.drop(fmt.Sprintf(listenerName, num))
	}
	for id, v := range alive {
		if l.t.workers[id] == nil {
			l.t.stray(v)
		}
		l.procs[id].worker = l.t.workers[id]
	}
	if record == nil {
		return false, nil
	}
	l.counted = l.state.Counters()
	l.accepted = l.t.recount(l.counted)
	return true, nil
}

// recallService opens the state of the service and reads its record. Without one
// that can be read there is a new state.
func (l *loop) recallService(s *stored) (*tableRecord, error) {
	if s.service >= 0 {
		record, err := l.readService(s.service)
		if err == nil || l.cfg.MustAdopt {
			return record, err
		}
		l.refuse("the state of the last master is refused: its workers finish what they hold, and are replaced", err)
		if l.state == nil {
			sys.Close(s.service)
		} else {
			l.state.Close()
		}
		l.drop(serviceName)
	} else if len(s.workers) > 0 {
		l.refuse("the store has workers and no state of the service: they finish what they hold, and are replaced", nil)
	}
	l.newState()
	return nil, nil
}

func (l *loop) readService(fd int) (*tableRecord, error) {
	svc, err := state.OpenService(fd)
	if err != nil {
		return nil, err
	}
	l.state = svc
	if n := svc.Attempt(); n >= maxAttempts {
		return nil, fmt.Errorf("%d starts with it have failed", n-1)
	}
	text, err := svc.Load()
	if err != nil {
		return nil, err
	}
	r := new(tableRecord)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, err
	}
	return r, nil
}

// refuse says what the last master left and this one does not take over, and why. The
// first is also in the status.
func (l *loop) refuse(what string, err error, facts ...any) {
	if err != nil {
		facts = append(facts, "err", err)
	}
	if l.refused == "" {
		if l.refused = what; err != nil {
			l.refused += ": " + err.Error()
		}
	}
	l.m.log.Error(what, facts...)
}

func (l *loop) newState() {
	l.state = nil
	svc, err := state.NewService()
	if err != nil {
		l.m.log.Error("there is no memory that a crash of the master would leave: it would end its workers", "err", err)
		return
	}
	l.state = svc
	l.keep(serviceName, svc.FD())
}

// ownListeners adds those that the last master had opened, and takes them out of fds.
func (l *loop) ownListeners(r *tableRecord, fds map[int]int) {
	for _, o := range r.Own {
		fd, ok := fds[o.Num]
		err := errors.New("it is not in the store")
		if ok {
			err = unix.SetNonblock(fd, true)
		}
		ls := o.listener()
		if err != nil {
			l.m.log.Warn("a socket that the last master had opened is lost", "listener", ls.String(), "err", err)
			continue
		}
		if o.Unkept { // the store has never had it: it came with an upgrade
			l.drop(fmt.Sprintf(listenerName, o.Num))
		}
		delete(fds, o.Num)
		ls.file = socketFile(ls.path)
		l.t.listeners = append(l.t.listeners, ls)
		l.lastKept = max(l.lastKept, o.Num)
		l.add(ls, fd)
	}
}

// reopened tells whether the last master had opened what spec asks for, and maps it again.
func (l *loop) reopened(spec settings.Listen) bool {
	for _, ls := range l.t.listeners {
		if !ls.passed && ls.fixed && ls.isNamed(spec) {
			if spec.Want != nil {
				ls.wants = append(ls.wants, *spec.Want)
			}
			return true
		}
	}
	return false
}

// closeOwn closes the listeners that the last master had opened.
func (l *loop) closeOwn() {
	for _, ls := range l.listeners {
		if !ls.passed {
			l.unbind(ls)
		}
	}
	l.t.listeners = slices.DeleteFunc(l.t.listeners, func(ls *listener) bool { return !ls.passed })
}

// survivor gives the worker whose descriptors these are; nil when it has no channel
// any more, and is ended.
func (l *loop) survivor(id int, sw *storedWorker, r *tableRecord) *survivor {
	process, err := sys.AdoptProcess(sw.process, r.pid(id))
	if sw.channel < 0 || err != nil {
		l.refuse("a worker that was kept is not whole, and is ended", err, "worker", id)
		l.discard(id, sw, process)
		return nil
	}
	if process.PID <= 0 && r == nil { // it has ended, and nothing is known of it
		l.discard(id, sw, process)
		return nil
	}
	v := &survivor{id: id, pid: process.PID}
	if process.PID <= 0 { // it has ended, and only its status is missing
		v.pid = r.pid(id)
	}
	p := &proc{channel: sw.channel, process: process, tail: &tail{}, untold: l.oom.untold()}
	if err = errors.New("it is not in the store"); sw.state >= 0 {
		p.state, err = state.OpenWorker(sw.state)
	}
	if err == nil {
		var text []byte
		if text, err = p.state.Load(); err == nil && text != nil {
			v.record = new(channelRecord)
			if err = json.Unmarshal(text, v.record); err != nil {
				v.record = nil
			}
		}
	} else if sw.state >= 0 {
		sys.Close(sw.state)
	}
	if err != nil {
		l.refuse("the state of a worker is refused", err, "worker", id)
	}
	if p.state == nil {
		if p.state, err = state.NewWorker(l.cfg.MaxMessage, moreHandoffs*l.cfg.Window); err != nil {
			l.refuse("the state of a worker cannot be kept anew, and it is ended", err, "worker", id)
			l.discard(id, sw, process)
			return nil
		}
		p.state.Reserve(1 << 40) // above all that was used
		l.drop(fmt.Sprintf(workerName, id))
		l.keep(fmt.Sprintf(workerName, id), p.state.FD())
	}
	v.seq, v.intents, v.told, v.unsent, v.handed = p.state.Seq(), p.state.Intents(), p.state.Told(), p.state.Unsent(), p.state.Counted()
	p.rights, p.counted = p.state.Rights(), v.handed
	l.procs[id] = p
	p.stored = sw
	return v
}

// discard ends a worker that cannot be adopted.
func (l *loop) discard(id int, sw *storedWorker, process *sys.Process) {
	if process != nil {
		process.Signal(unix.SIGKILL)
		process.Free()
	} else if sw.process >= 0 {
		sys.Close(sw.process)
	}
	for _, fd := range []int{sw.channel, sw.state, sw.out, sw.err} {
		if fd >= 0 {
			sys.Close(fd)
		}
	}
	l.dropWorker(id)
}

// watchAdopted begins to listen to the workers that were adopted. read begins with what
// they print, once it is sure that this master stays: what it had read and not written
// would be lost if the one before served on.
func (l *loop) watchAdopted() (read func()) {
	var reads []func()
	for id, p := range l.procs {
		l.watch(p, false)
		if err := l.m.poller.Watch(p.process.ExitFD, tagExit<<tagShift|uint64(id), sys.Read); err != nil {
			panic("master: cannot poll a process: " + err.Error())
		}
		slot, stored, tail := p.worker.slot.index, p.stored, p.tail
		reads = append(reads, func() { l.output.adopt(&l.helpers, id, slot, stored, tail) })
		p.stored = nil
		l.later(p) // what its channel had brought
	}
	return func() {
		for _, read := range reads {
			read()
		}
	}
}

// adoptedPIDs gives the pids of the workers that were adopted.
func (l *loop) adoptedPIDs() []int {
	var pids []int
	for _, p := range l.procs {
		if p.process != nil && p.process.PID > 0 {
			pids = append(pids, p.process.PID)
		}
	}
	slices.Sort(pids)
	return pids
}

// lostPIDs gives the pids of workers that the last master had started, and that are not
// taken over: it was killed before they were kept.
func (l *loop) lostPIDs() []int {
	var pids []int
	for id, w := range l.t.workers {
		if l.procs[id] == nil && w.pid > 0 {
			pids = append(pids, w.pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// probeKey is of no listener: a key that a worker is given begins otherwise.
var probeKey = wire.Quote("rondo.probe")

// probe passes p one end of a pair that nobody has the other end of, for a key that
// it cannot have.
func (l *loop) probe(p *proc, seq int64) {
	if p == nil || p.channel < 0 || p.dead {
		return
	}
	err := errors.New("lines wait")
	if len(p.out) == 0 {
		err = l.sendProbe(p, seq)
	}
	if err != nil {
		l.raise(event{kind: evProbeUnsent, worker: p.worker.id})
	}
}

func (l *loop) sendProbe(p *proc, seq int64) error {
	a, b, err := sys.Socketpair()
	if err != nil {
		return err
	}
	defer sys.Close(a)
	defer sys.Close(b)
	p.state.Reserve(seq)
	n, err := sys.Send(p.channel, wire.AppendNewConn(l.buf[:0], probeKey, seq), []int{a})
	if err == nil && n == 0 {
		err = unix.EAGAIN
	}
	if err != nil {
		l.cannotWrite(p, err)
	}
	return err
}

// clock gives the table's epoch in the system's monotonic clock, and the instant now.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("master: CLOCK_MONOTONIC: " + err.Error()) // every kernel has it
	}
	return ts.Nano()
}

// setClock has the instants go on from where those of the last master were.
func (l *loop) setClock() {
	l.began = time.Now().Add(-time.Duration(monotonic() - l.t.monotonic))
	l.now = instant(time.Since(l.began)) + 1
}

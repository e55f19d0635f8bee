package master

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/rondokit/rondo/internal/fault"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/sys"
	"golang.org/x/sys/unix"
)

// ours are the variables that a worker must not inherit: they belong to the channel
// of this process, or to the service manager.
var ours = []string{
	"NODE_CHANNEL_FD", "NODE_UNIQUE_ID", "NODE_CHANNEL_SERIALIZATION_MODE",
	"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
	"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE", "JOURNAL_STREAM",
	"RONDO_WORKER_ID", "RONDO_SLOT", "RONDO_GENERATION", "NODE_APP_INSTANCE",
}

// environment gives w's variables.
func environment(base []string, w *worker, journal string) []string {
	env := make([]string, 0, len(base)+8)
next:
	for _, kv := range base {
		for _, name := range ours {
			if strings.HasPrefix(kv, name) && strings.HasPrefix(kv[len(name):], "=") {
				continue next
			}
		}
		env = append(env, kv)
	}
	env = append(env,
		"NODE_CHANNEL_FD=3",
		fmt.Sprintf("NODE_UNIQUE_ID=%d", w.id),
		"NODE_CHANNEL_SERIALIZATION_MODE=json",
		fmt.Sprintf("NODE_APP_INSTANCE=%d", w.slot.index),
		fmt.Sprintf("RONDO_WORKER_ID=%d", w.id),
		fmt.Sprintf("RONDO_SLOT=%d", w.slot.index),
		fmt.Sprintf("RONDO_GENERATION=%d", w.generation))
	if journal != "" {
		env = append(env, "JOURNAL_STREAM="+journal)
	}
	return env
}

// spawn starts w's process on a goroutine: fork takes a while, and connections do not wait for it.
func (l *loop) spawn(w *worker) {
	p := &proc{worker: w, channel: -1, tail: &tail{}, untold: l.oom.untold()}
	l.procs[w.id] = p
	env, cfg, slot, workers := l.cfg.Env, w.cfg, w.slot.index, len(l.t.slots)
	l.starts.Go(func() { // ends when the process has been started; its thread is not the loop's
		var err error
		p.start, err = l.start(p, cfg, share(env, cfg.GoMaxProcs, workers), slot)
		if !l.m.send(func(l *loop) { l.started(p, err) }) {
			p.start.undo()
		}
	})
}

// share adds what a Go worker may use of the processors, if env does not say it.
func share(env []string, rule settings.GoMaxProcs, workers int) []string {
	if rule != settings.GoMaxProcsShare || slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "GOMAXPROCS=") }) {
		return env
	}
	n := settings.Processors()
	return append(slices.Clip(env), "GOMAXPROCS="+itoa((n+workers-1)/max(1, workers)))
}

// startedProcess is what a start gives to the loop.
type startedProcess struct {
	process *sys.Process
	channel int
	state   *state.Worker
}

// undo ends a process that came too late.
func (s *startedProcess) undo() {
	if s.process == nil {
		return
	}
	sys.Close(s.channel)
	s.state.Close()
	s.process.KillGroup()
	s.process.Reap()
}

// start runs on a goroutine of its own and touches nothing of the loop's.
func (l *loop) start(p *proc, cfg *settings.Settings, env []string, slot int) (startedProcess, error) {
	path, err := settings.CheckCommand(*cfg)
	if err != nil {
		return startedProcess{}, err
	}
	out, err := l.output.open(p.tail, p.worker.id, slot)
	if err != nil {
		return startedProcess{}, err
	}
	defer out.close()
	out.follow(&l.helpers)
	null, err := os.Open(os.DevNull)
	if err != nil {
		return startedProcess{}, err
	}
	defer null.Close()
	ours, theirs, err := sys.Socketpair()
	if err != nil {
		return startedProcess{}, fmt.Errorf("channel: %w", err)
	}
	defer sys.Close(theirs)
	kept, err := state.NewWorker(cfg.MaxMessage, moreHandoffs*cfg.Window)
	if err != nil {
		sys.Close(ours)
		return startedProcess{}, fmt.Errorf("state: %w", err)
	}
	process, err := sys.Start(sys.Command{
		Path: path, Args: cfg.Command, Dir: cfg.Directory,
		Env:   environment(env, p.worker, out.journal),
		Files: []int{int(null.Fd()), out.stdout, out.stderr, theirs},
	})
	if err != nil {
		sys.Close(ours)
		kept.Close()
		return startedProcess{}, fmt.Errorf("%s: %w", path, err)
	}
	return startedProcess{process, ours, kept}, nil
}

// started continues on the loop.
func (l *loop) started(p *proc, err error) {
	s := p.start
	p.start = startedProcess{}
	if l.procs[p.worker.id] != p {
		s.undo()
		return
	}
	if err != nil {
		l.apply(event{kind: evExited, worker: p.worker.id, exit: exit{code: -1, reason: "could not be started: " + err.Error()}})
		return
	}
	fault.At("after spawn")
	p.process, p.channel, p.state = s.process, s.channel, s.state
	l.watch(p, false)
	if err := l.m.poller.Watch(p.process.ExitFD, tagExit<<tagShift|uint64(p.worker.id), sys.Read); err != nil {
		panic("master: cannot poll a process: " + err.Error())
	}
	l.apply(event{kind: evSpawned, worker: p.worker.id, pid: p.process.PID})
	for _, sig := range p.early {
		l.signal(p, sig)
	}
	p.early = nil
	l.follow()
	l.keepWorker(p)
}

// exited collects a process that has ended. What it left in its channel is read
// first, in as many turns as that takes: its last answers say which connections it
// took. What a program that it forked writes after it is nobody's word.
func (l *loop) exited(p *proc) {
	if !p.dead && p.channel >= 0 {
		l.died(p)
	}
	if p.channel >= 0 {
		l.read(p)
	}
	if p.channel >= 0 {
		return // the next turn comes here again: ExitFD stays readable
	}
	l.m.poller.Watch(p.process.ExitFD, 0, 0)
	// What it started and did not take out of its process group ends with it.
	p.process.KillGroup()
	status, err := p.process.Reap()
	if err != nil && !p.worker.adopted {
		panic(fmt.Sprintf("master: cannot reap %s: %v", p.worker, err))
	}
	p.process = nil
	e := describe(status)
	if err != nil { // no child of ours: who was its parent has its status
		e = exit{code: -1, reason: "ended (how is not known: it was adopted)"}
	}
	if err == nil && status.Signal() == syscall.SIGKILL && !p.killed {
		l.oom.explain(&e, p.untold)
	}
	journal, name, slot := l.cfg.Journal != "", l.cfg.Name, p.worker.slot.index
	l.helpers.Go(func() { // ends when the output has, or soon after
		e.output = p.tail.wait()
		if journal {
			e.hint = fmt.Sprintf("journalctl -t %s/%d -n %d", name, slot, tailLines)
		}
		l.m.send(func(l *loop) {
			if l.procs[p.worker.id] == p {
				l.apply(event{kind: evExited, worker: p.worker.id, exit: e})
			}
		})
	})
}

// died makes p one that only has left something to read.
func (l *loop) died(p *proc) {
	p.dead, p.left = true, sys.Unread(p.channel)
	p.out, p.paused = nil, false
	l.m.poller.Watch(p.channel, 0, 0)
	l.apply(event{kind: evBlocked, worker: p.worker.id})
}

// abandon frees what is left of a process when Run returns.
func (l *loop) abandon(p *proc) {
	l.closeChannel(p)
	if p.process != nil {
		l.m.poller.Watch(p.process.ExitFD, 0, 0)
		if p.process.Signal(syscall.SIGKILL) == nil {
			p.process.KillGroup()
		}
		p.process.Reap()
	}
	if p.state != nil {
		p.state.Close()
	}
}

func describe(status syscall.WaitStatus) exit {
	switch {
	case status.Exited():
		return exit{code: status.ExitStatus(), reason: fmt.Sprintf("exited with code %d", status.ExitStatus())}
	case status.Signaled():
		name := unix.SignalName(status.Signal())
		e := exit{code: -1, signal: name, reason: "was killed by " + name}
		if status.CoreDump() {
			e.reason += " (core dumped)"
		}
		return e
	}
	return exit{code: -1, reason: fmt.Sprintf("ended with status %#x", int(status))}
}

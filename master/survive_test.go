package master

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// left is what a master that was killed has left: the memory of a stage, with the
// channels and processes that the stage only plays. Its workers are idle processes, and
// the test speaks for them.
type left struct {
	t      *testing.T
	stored map[string]int
	socket net.Listener
	ends   map[int]int // the other ends of channels, by worker
	pids   map[int]int // by worker
	log    lines
	store  fakeStore
	end    func() // of what recalls gave
}

// lines is a log that may be read while it is written.
type lines struct {
	sync.Mutex // guards the buffer
	bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(b)
}

func (l *lines) String() string {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.String()
}

// fakeStore notes what it is told to keep and to drop.
type fakeStore struct {
	sync.Mutex // guards the fields below
	kept       []string
	dropped    []string
}

func (s *fakeStore) Keep(name string, fd int) {
	s.Lock()
	defer s.Unlock()
	s.kept = append(s.kept, name)
}

func (s *fakeStore) Drop(name string) {
	s.Lock()
	defer s.Unlock()
	s.dropped = append(s.dropped, name)
}

func (s *fakeStore) Sync(done func()) { go done() } // ends with done

func (s *fakeStore) did() (kept, dropped []string) {
	s.Lock()
	defer s.Unlock()
	return slices.Sorted(slices.Values(s.kept)), slices.Sorted(slices.Values(s.dropped))
}

// leaves gives what the master of two workers leaves that listen on one socket, after play.
func leaves(t *testing.T, play func(s *stage, l *listener)) *left {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	x := &left{t: t, stored: map[string]int{}, socket: ln, ends: map[int]int{}, pids: map[int]int{}}
	cfg := standard(2)
	cfg.Command = idle
	s := newStage(t, cfg)
	s.t.epoch, s.t.monotonic = time.Now(), monotonic()
	at := ln.Addr().(*net.TCPAddr)
	l := s.tcp("web", at.String())
	s.turn(event{kind: evStart})
	for _, p := range s.starting() {
		s.opens(p, 0, port(at.Port))
	}
	if play != nil {
		play(s, l)
	}
	svc, err := state.NewService()
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.Save(s.mem.record); err != nil {
		t.Fatal(err)
	}
	svc.Count(s.mem.counts)
	x.give(serviceName, svc.FD())
	svc.Close()
	for id, m := range s.mem.workers {
		if s.peers[id].kept {
			x.worker(id, m)
		}
	}
	x.rewrite(func(r *tableRecord) {
		for i, life := range r.Workers {
			if pid, ok := x.pids[life.ID]; ok {
				r.Workers[i].PID = pid
			}
		}
	})
	t.Cleanup(func() {
		for _, fd := range x.stored {
			sys.Close(fd)
		}
		for _, fd := range x.ends {
			sys.Close(fd)
		}
	})
	return x
}

// idle is a program that ends when it is told to.
var idle = []string{"/bin/sleep", "1000"}

// give has a duplicate of fd kept under name.
func (x *left) give(name string, fd int) {
	x.t.Helper()
	dup, err := sys.Dup(fd)
	if err != nil {
		x.t.Fatal(err)
	}
	x.stored[name] = dup
}

// worker leaves a process and its channel, with what the memory of a stage has of it.
func (x *left) worker(id int, m *workerMemory) {
	x.t.Helper()
	process, err := sys.Start(sys.Command{Path: idle[0], Args: idle})
	if err != nil {
		x.t.Fatal(err)
	}
	pid := process.PID
	x.t.Cleanup(func() {
		if n, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); n == 0 && err == nil { // it is there
			unix.Kill(pid, unix.SIGKILL)
			syscall.Wait4(pid, nil, 0, nil)
		}
	})
	ours, theirs, err := sys.Socketpair()
	if err != nil {
		x.t.Fatal(err)
	}
	w, err := state.NewWorker(1<<20, 8)
	if err != nil {
		x.t.Fatal(err)
	}
	defer w.Close()
	if err := w.Save(m.record); err != nil {
		x.t.Fatal(err)
	}
	w.Reserve(m.seq)
	for seq, n := range m.intents {
		w.Intend(seq, n)
	}
	if m.told {
		w.SetTold()
	}
	w.SetUnsent(m.unsent)
	w.Count(m.handed)
	x.give(fmt.Sprintf(workerName, id), w.FD())
	x.stored[fmt.Sprintf(processName, id)], x.stored[fmt.Sprintf(channelName, id)], x.ends[id] = process.ExitFD, ours, theirs
	x.pids[id] = pid
}

// config is of the next master. It takes all that is left.
func (x *left) config() Config {
	x.t.Helper()
	f, err := x.socket.(*net.TCPListener).File()
	if err != nil {
		x.t.Fatal(err)
	}
	cfg := standard(2)
	cfg.Command = idle
	c := Config{Settings: cfg, Stored: x.stored, Store: &x.store, Logger: slog.New(slog.NewTextHandler(&x.log, nil)),
		Sockets: []activation.Socket{{Name: "web", Kind: activation.TCP, Addr: x.socket.Addr(), Listening: true, File: f}}}
	x.stored = nil
	return c
}

// recalls gives the loop of the next master as it is before it runs.
func (x *left) recalls(cfg Config) (*loop, error) {
	x.t.Helper()
	m, err := New(cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	l, err := newLoop(m)
	x.end = sync.OnceFunc(func() {
		if err == nil {
			l.close()
		}
		m.poller.Close()
	})
	x.t.Cleanup(x.end)
	return l, err
}

func (x *left) mustRecall() *loop {
	x.t.Helper()
	return x.mustRecallWith(2)
}

// mustRecallWith recalls with other settings on disk.
func (x *left) mustRecallWith(workers int) *loop {
	x.t.Helper()
	cfg := x.config()
	cfg.Workers = workers
	l, err := x.recalls(cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	return l
}

func (x *left) expectSaid(what string, times int) {
	x.t.Helper()
	if got := strings.Count(x.log.String(), what); got != times {
		x.t.Errorf("the log says %q %d times, want %d:\n%s", what, got, times, x.log.String())
	}
}

func TestAMasterTakesOverWhatTheStoreHas(t *testing.T) {
	x := leaves(t, func(s *stage, l *listener) {
		s.arrive(l, 3)
		s.accepts(s.peer(0))
	})
	l := x.mustRecall()
	if !l.adopted || len(l.procs) != 2 || l.t.phase != serving {
		t.Fatalf("adopted %v, %d workers, phase %v; the log is\n%s", l.adopted, len(l.procs), l.t.phase, x.log.String())
	}
	if got, want := l.t.count, (Counters{HandedOver: 1}); got != want || l.accepted != 3 {
		t.Errorf("%+v of %d, want %+v of 3", got, l.accepted, want)
	}
	for id, p := range l.procs {
		w := l.t.workers[id]
		if p.worker != w || w.seq != p.state.Seq() || len(w.keys) != 1 || w.handedOver != p.state.Counted() {
			t.Errorf("%s: seq %d, keys %d, %d connections; kept is seq %d, %d connections", w, w.seq, len(w.keys), w.handedOver, p.state.Seq(), p.state.Counted())
		}
		if p.process.PID <= 0 || !slices.Contains(l.adoptedPIDs(), p.process.PID) {
			t.Errorf("%s has the pid %d, and spared are %v", w, p.process.PID, l.adoptedPIDs())
		}
	}
	if kept, dropped := x.store.did(); len(kept)+len(dropped) > 0 {
		t.Errorf("kept %v, dropped %v, want the store as it is", kept, dropped)
	}
	if now := instant(monotonic()-l.t.monotonic) + 1; l.now > now || l.now < now.add(-time.Minute) {
		t.Errorf("the clock is at %v, want it to go on, at %v", l.now, now)
	}
}

// A worker that was started and not yet kept is nobody's: who sweeps must hear of it,
// also where it cannot be seen.
func TestAWorkerThatWasNotKeptIsNamedToTheSweep(t *testing.T) {
	var pid int
	x := leaves(t, func(s *stage, l *listener) {
		s.dies(s.peer(0))
		s.pass(time.Second)
		p := s.starting()[0]
		s.spawned(p)
		pid = p.pid
	})
	l := x.mustRecall()
	if got, want := l.lostPIDs(), []int{pid}; !slices.Equal(got, want) {
		t.Errorf("lost are %v, want %v", got, want)
	}
	if got := l.adoptedPIDs(); len(got) != 1 {
		t.Errorf("kept are %v, want the other one", got)
	}
}

// A master that took the place of another in its process gives up rather than end workers.
func TestAMasterThatMustAdoptLeavesTheWorkersAlone(t *testing.T) {
	for name, spoil := range map[string]func(x *left){
		"state that is none": func(x *left) { x.drop(serviceName); x.file(serviceName) },
		"settings that are none": func(x *left) {
			x.rewrite(func(r *tableRecord) { r.Settings[1] = json.RawMessage(`{"Workers":"many"}`) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := leaves(t, nil)
			spoil(x)
			cfg := x.config()
			cfg.MustAdopt = true
			if _, err := x.recalls(cfg); err == nil {
				t.Error("no error")
			}
			if _, dropped := x.store.did(); len(dropped) > 0 {
				t.Errorf("dropped %v", dropped)
			}
			for id, fd := range x.ends {
				if n, err := sys.Send(fd, []byte("x"), nil); n == 1 && name != "state that is none" {
					_ = id // its channel is in the store of the master before, and closed here
				} else if err != nil && !errors.Is(err, unix.EPIPE) {
					t.Errorf("channel of worker %d: %v", id, err)
				}
			}
		})
	}
}

func TestListenersThatAMasterOpenedAreTakenOver(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	at := ln.Addr().(*net.TCPAddr)
	own := func(fixed bool, handle string) ownRecord {
		return ownRecord{Num: 1, Name: "own", Fixed: fixed, Network: "tcp", IP: at.AddrPort().Addr(), Port: at.Port, Handle: handle}
	}
	keep := func(x *left) {
		fd, err := sys.DupFile(ln.(*net.TCPListener))
		if err != nil {
			t.Fatal(err)
		}
		x.stored["l1.listen"] = fd
	}
	t.Run("beside passed ones, of which there is one more", func(t *testing.T) {
		x := leaves(t, nil)
		keep(x)
		x.rewrite(func(r *tableRecord) { r.Own = []ownRecord{own(false, "null:1:4:null:0")} })
		cfg := x.config()
		more, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer more.Close()
		f, err := more.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Sockets = append(cfg.Sockets, activation.Socket{Name: "more", Index: 1, Kind: activation.TCP, Addr: more.Addr(), Listening: true, File: f})
		l, err := x.recalls(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.listeners) != 3 || len(l.t.listeners) != 3 {
			t.Fatalf("%d listeners by number, %d in the table, want 3", len(l.listeners), len(l.t.listeners))
		}
		for num, ls := range l.listeners {
			if ls.num != num || !slices.Contains(l.t.listeners, ls) {
				t.Errorf("listener %s has the number %d, and is found by %d", ls, ls.num, num)
			}
		}
		if h := l.t.handles["null:1:4:null:0"]; h == nil || !h.bound || h.listeners[0].kept != 1 {
			t.Errorf("its handle is %+v", h)
		}
	})
	t.Run("that --listen asks for", func(t *testing.T) {
		for _, there := range []bool{true, false} {
			x := leaves(t, nil)
			spec, err := settings.ParseListen(fmt.Sprintf("%s=3000", at))
			if err != nil {
				t.Fatal(err)
			}
			if there {
				keep(x)
			} else {
				ln.Close() // it was not kept: the next master opens it again
			}
			x.rewrite(func(r *tableRecord) {
				r.Own = []ownRecord{own(true, "")}
				cfg := standard(2)
				cfg.Command, cfg.Listen = idle, []settings.Listen{spec}
				r.Settings[1] = encode(&cfg)
			})
			cfg := x.config()
			cfg.Sockets[0].File.Close()
			cfg.Sockets = nil
			l, err := x.recalls(cfg)
			if err != nil {
				t.Fatalf("there %v: %v", there, err)
			}
			if n := len(l.t.listeners); n != 1 || !l.adopted {
				t.Fatalf("there %v: %d listeners, adopted %v, want one", there, n, l.adopted)
			}
			if found, err := match(l.t.listeners, port(3000)); err != nil || len(found) != 1 {
				t.Errorf("there %v: a worker that listens on 3000 gets %v, %v", there, found, err)
			}
			kept, _ := x.store.did()
			if want := []string{"l1.listen"}; there && len(kept) > 0 || !there && !slices.Equal(kept, want) {
				t.Errorf("there %v: kept %v", there, kept)
			}
			x.end()
		}
	})
}

// The whole way: the next master probes the workers, and they get connections of its own.
func TestTheNextMasterServes(t *testing.T) {
	x := leaves(t, func(s *stage, l *listener) { s.arrive(l, 2) })
	for id, fd := range x.ends { // of the one each worker has, one is taken and one is refused, while no master runs
		x.write(fd, wire.HandleAckLine+fmt.Sprintf(`{"cmd":"NODE_CLUSTER","ack":%d,"accepted":%v,"seq":10}`+"\n", x.intent(id), id == 1))
	}
	cfg := x.config()
	ready := make(chan Event, 1)
	cfg.Notify = func(e Event) {
		if e.Ready {
			ready <- e
		}
	}
	spared := make(chan []int, 1)
	cfg.Sweep = func(keep, _ []int) { spared <- keep }
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }() // ends with ctx
	defer func() {
		cancel()
		<-ended
	}()
	<-ready
	if pids := <-spared; len(pids) != 2 {
		t.Errorf("spared are %v, want both workers", pids)
	}
	conn, err := net.Dial("tcp", x.socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for id := 1; id <= 2; id++ {
		m, fds := x.hears(id)
		if m.Kind != wire.NewConn || m.Key != "rondo.probe" || fds != 1 || m.Seq < 4096 {
			t.Fatalf("worker %d hears %+v with %d descriptors, want a probe with one", id, m, fds)
		}
		if id == 1 {
			x.write(x.ends[id], wire.HandleAckLine+fmt.Sprintf(`{"cmd":"NODE_CLUSTER","ack":%d,"accepted":false,"seq":11}`+"\n", m.Seq))
			if m, fds := x.hears(id); m.Kind != wire.NewConn || m.Key == "rondo.probe" || fds != 1 {
				t.Fatalf("worker 1 hears %+v with %d descriptors, want the connection", m, fds)
			}
		}
	}
	st, err := m.Status(t.Context())
	if want := (Counters{HandedOver: 1, ClosedUndelivered: 1}); err != nil || st.Counters != want || st.Adopted != 1 {
		t.Errorf("%+v, adopted %d, %v, want %+v", st.Counters, st.Adopted, err, want)
	}
}

// What a dead worker had said before is heard, and then that it is dead.
func TestTheLastWordsOfADeadWorkerAreHeard(t *testing.T) {
	x := leaves(t, func(s *stage, l *listener) { s.arrive(l, 2) })
	x.write(x.ends[1], wire.HandleAckLine+fmt.Sprintf(`{"cmd":"NODE_CLUSTER","ack":%d,"accepted":true,"seq":10}`+"\n", x.intent(1)))
	for id := 1; id <= 2; id++ {
		if err := unix.Kill(x.pids[id], unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		sys.Close(x.ends[id])
		delete(x.ends, id)
	}
	cfg := x.config()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }() // ends with ctx
	defer func() {
		cancel()
		<-ended
	}()
	for {
		st, err := m.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(st.Workers, func(w Worker) bool { return w.ID == 1 || w.ID == 2 }) {
			if want := (Counters{HandedOver: 1, Ambiguous: 1}); st.Counters != want {
				t.Errorf("%+v, want %+v", st.Counters, want)
			}
			break
		}
		time.Sleep(time.Millisecond) // of polling; the test's own time-out bounds it
	}
	if _, dropped := x.store.did(); !slices.Equal(dropped, []string{"w1.chan", "w1.pid", "w1.state", "w2.chan", "w2.pid", "w2.state"}) {
		t.Errorf("dropped %v, want all of the dead", dropped)
	}
}

// A master that was held up finds the answers of its workers before it finds them late.
func TestAMasterThatWasHeldUpBlamesNoWorker(t *testing.T) {
	x := leaves(t, nil)
	l := x.mustRecall()
	l.begun = true
	l.watchAdopted()
	l.apply(event{kind: evAdopt})
	for id := range x.ends {
		m, _ := x.hears(id)
		x.write(x.ends[id], wire.HandleAckLine+fmt.Sprintf(`{"cmd":"NODE_CLUSTER","ack":%d,"accepted":false,"seq":11}`+"\n", m.Seq))
	}
	l.began = l.began.Add(-time.Hour)
	l.turn()
	for id, w := range l.t.workers {
		if w.probing {
			t.Errorf("worker %d has not been heard", id)
		}
	}
	for n := 0; l.t.next != 0 && l.t.next <= l.now; n++ {
		if n > 1 {
			t.Fatalf("the deadline of %d is not applied, and it is %d", l.t.next, l.now)
		}
		l.turn()
	}
	x.expectSaid("does not answer", 0)
}

// What workers print is left to the master before until this one is sure to stay.
func TestNothingIsReadOfWhatWorkersPrintBeforeTheAdoption(t *testing.T) {
	x := leaves(t, nil)
	var pipes []*os.File
	for _, name := range []string{"w1.out", "w1.err"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		fmt.Fprintln(w, "tick")
		x.give(name, int(r.Fd()))
		pipes = append(pipes, r)
	}
	l := x.mustRecall()
	read := l.watchAdopted()
	l.apply(event{kind: evAdopt})
	for _, r := range pipes {
		if n := sys.Unread(int(r.Fd())); n != len("tick\n") {
			t.Errorf("%d bytes are left, want all", n)
		}
	}
	read()
	for _, r := range pipes {
		for sys.Unread(int(r.Fd())) > 0 { // the test's own time-out bounds it
			time.Sleep(time.Millisecond)
		}
	}
}

// The reload that a restart is for is lost on nobody.
func TestNothingIsHandedOverBeforeAReloadThatIsDue(t *testing.T) {
	x := leaves(t, nil)
	x.rewrite(func(r *tableRecord) { r.Planned = true })
	l := x.mustRecall()
	if err := l.mayHandOver(); err == nil || !strings.Contains(err.Error(), "about to begin") {
		t.Errorf("mayHandOver = %v, want that a reload is about to begin", err)
	}
	l.t.planned = false
	if err := l.mayHandOver(); err != nil {
		t.Errorf("mayHandOver = %v once it has", err)
	}
}

// drop takes a descriptor out of the store.
func (x *left) drop(name string) {
	sys.Close(x.stored[name])
	delete(x.stored, name)
}

// file stores a descriptor that is of no use.
func (x *left) file(name string) {
	x.t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		x.t.Fatal(err)
	}
	defer f.Close()
	x.give(name, int(f.Fd()))
}

// rewrite changes the record of the whole.
func (x *left) rewrite(change func(r *tableRecord)) {
	x.t.Helper()
	dup, err := sys.Dup(x.stored[serviceName])
	if err != nil {
		x.t.Fatal(err)
	}
	svc, err := state.OpenService(dup)
	if err != nil {
		x.t.Fatal(err)
	}
	defer svc.Close()
	text, err := svc.Load()
	r := new(tableRecord)
	if err != nil || json.Unmarshal(text, r) != nil {
		x.t.Fatalf("record %s, %v", text, err)
	}
	change(r)
	if err := svc.Save(encode(r)); err != nil {
		x.t.Fatal(err)
	}
}

// intent gives the number of the one handoff that worker id has not answered.
func (x *left) intent(id int) int64 {
	x.t.Helper()
	dup, err := sys.Dup(x.stored[fmt.Sprintf(workerName, id)])
	if err != nil {
		x.t.Fatal(err)
	}
	w, err := state.OpenWorker(dup)
	if err != nil {
		x.t.Fatal(err)
	}
	defer w.Close()
	all := w.Intents()
	if len(all) != 1 {
		x.t.Fatalf("worker %d has the intents %v, want one", id, all)
	}
	return all[0].Seq
}

func (x *left) write(fd int, s string) {
	x.t.Helper()
	if n, err := sys.Send(fd, []byte(s), nil); n != len(s) || err != nil {
		x.t.Fatalf("%d bytes of %d written: %v", n, len(s), err)
	}
}

// hears gives the next line that worker id gets, and how many descriptors came with it.
func (x *left) hears(id int) (m wire.Message, rights int) {
	x.t.Helper()
	var line []byte
	for !bytes.HasSuffix(line, []byte("\n")) {
		poll := []unix.PollFd{{Fd: int32(x.ends[id]), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, 30_000); err != nil && err != unix.EINTR {
			x.t.Fatal(err)
		}
		b := make([]byte, 1)
		n, fds, _, err := sys.Recv(x.ends[id], b, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			x.t.Fatalf("worker %d hears nothing: %d, %v, after %q; the log is\n%s", id, n, err, line, x.log.String())
		}
		rights += len(fds)
		for _, fd := range fds {
			sys.Close(fd)
		}
		line = append(line, b...)
	}
	if err := wire.Parse(bytes.TrimSpace(line), &m); err != nil {
		x.t.Fatal(err)
	}
	return m, rights
}

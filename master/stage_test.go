package master

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// stage plays the loop around a table: a clock that tests move, accept queues that
// they fill, channels that they read. It follows loop.go step by step. After every
// step it checks what must always hold (check_test.go). What outlives a killed master
// is in memory_test.go.
type stage struct {
	tb  failer
	t   *table
	now instant
	log bytes.Buffer

	queries []*wire.Query // what a worker that behaves listens on
	batch   int           // and how many connections it takes at a time
	strict  bool          // who is not wild behaves
	ids     map[int]bool  // that workers had
	mem     memory

	kill   func() bool // the master is killed at a point where that is so
	killed bool

	waiting   map[*listener]int // connections in the kernel
	acceptErr map[*listener]error
	bindErr   error // of the next effBind
	lastFD    int
	lastOwn   int          // listener that we opened
	open      map[int]bool // connections that the table owns
	left      map[int]int  // that a killed master had sent to a worker, which has not answered
	closed    map[int]bool
	delivered int           // connections that workers said they took
	had       map[int]bool  // these
	taken     map[int]int   // connections that an application may have, and its worker
	peers     map[int]*peer // by worker id
	gone      map[*listener]bool

	pending  []event
	toAccept []*listener
	did      []string // effects, in words
	ended    bool
	err      error
	answers  map[command]int // results that operators got
}

// failer is what a stage needs of testing.T and of rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// peer is the other end of a channel.
type peer struct {
	id      int
	owed    []sent // handoffs not answered, in order
	seq     int64
	pid     int
	kept    bool           // its descriptors are, for the next master
	line    *wire.Message  // the last one that it wrote, until the master is done with it
	heard   map[int64]bool // of its messages, those that were answered
	seqs    map[int64]bool // of the messages that it got
	lines   [][]byte       // answers that its channel did not take
	full    bool           // its channel takes no more
	err     error          // or fails so
	dead    bool           // its process has ended: nothing is written to it, and its channel ends soon
	closed  bool           // its channel has been read to its end
	wild    bool           // what it says of connections is not what it did with them
	told    bool           // to disconnect
	ask     bool           // it must answer a probe before it gets a connection
	beyond  bool           // no signal can be sent to it
	signal  string
	keys    []string // granted
	errno   unix.Errno
	name    *wire.Sockname
	data    string
	tickets [][]byte // keys that it was told last
}

// sent is one message with connections, or a probe.
type sent struct {
	seq      int64
	fds      []int
	envelope bool
	acked    bool
	probe    bool
	share    []byte // the line that comes with a socket; read when that has arrived
}

func newStage(tb failer, cfg settings.Settings) *stage {
	s := &stage{tb: tb, now: 1, lastFD: 100, waiting: map[*listener]int{}, acceptErr: map[*listener]error{}, gone: map[*listener]bool{},
		open: map[int]bool{}, left: map[int]int{}, closed: map[int]bool{}, taken: map[int]int{}, peers: map[int]*peer{},
		answers: map[command]int{}, ids: map[int]bool{}, had: map[int]bool{}, mem: newMemory()}
	s.t = newTable(&cfg, slog.New(slog.NewTextHandler(&s.log, nil)), rand.New(rand.NewPCG(1, 2)), time.Unix(0, 0))
	return s
}

// standard gives the settings of most tests.
func standard(workers int) settings.Settings {
	return settings.Settings{Name: "app", Command: []string{"app"}, Workers: workers, Ready: settings.ReadyPredecessor,
		StartTimeout: time.Minute, DrainTimeout: 30 * time.Second, KillTimeout: 5 * time.Second, AckTimeout: time.Second,
		Window: 4, Surge: 1, MaxDraining: workers, BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second, MaxMessage: 1 << 20}
}

// web adds a passed listener on port 80 of every address.
func (s *stage) web() *listener { return s.tcp("web", "[::]:80") }

// tcp adds a passed listener.
func (s *stage) tcp(name, addr string) *listener {
	ap := netip.MustParseAddrPort(addr)
	return s.add(&listener{address: address{network: "tcp", ip: ap.Addr(), port: int(ap.Port())}, name: name})
}

// udp adds a passed datagram socket.
func (s *stage) udp(name, addr string) *listener { return s.add(udp(name, addr)) }

func (s *stage) add(l *listener) *listener {
	l.index, l.passed, l.fixed = len(s.t.listeners), true, true
	s.t.listeners = append(s.t.listeners, l)
	return l
}

// serve gives a stage whose n Node workers serve one passed listener.
func serve(tb failer, n int) (*stage, *listener) {
	tb.Helper()
	return serveAs(tb, standard(n), 0)
}

// serveAs is serve with settings, and with workers that take batches.
func serveAs(tb failer, cfg settings.Settings, batch int) (*stage, *listener) {
	tb.Helper()
	s := newStage(tb, cfg)
	l := s.web()
	s.turn(event{kind: evStart})
	for _, p := range s.starting() {
		s.opens(p, batch, port(80))
	}
	if s.t.phase != serving {
		tb.Fatalf("phase is %v after every worker became ready, want %v", s.t.phase, serving)
	}
	s.did = nil
	return s, l
}

// port is the query of listen(n).
func port(n int) *wire.Query { return &wire.Query{Port: n, Type: wire.IPv4, FD: -1} }

// apply gives ev to the table and does what follows, as loop.apply.
func (s *stage) apply(ev event) {
	s.tb.Helper()
	s.step(&ev)
	s.follow()
}

// follow is loop.follow.
func (s *stage) follow() {
	s.tb.Helper()
	for len(s.pending) > 0 {
		ev := s.pending[0]
		s.pending = s.pending[1:]
		s.step(&ev)
	}
}

// step is loop.step.
func (s *stage) step(ev *event) {
	s.tb.Helper()
	ev.now = s.now
	effects := s.t.step(*ev)
	s.save(ev)
	s.do(effects)
	s.count()
	if ev.answers() {
		s.mem.workers[ev.worker].handed = s.t.workers[ev.worker].handedOver
		delete(s.mem.workers[ev.worker].intents, ev.msg.Ack)
	}
	s.check()
}

// turn is apply, and the accepting that ends a turn of the loop.
func (s *stage) turn(ev event) {
	s.tb.Helper()
	s.apply(ev)
	s.acceptAll()
}

// acceptAll is loop.acceptAll.
func (s *stage) acceptAll() {
	s.tb.Helper()
	s.settle()
	for len(s.toAccept) > 0 {
		l := s.toAccept[0]
		s.toAccept = s.toAccept[1:]
		s.accept(l)
		s.settle()
	}
}

func (s *stage) settle() {
	s.tb.Helper()
	for n := 0; len(s.t.dirty) > 0; n++ {
		if n > 1000 {
			s.tb.Fatalf("the same batches are sent again and again")
		}
		s.do(s.t.flush())
		s.check()
		s.follow()
	}
}

// accept is loop.accept.
func (s *stage) accept(l *listener) {
	s.tb.Helper()
	for range acceptBudget {
		switch {
		case !s.t.mayAccept(l):
			s.apply(event{kind: evFull, listener: l})
			return
		case s.gone[l]:
			s.tb.Fatalf("accept on %s, which is closed", l)
		case s.acceptErr[l] == unix.EINVAL:
			s.apply(event{kind: evDeaf, listener: l, err: unix.EINVAL})
			return
		case s.acceptErr[l] != nil:
			s.apply(event{kind: evAcceptFailed, listener: l, err: s.acceptErr[l]})
			return
		case s.waiting[l] == 0:
			s.apply(event{kind: evDrained, listener: l})
			return
		}
		s.waiting[l]--
		s.lastFD++
		s.open[s.lastFD] = true
		s.mem.accepted++
		s.count()
		s.point()
		s.apply(event{kind: evAccepted, listener: l, fd: s.lastFD})
		if s.t.goesAlone() {
			s.settle()
		}
	}
	s.apply(event{kind: evMore, listener: l})
}

// arrive has n connections come to l, and the loop see to them.
func (s *stage) arrive(l *listener, n int) {
	s.tb.Helper()
	s.waiting[l] += n
	s.polled()
}

// polled takes turns for the listeners that are polled and have something.
func (s *stage) polled() {
	s.tb.Helper()
	for n := 0; ; n++ {
		found := false
		for _, l := range s.t.listeners {
			if l.polled && s.waiting[l] > 0 {
				found = true
				s.accept(l)
			}
		}
		s.acceptAll()
		if !found {
			return
		}
		if n > 1000 {
			s.tb.Fatalf("the loop spins: a listener is polled, has connections and nothing is accepted")
		}
	}
}

// pass moves the clock on by d, with a tick at each deadline on the way.
func (s *stage) pass(d time.Duration) {
	s.tb.Helper()
	until := s.now.add(d)
	for n := 0; s.t.next != 0 && s.t.next <= until && !s.ended; n++ {
		s.now = max(s.now, s.t.next)
		s.turn(event{kind: evTick})
		s.polled()
		if s.t.next != 0 && s.t.next <= s.now {
			s.tb.Fatalf("after a tick at %d the next deadline is %d: the loop would spin", s.now, s.t.next)
		}
		if n > 1_000_000 {
			s.tb.Fatalf("a million ticks in %v", d)
		}
	}
	s.now = until
	if !s.ended {
		s.turn(event{kind: evTick})
		s.polled()
	}
}

// do carries out effects, as loop.do.
func (s *stage) do(effects []effect) {
	s.tb.Helper()
	for i := range effects {
		e := &effects[i]
		if s.ended {
			s.tb.Fatalf("effect after the end: %s", inWords(e))
		}
		s.did = append(s.did, inWords(e))
		s.point()
		switch e.kind {
		case effSpawn:
			if s.ids[e.worker.id] {
				s.tb.Fatalf("worker %d is not the first of that id", e.worker.id)
			}
			s.ids[e.worker.id] = true
			s.peers[e.worker.id] = &peer{id: e.worker.id, heard: map[int64]bool{}, seqs: map[int64]bool{}}
			s.mem.workers[e.worker.id] = &workerMemory{intents: map[int64]int{}}
		case effSend:
			s.send(e.worker, e.handoff)
		case effShare:
			s.share(e)
		case effLine:
			s.write(e)
		case effProbe:
			s.probe(e)
		case effSettle:
			delete(s.mem.workers[e.worker.id].intents, e.seq)
		case effReload:
			cfg := *s.t.cfg
			s.pending = append(s.pending, event{kind: evReload, cfg: &cfg})
		case effClose:
			s.close(e.fd)
		case effAccept:
			s.toAccept = append(s.toAccept, e.listener)
		case effSignal:
			if p := s.peers[e.worker.id]; p.beyond {
				s.pending = append(s.pending, event{kind: evUnsignalled, worker: p.id, err: unix.EPERM})
			} else {
				p.signal = e.signalName()
			}
		case effBind:
			s.bind(e)
		case effUnbind:
			if s.gone[e.listener] {
				s.tb.Fatalf("%s is closed twice", e.listener)
			}
			s.gone[e.listener] = true
			delete(s.mem.own, e.listener.kept)
		case effRelease:
			delete(s.peers, e.worker.id)
			delete(s.mem.workers, e.worker.id)
		case effDone:
			s.answers[e.done]++
			s.err = e.err
		case effExit:
			s.ended, s.err = true, e.err
		}
	}
}

func (s *stage) close(fd int) {
	s.tb.Helper()
	if !s.open[fd] {
		s.tb.Fatalf("connection %d is closed, and it is closed already %v", fd, s.closed[fd])
	}
	delete(s.open, fd)
	s.closed[fd] = true
}

// send is loop.send.
func (s *stage) send(w *worker, h *handoff) {
	s.tb.Helper()
	p := s.peers[w.id]
	if w.blocked || w.broken || w.ended || p == nil {
		s.tb.Fatalf("handoff %d is sent to %s: blocked %v, broken %v, ended %v", h.seq, w, w.blocked, w.broken, w.ended)
	}
	if s.t.stores && !p.kept {
		s.tb.Fatalf("handoff %d is sent to %s, whose channel is not kept", h.seq, w)
	}
	if p.ask {
		s.tb.Fatalf("handoff %d is sent to %s, which has not answered the probe", h.seq, w)
	}
	err := p.err
	if p.full {
		err = unix.EAGAIN
	}
	if p.dead || len(p.lines) > 0 {
		s.pending = append(s.pending, event{kind: evUnsent, worker: w.id, seq: h.seq})
		return
	}
	mem := s.mem.workers[w.id]
	mem.reserve(h.seq)
	s.point()
	mem.intents[h.seq] = len(h.conns)
	s.point()
	if err == nil {
		m := sent{seq: h.seq, envelope: h.envelope}
		for _, c := range h.conns {
			if by := s.taken[c.fd]; by != 0 {
				s.tb.Fatalf("connection %d is given to worker %d, and worker %d may have given it to its application", c.fd, p.id, by)
			}
			m.fds = append(m.fds, c.fd)
		}
		if h.envelope && len(m.fds) != 1 || len(m.fds) > max(1, w.batch) {
			s.tb.Fatalf("handoff of %d connections to %s, which takes batches of %d", len(m.fds), w, w.batch)
		}
		s.counts(p, h.seq)
		p.owed = append(p.owed, m)
		s.point()
		return
	}
	delete(mem.intents, h.seq)
	s.pending = append(s.pending, event{kind: evUnsent, worker: w.id, seq: h.seq, err: err})
	switch err {
	case unix.EAGAIN:
		s.pending = append(s.pending, event{kind: evBlocked, worker: w.id})
	case unix.EPIPE:
		s.pending = append(s.pending, event{kind: evBroken, worker: w.id})
	}
}

// share is loop.share.
func (s *stage) share(e *effect) {
	s.tb.Helper()
	p := s.peers[e.worker.id]
	if s.gone[e.listener] {
		s.tb.Fatalf("worker %d gets %s, which is closed", p.id, e.listener)
	}
	if !p.dead && !p.full && len(p.lines) == 0 && p.err == nil {
		s.mem.workers[p.id].reserve(e.seq)
		p.owed = append(p.owed, sent{seq: e.seq, envelope: true, share: e.line})
		return
	}
	err := p.err
	if err == nil {
		err = unix.EAGAIN
	}
	s.pending = append(s.pending, event{kind: evUnshared, worker: p.id, seq: e.seq, err: err})
	if err == unix.EPIPE {
		s.pending = append(s.pending, event{kind: evBroken, worker: p.id})
	}
}

// write is what loop.do and loop.write do with a line.
func (s *stage) write(e *effect) {
	s.tb.Helper()
	p, mem := s.peers[e.worker.id], s.mem.workers[e.worker.id]
	mem.reserve(e.worker.seq)
	switch {
	case p.dead:
	case p.full || len(p.lines) > 0:
		p.lines, mem.unsent = append(p.lines, e.line), true
		s.pending = append(s.pending, event{kind: evBlocked, worker: p.id})
	default:
		s.line(p, e.line)
	}
	if e.on {
		s.point()
		mem.told = true
	}
}

// probe is loop.probe.
func (s *stage) probe(e *effect) {
	p := s.peers[e.worker.id]
	switch {
	case p.dead || p.closed:
	case p.err == unix.EPIPE:
		s.pending = append(s.pending, event{kind: evProbeUnsent, worker: p.id}, event{kind: evBroken, worker: p.id})
	case p.full:
		s.pending = append(s.pending, event{kind: evProbeUnsent, worker: p.id}, event{kind: evBlocked, worker: p.id})
	case p.err != nil || len(p.lines) > 0:
		s.pending = append(s.pending, event{kind: evProbeUnsent, worker: p.id})
	default:
		s.mem.workers[p.id].reserve(e.seq)
		s.counts(p, e.seq)
		p.owed = append(p.owed, sent{seq: e.seq, envelope: true, probe: true})
	}
}

// counts notes that p got a message of that number, which is no other's.
func (s *stage) counts(p *peer, seq int64) {
	s.tb.Helper()
	if p.seqs[seq] {
		s.tb.Fatalf("worker %d gets two messages of the number %d", p.id, seq)
	}
	p.seqs[seq] = true
}

// line reads what the table writes to a worker, as the worker would.
func (s *stage) line(p *peer, b []byte) {
	s.tb.Helper()
	if len(b) > wire.MaxLine {
		s.tb.Fatalf("a line of %d bytes, want at most %d", len(b), wire.MaxLine)
	}
	var m wire.Message
	if err := wire.Parse(bytes.TrimSuffix(b, []byte("\n")), &m); err != nil {
		s.tb.Fatalf("line %q: %v", b, err)
	}
	if bytes.HasPrefix(b, []byte(`{"cmd":"NODE_SOCKET_`)) {
		return // it has no number
	}
	s.counts(p, m.Seq)
	switch m.Kind {
	case wire.Disconnect:
		if p.told && s.mem.workers[p.id].told {
			s.tb.Fatalf("worker %d is told to leave twice: Node would close its channel", p.id)
		}
		p.told = true
	case wire.Answer:
		if m.Ack > p.seq {
			s.tb.Fatalf("line %q answers what worker %d has not said", b, p.id)
		}
		if p.heard[m.Ack] { // as for Node, an answer of no message
			return
		}
		p.heard[m.Ack] = true
		p.errno, p.name, p.data = unix.Errno(-m.Errno), m.Sockname, string(m.Data)
		if m.Errno == 0 && m.Key != "" {
			if slices.Contains(p.keys, m.Key) {
				s.tb.Fatalf("worker %d is given the key %q twice: Node would die of it", p.id, m.Key)
			}
			p.keys = append(p.keys, m.Key)
		}
	case wire.Tickets:
		p.tickets = m.Tickets
	default:
		s.tb.Fatalf("line %q of kind %d to a worker", b, m.Kind)
	}
}

// bind opens what a worker asked for, on port 1000 and more for any port.
func (s *stage) bind(e *effect) {
	ev := event{kind: evBound, worker: e.worker.id, seq: e.seq, msg: &wire.Message{Query: e.query}}
	if err := s.bindErr; err != nil {
		s.bindErr = nil
		ev.errno, ev.err = int(err.(unix.Errno)), err
	} else {
		s.lastFD++
		s.lastOwn++
		ev.listener = &listener{index: -1, kept: s.lastOwn, address: address{network: "tcp", ip: netip.IPv6Unspecified(), port: e.query.Port}}
		if e.query.Port == 0 {
			ev.listener.port = 1000 + s.lastFD
		}
		ev.listener.v6only = e.query.Flags&wire.FlagV6Only != 0
		s.mem.own[s.lastOwn] = true
		if e.query.Datagram() {
			ev.listener.network = "udp"
			if e.query.Type == wire.UDP4 {
				ev.listener.ip = netip.IPv4Unspecified()
			}
		}
		if e.query.Type == wire.Pipe {
			ev.listener.address = address{network: "unix", path: unixPath(e.query.Address)}
		}
	}
	s.pending = append(s.pending, ev)
}

func (e *effect) signalName() string { return [...]string{"SIGTERM", "SIGKILL"}[e.signal] }

// inWords is an effect in words.
func inWords(e *effect) string {
	switch e.kind {
	case effSpawn:
		return fmt.Sprintf("spawn %d slot %d generation %d", e.worker.id, e.worker.slot.index, e.worker.generation)
	case effSend:
		var fds []int
		for _, c := range e.handoff.conns {
			fds = append(fds, c.fd)
		}
		return fmt.Sprintf("send %d %v", e.worker.id, fds)
	case effLine:
		return fmt.Sprintf("line %d %s", e.worker.id, bytes.TrimSpace(e.line))
	case effShare:
		return fmt.Sprintf("share %d %s", e.worker.id, e.listener)
	case effClose:
		return fmt.Sprintf("close %d", e.fd)
	case effAccept:
		return "accept " + e.listener.String()
	case effPoll:
		return fmt.Sprintf("poll %s %v", e.listener, e.on)
	case effSignal:
		return fmt.Sprintf("signal %d %s", e.worker.id, e.signalName())
	case effBind:
		return "bind " + e.query.String()
	case effUnbind:
		return "unbind " + e.listener.String()
	case effRelease:
		return fmt.Sprintf("release %d", e.worker.id)
	case effNotify:
		return fmt.Sprintf("notify %+v", e.notify)
	case effDone:
		return fmt.Sprintf("done %s %v", [...]string{"reload", "scale"}[e.done], e.err)
	case effExit:
		return fmt.Sprintf("exit %v", e.err)
	case effProbe:
		return fmt.Sprintf("probe %d", e.worker.id)
	case effSettle:
		return fmt.Sprintf("settle %d %d", e.worker.id, e.seq)
	case effReload:
		return "reload"
	case effMessage:
		return fmt.Sprintf("message %d %s", e.worker.id, e.line)
	}
	panic(fmt.Sprintf("effect %d", e.kind))
}

// took gives what was done since the last call, of the kinds that are named.
func (s *stage) took(kinds ...string) []string {
	var found []string
	for _, d := range s.did {
		if kind, _, _ := strings.Cut(d, " "); slices.Contains(kinds, kind) {
			found = append(found, d)
		}
	}
	s.did = nil
	return found
}

// expect fails the test unless exactly want was done, of the kinds that are named,
// since the last call.
func (s *stage) expect(tb testing.TB, when, kinds string, want ...string) {
	tb.Helper()
	if got := s.took(strings.Fields(kinds)...); !slices.Equal(got, want) {
		tb.Errorf("%s:\n got %q\nwant %q", when, got, want)
	}
}

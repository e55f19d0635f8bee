package master

import (
	"os"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"golang.org/x/sys/unix"
)

// listener is one listening socket.
type listener struct {
	address
	index   int    // of a passed socket: descriptor 3+index; else -1
	name    string // for people, and for worker.Listen("activation", name)
	passed  bool
	fixed   bool            // passed, or bound for --listen: never closed while the master runs
	asked   bool            // a worker has asked for it
	wants   []settings.Want // served also to those who ask for these
	ring    []*seat         // by slot; nil where nobody takes its connections
	cursor  int             // the slot whose turn it is
	held    []*conn         // accepted, and waiting for a worker with room
	starved bool            // in table.starved, and not polled
	closing bool            // being drained before it is closed
	failed  bool            // accept says that it is no listener any more
	gone    bool            // closed by us
	polled  bool
	keys    int         // of workers, that stand for it
	fd      int         // the loop's, as the next three; the table does not touch it
	ready   bool        // the poller has told of a connection, which was not yet asked for
	num     int         // in the poller's tag
	kept    int         // of one that we opened, in the name that it is kept by; 0: it is not kept
	unkept  bool        // it has that number only to be handed over: the store has no room
	handle  string      // that it was opened for
	file    os.FileInfo // of a unix socket that we made
}

// seat is the place of one worker's key in the ring of one listener.
type seat struct {
	key       *key
	listener  *listener
	restUntil instant       // it refused a connection: no room until then
	rest      time.Duration // grows with each refusal in a row
}

// A worker that refuses gets nothing for this long, doubling.
const (
	restMin = 20 * time.Millisecond
	restMax = time.Second
)

// accepted places a new connection.
func (t *table) accepted(l *listener, fd int) {
	t.acceptWait = 0
	t.place(t.newConn(fd, l))
}

// pick gives the seat whose turn it is and moves the turn on; nil when nobody has
// room. A seat without room keeps its place in the ring.
func (t *table) pick(l *listener) *seat {
	i := t.peek(l)
	if i < 0 {
		return nil
	}
	l.cursor = i + 1
	return l.ring[i]
}

// peek gives the slot that pick would take, or -1.
func (t *table) peek(l *listener) int {
	n := len(l.ring)
	for k := range n {
		i := (l.cursor + k) % n // the ring may have shrunk since
		if l.ring[i] != nil && t.hasRoom(l.ring[i]) {
			return i
		}
	}
	return -1
}

func (t *table) hasRoom(s *seat) bool {
	w := s.key.worker
	return w.inFlight < w.cfg.Window && w.listed() < 2*w.cfg.Window && !w.blocked && !w.broken && !w.stalled && !w.probing && t.now >= s.restUntil
}

// mayAccept tells the loop whether to take another connection from l.
func (t *table) mayAccept(l *listener) bool {
	return (t.phase <= serving || l.closing) && !l.failed && t.now >= t.acceptFrom && len(l.held) == 0 && t.peek(l) >= 0
}

// rest keeps a seat that refused out of its turn for a while. What was under way
// when it first refused, and is refused too, says nothing new.
func (t *table) rest(s *seat) {
	if t.now < s.restUntil {
		return
	}
	s.rest = min(max(2*s.rest, restMin), restMax)
	s.restUntil = t.now.add(s.rest)
	t.arm(s.restUntil)
}

// starve notes that l must not be polled until a worker has room.
func (t *table) starve(l *listener) {
	if l.starved || l.gone {
		return
	}
	l.starved = true
	t.starved = append(t.starved, l)
	t.poll(l, false)
	t.armRests(l)
}

// armRests arms for the seats of l that have room again only when their rest ends.
func (t *table) armRests(l *listener) {
	for _, s := range l.ring {
		if s != nil && s.restUntil > t.now {
			t.arm(s.restUntil)
		}
	}
}

// feed gives held connections to workers that have room now, and has the loop
// accept again where there is more room than held connections.
func (t *table) feed() {
	list := t.starved
	t.starved = t.starved[:0]
	for _, l := range list {
		if l.failed && len(l.held) == 0 {
			l.starved = false
			continue
		}
		for len(l.held) > 0 {
			s := t.pick(l)
			if s == nil {
				break
			}
			c := l.held[0]
			l.held = append(l.held[:0], l.held[1:]...)
			t.assign(s, c)
		}
		if t.mayAccept(l) && len(l.held) == 0 {
			l.starved = false
			t.do(effect{kind: effAccept, listener: l})
			continue
		}
		t.starved = append(t.starved, l)
	}
}

// drained applies that the accept queue of l was seen empty.
func (t *table) drained(l *listener) {
	if l.closing {
		t.unbind(l)
		return
	}
	t.wait(l)
}

// wait polls l again, unless it starves.
func (t *table) wait(l *listener) {
	if !l.starved && !l.failed && (t.phase <= serving || l.closing) {
		t.poll(l, true)
	}
}

func (t *table) poll(l *listener, on bool) {
	if l.polled != on {
		l.polled = on
		t.do(effect{kind: effPoll, listener: l, on: on})
	}
}

// acceptSayEvery is how often the log says that accepting pauses: with a descriptor
// to spare now and then, it goes on and pauses again many times a second.
const acceptSayEvery = time.Minute

// acceptFailed pauses accepting, on all listeners, when descriptors or memory have
// run out: the connections wait in the kernel, and nothing spins.
func (t *table) acceptFailed(l *listener, err error) {
	if t.acceptSaid == 0 || t.now >= t.acceptSaid.add(acceptSayEvery) {
		t.acceptSaid = t.now
		remedy := "nothing is lost: the connections wait in the kernel until its cause has gone"
		switch err {
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			remedy = "raise LimitNOFILE= of the service, or the system's limits"
		}
		t.log.Error("accepting paused", "listener", l.String(), "err", err, "remedy", remedy)
	}
	t.acceptWait = min(max(2*t.acceptWait, 50*time.Millisecond), time.Second)
	t.acceptFrom = t.now.add(t.acceptWait)
	t.arm(t.acceptFrom)
	t.starve(l)
}

// deaf notes that l cannot accept any more, which nobody but its owner can mend.
func (t *table) deaf(l *listener, err error) {
	l.failed = true
	t.poll(l, false)
	if l.closing {
		t.unbind(l)
	}
	t.log.Error("listener is broken: restart its socket unit", "listener", l.String(), "err", err)
}

package master

import (
	"os"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
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
	polled  bool
	fd      int         // the loop's, as the next two; the table does not touch it
	num     int         // in the poller's tag
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

// settleTime bounds the wait for what was accepted before a stop, when workers do not answer.
const settleTime = time.Second

// maxDeaths is how many workers may die over one connection.
const maxDeaths = 2

// conn is one accepted connection that is not yet a worker's.
type conn struct {
	fd       int
	listener *listener
	deaths   int // workers that died holding it unacknowledged
}

// handoff is one message with connections, sent and not yet answered.
type handoff struct {
	seq      int64
	seat     *seat
	conns    []*conn
	at       instant
	envelope bool // plain newconn: an ACK comes before the answer
	acked    bool
	unseen   bool // acknowledged when its listener was closed already: no application got it
	done     bool
}

// accepted places a new connection.
func (t *table) accepted(l *listener, fd int) {
	t.acceptWait = 0
	t.place(t.newConn(fd, l))
}

// place gives c to the next worker with room, or keeps it until there is one.
func (t *table) place(c *conn) {
	l := c.listener
	if len(l.held) == 0 {
		if s := t.pick(l); s != nil {
			t.assign(s, c)
			return
		}
	}
	if t.phase >= draining {
		t.discard(c)
		return
	}
	l.held = append(l.held, c)
	t.starve(l)
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
		i := l.cursor + k
		if i >= n {
			i -= n
		}
		if i < n && l.ring[i] != nil && t.hasRoom(l.ring[i]) {
			return i
		}
	}
	return -1
}

func (t *table) hasRoom(s *seat) bool {
	w := s.key.worker
	return w.inFlight < w.cfg.Window && !w.blocked && !w.broken && !w.stalled && t.now >= s.restUntil
}

// mayAccept tells the loop whether to take another connection from l.
func (t *table) mayAccept(l *listener) bool {
	return (t.phase <= serving || l.closing) && !l.failed && t.now >= t.acceptFrom && len(l.held) == 0 && t.peek(l) >= 0
}

// assign puts c into the batch of s's worker.
func (t *table) assign(s *seat, c *conn) {
	w := s.key.worker
	w.inFlight++
	w.handedOver++
	t.count.HandedOver++
	if !w.dirty {
		w.dirty = true
		t.dirty = append(t.dirty, w)
	}
	if n := len(w.sent); n > 0 {
		if h := &w.sent[n-1]; h.seq < 0 && h.seat == s && len(h.conns) < w.batch {
			h.conns = append(h.conns, c)
			return
		}
	}
	w.sent = append(w.sent, handoff{seq: -1, seat: s, conns: append(t.newVec(), c), envelope: w.batch == 0})
}

// flush sends the batches that step has filled. The slice is valid until the next call of step or flush.
func (t *table) flush() []effect {
	t.effects = t.effects[:0]
	for _, w := range t.dirty {
		w.dirty = false
		for i := range w.sent {
			h := &w.sent[i]
			if h.seq >= 0 {
				continue
			}
			h.seq, h.at = w.nextSeq(), t.now
			t.arm(t.now.add(w.cfg.AckTimeout))
			t.do(effect{kind: effSend, worker: w, handoff: h})
		}
	}
	t.dirty = t.dirty[:0]
	return t.effects
}

// unsent takes back a handoff that the channel did not take.
func (t *table) unsent(w *worker, seq int64, err error) {
	h := w.find(seq)
	if h == nil {
		return
	}
	if err == unix.ETOOMANYREFS {
		t.rest(h.seat)
	}
	t.count.HandedOver -= uint64(len(h.conns))
	w.handedOver -= uint64(len(h.conns))
	t.takeBack(w, h, h.conns)
}

// handleAck applies NODE_HANDLE_ACK and NODE_HANDLE_NACK, which come in the order of the envelopes.
func (t *table) handleAck(w *worker, arrived bool) {
	for i := w.head; i < len(w.sent); i++ {
		h := &w.sent[i]
		if h.done || h.acked || !h.envelope || h.seq < 0 {
			continue
		}
		if arrived {
			h.acked, h.unseen = true, h.seat.key.closed
			return
		}
		t.rest(h.seat)
		t.redistribute(w, h, h.conns)
		return
	}
	t.violation(w, "acknowledged a descriptor that was not sent")
}

// answer applies a worker's word on the connections of one message.
func (t *table) answer(w *worker, m *wire.Message) {
	h := w.find(m.Ack)
	if h == nil {
		t.violation(w, "answered a message that was not sent")
		return
	}
	if w.stalled {
		w.stalled = false
		t.log.Info("worker answers again", w.attrs("took", time.Duration(t.now-h.at))...)
	}
	if !m.Accepted {
		t.rest(h.seat)
		t.redistribute(w, h, h.conns)
		return
	}
	if len(m.Refused) > 0 {
		t.partly(w, h, m.Refused)
		return
	}
	h.seat.rest = 0
	for _, c := range h.conns {
		t.close(c)
	}
	t.finish(w, h)
}

// partly applies an answer that refuses some connections of a batch.
func (t *table) partly(w *worker, h *handoff, refused []int) {
	t.rest(h.seat)
	isRefused := make([]bool, len(h.conns))
	for _, i := range refused {
		if i >= 0 && i < len(isRefused) {
			isRefused[i] = true
		}
	}
	var back []*conn
	for i, c := range h.conns {
		if isRefused[i] {
			back = append(back, c)
		} else {
			t.close(c)
		}
	}
	t.redistribute(w, h, back)
}

// rest keeps a seat that refused out of its turn for a while.
func (t *table) rest(s *seat) {
	s.rest = min(max(2*s.rest, restMin), restMax)
	s.restUntil = t.now.add(s.rest)
	t.arm(s.restUntil)
}

// redistribute gives connections that were refused to others.
func (t *table) redistribute(w *worker, h *handoff, back []*conn) {
	t.count.Redistributed += uint64(len(back))
	t.takeBack(w, h, back)
}

// takeBack ends h and places back anew, before what came later.
func (t *table) takeBack(w *worker, h *handoff, back []*conn) {
	back = append([]*conn(nil), back...)
	t.finish(w, h)
	for _, c := range back {
		t.place(c)
	}
}

// finish ends a handoff; its connections have been seen to.
func (t *table) finish(w *worker, h *handoff) {
	w.inFlight -= len(h.conns)
	t.freeVec = append(t.freeVec, h.conns[:0])
	h.conns, h.done = nil, true
	for w.head < len(w.sent) && w.sent[w.head].done {
		w.head++
	}
	switch {
	case w.head == len(w.sent):
		w.sent, w.head = w.sent[:0], 0
	case w.head >= 64:
		w.sent = append(w.sent[:0], w.sent[w.head:]...)
		w.head = 0
	}
}

// find gives the handoff with that seq, or nil.
func (w *worker) find(seq int64) *handoff {
	for i := w.head; i < len(w.sent); i++ {
		if h := &w.sent[i]; h.seq == seq && !h.done && seq >= 0 {
			return h
		}
	}
	return nil
}

// abandon settles what a worker held unanswered when its channel ended. What it
// acknowledged may have reached its application: that is closed, not given again.
// Unless its word that it closed the listener came before the ACK: a Node worker that
// drains would then have refused, and closes its channel before it has said so.
func (t *table) abandon(w *worker) {
	var back []*conn
	for i := w.head; i < len(w.sent); i++ {
		h := &w.sent[i]
		if h.done {
			continue
		}
		for _, c := range h.conns {
			switch {
			case h.acked && !h.unseen:
				t.count.Ambiguous++
				t.close(c)
			case h.seq < 0 || h.unseen: // never sent, or as good as refused
				back = append(back, c)
			case c.deaths+1 >= maxDeaths:
				t.log.Warn("connection closed: two workers died before they took it",
					w.attrs("listener", c.listener.String())...)
				t.discard(c)
			default:
				c.deaths++
				t.count.Redistributed++
				back = append(back, c)
			}
		}
		t.freeVec = append(t.freeVec, h.conns[:0])
	}
	w.sent, w.head, w.inFlight = nil, 0, 0
	for _, c := range back {
		t.place(c)
	}
}

// starve notes that l must not be polled until a worker has room.
func (t *table) starve(l *listener) {
	if l.starved {
		return
	}
	l.starved = true
	t.starved = append(t.starved, l)
	t.poll(l, false)
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

// acceptFailed pauses accepting, on all listeners, when descriptors or memory have
// run out: the connections wait in the kernel, and nothing spins.
func (t *table) acceptFailed(l *listener, err error) {
	if t.acceptWait == 0 {
		t.log.Error("accepting paused: raise LimitNOFILE= of the service or the system's limits",
			"listener", l.String(), "err", err)
	}
	t.acceptWait = min(max(2*t.acceptWait, 50*time.Millisecond), time.Second)
	t.acceptFrom = t.now.add(t.acceptWait)
	t.arm(t.acceptFrom)
	t.starve(l)
}

func (t *table) close(c *conn) {
	t.do(effect{kind: effClose, fd: c.fd})
	c.listener = nil
	t.freeCon = append(t.freeCon, c)
}

// discard closes a connection that no worker got.
func (t *table) discard(c *conn) {
	t.count.ClosedUndelivered++
	t.close(c)
}

func (t *table) newConn(fd int, l *listener) *conn {
	if n := len(t.freeCon); n > 0 {
		c := t.freeCon[n-1]
		t.freeCon = t.freeCon[:n-1]
		*c = conn{fd: fd, listener: l}
		return c
	}
	return &conn{fd: fd, listener: l}
}

func (t *table) newVec() []*conn {
	if n := len(t.freeVec); n > 0 {
		v := t.freeVec[n-1]
		t.freeVec = t.freeVec[:n-1]
		return v
	}
	return make([]*conn, 0, 4)
}

// deaf notes that l cannot accept any more, which nobody but its owner can mend.
func (t *table) deaf(l *listener, err error) {
	l.failed = true
	t.poll(l, false)
	t.log.Error("listener is broken: restart its socket unit", "listener", l.String(), "err", err)
}

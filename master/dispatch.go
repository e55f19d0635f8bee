package master

import (
	"slices"

	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// maxDeaths is how many workers may die over one connection.
const maxDeaths = 2

// conn is one accepted connection that is not yet a worker's.
type conn struct {
	fd       int
	listener *listener
	num      uint64 // in the order of accepting
	deaths   int    // workers that died holding it unacknowledged
}

// handoff is one message with descriptors, sent and not yet answered: with connections,
// or with the socket of a key that is shared.
type handoff struct {
	seq      int64
	seat     *seat // of connections
	share    *key  // nil for connections
	conns    []*conn
	at       instant
	envelope bool // plain newconn: an ACK comes before the answer
	acked    bool
	unseen   bool // acknowledged when its listener was closed already: no application got it
	done     bool
}

// place gives a new connection to the next worker with room, or keeps it until there is one.
func (t *table) place(c *conn) {
	if len(c.listener.held) == 0 {
		if s := t.pick(c.listener); s != nil {
			t.assign(s, c)
			return
		}
	}
	t.hold(c)
}

// placeAgain places connections that came back, before those that came later.
func (t *table) placeAgain(back []*conn) {
	for _, c := range back {
		if s := t.pick(c.listener); s != nil {
			t.assign(s, c)
		} else {
			t.hold(c)
		}
	}
}

// hold keeps c until a worker has room, in the order of accepting. When none ever
// will, c is closed.
func (t *table) hold(c *conn) {
	l := c.listener
	if t.phase >= draining || l.gone {
		t.discard(c)
		return
	}
	i := slices.IndexFunc(l.held, func(other *conn) bool { return other.num > c.num })
	if i < 0 {
		i = len(l.held)
	}
	l.held = slices.Insert(l.held, i, c)
	t.starve(l)
}

// assign puts c into the batch of s's worker.
func (t *table) assign(s *seat, c *conn) {
	w := s.key.worker
	w.inFlight++
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

// goesAlone tells that what waits to be sent goes to a worker that gets each connection
// by itself: it would wait for others in vain, and be lost if the master ended meanwhile.
func (t *table) goesAlone() bool { return len(t.dirty) > 0 && t.dirty[0].batch == 0 }

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
		t.crowded(w, err)
	} else {
		w.blocked = true // until its channel takes again, or ends
	}
	t.takeBack(w, h, h.conns)
	if w.blocked {
		t.recall(w, nil)
	}
}

// crowded says that the kernel lets no more descriptors of this user be under way
// (unix(7)): all that it runs share that limit, so one worker can use it up.
func (t *table) crowded(w *worker, err error) {
	if t.sendSaid == 0 || t.now >= t.sendSaid.add(acceptSayEvery) {
		t.sendSaid = t.now
		t.log.Error("handing over paused: a process of this user has too many descriptors under way; raise LimitNOFILE= of the service",
			w.attrs("err", err)...)
	}
}

// recall takes back what would be sent to w with the next flush: all of it, or what
// goes to k. It would be refused, or not be taken.
func (t *table) recall(w *worker, k *key) {
	var back []*conn
	for i := w.head; i < len(w.sent); i++ {
		if h := &w.sent[i]; h.seq < 0 && !h.done && (k == nil || h.seat.key == k) {
			back = append(back, h.conns...)
			t.end(w, h)
		}
	}
	if back == nil {
		return
	}
	w.sent = slices.DeleteFunc(w.sent, func(h handoff) bool { return h.done && h.seq < 0 })
	t.trim(w)
	t.placeAgain(back)
}

// handleAck applies NODE_HANDLE_ACK and NODE_HANDLE_NACK, which come in the order of the envelopes.
func (t *table) handleAck(w *worker, arrived bool) {
	if w.probing { // of the last master's handoffs, or of the probe
		if !arrived {
			t.probeAgain(w)
		}
		return
	}
	for i := w.head; i < len(w.sent); i++ {
		h := &w.sent[i]
		if h.done || h.acked || !h.envelope || h.seq < 0 {
			continue
		}
		if h.share != nil {
			t.shareSeen(w, h, arrived)
			return
		}
		if arrived {
			h.acked, h.unseen = true, h.seat.key.closed
			return
		}
		t.rest(h.seat)
		t.do(effect{kind: effSettle, worker: w, seq: h.seq})
		t.redistribute(w, h, h.conns)
		return
	}
	t.violation(w, "acknowledged a descriptor that was not sent")
}

// answer applies a worker's word on the connections of one message.
func (t *table) answer(w *worker, m *wire.Message) {
	h := w.find(m.Ack)
	if h == nil {
		if !w.adopted || !t.beforeUs(w, m) {
			t.violation(w, "answered a message that was not sent")
		}
		return
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
	t.handedOver(w, len(h.conns))
	for _, c := range h.conns {
		t.close(c)
	}
	t.end(w, h)
	t.trim(w)
}

// handedOver counts connections that a worker has taken.
func (t *table) handedOver(w *worker, n int) {
	if t.statusAt == 0 {
		t.statusSeen, t.statusAt = t.count.HandedOver, t.now.add(statusEvery)
		t.arm(t.statusAt)
	}
	w.tookAt = t.now
	w.handedOver += uint64(n)
	t.count.HandedOver += uint64(n)
}

// partly applies an answer that refuses some connections of a batch.
func (t *table) partly(w *worker, h *handoff, refused []int) {
	t.rest(h.seat)
	isRefused := marked(refused, len(h.conns))
	var back []*conn
	for i, c := range h.conns {
		if isRefused[i] {
			back = append(back, c)
		} else {
			t.close(c)
		}
	}
	t.handedOver(w, len(h.conns)-len(back))
	t.redistribute(w, h, back)
}

// marked tells which of n a worker named. It may name any number, often.
func marked(names []int, n int) []bool {
	all := make([]bool, n)
	for _, i := range names {
		if i >= 0 && i < n {
			all[i] = true
		}
	}
	return all
}

// redistribute gives connections that were refused to others.
func (t *table) redistribute(w *worker, h *handoff, back []*conn) {
	t.count.Redistributed += uint64(len(back))
	t.takeBack(w, h, back)
}

// takeBack ends h and places back anew.
func (t *table) takeBack(w *worker, h *handoff, back []*conn) {
	back = slices.Clone(back)
	t.end(w, h)
	t.trim(w)
	t.placeAgain(back)
}

// end takes h out of w's account; its connections have been seen to, or will be.
func (t *table) end(w *worker, h *handoff) {
	if h.conns != nil {
		w.inFlight -= len(h.conns)
		t.freeVec = append(t.freeVec, h.conns[:0])
	}
	h.conns, h.done = nil, true
}

// trim forgets the handoffs of w that have ended, and lets w have new ones if it
// was only them that it left unanswered for too long.
func (t *table) trim(w *worker) {
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
	if !w.stalled {
		return
	}
	if limit := w.ackLimit(); limit == 0 || t.now < limit {
		w.stalled = false
		t.arm(limit)
		t.log.Info("worker answers again", w.attrs()...)
	}
}

// listed is how many handoffs w's list has. A worker that answers in order, as all do,
// has no more of them than connections in flight.
func (w *worker) listed() int { return len(w.sent) - w.head }

// ackLimit is when w's oldest handoff will have been unanswered for too long; 0 if there is none.
func (w *worker) ackLimit() instant {
	if w.head == len(w.sent) || w.sent[w.head].seq < 0 {
		return 0
	}
	return w.sent[w.head].at.add(w.cfg.AckTimeout)
}

// find gives the handoff of connections with that seq, or nil.
func (w *worker) find(seq int64) *handoff {
	if h := w.findSent(seq); h != nil && h.share == nil {
		return h
	}
	return nil
}

func (w *worker) findSent(seq int64) *handoff {
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
		if h.done || h.share != nil {
			continue
		}
		if h.seq >= 0 {
			t.do(effect{kind: effSettle, worker: w, seq: h.seq})
		}
		for _, c := range h.conns {
			switch {
			case h.acked && !h.unseen:
				t.count.Ambiguous++
				t.close(c)
			case h.unseen || w.want == down: // as good as refused; or it left, and that is not the connection's doing
				back = append(back, c)
			case c.deaths+1 >= maxDeaths:
				t.log.Warn("connection closed: two workers died before they took it",
					w.attrs("listener", c.listener.String())...)
				t.discard(c)
			default:
				c.deaths++
				back = append(back, c)
			}
		}
		t.freeVec = append(t.freeVec, h.conns[:0])
	}
	w.sent, w.head, w.inFlight = nil, 0, 0
	t.diedHolding(w)
	t.count.Redistributed += uint64(len(back))
	t.placeAgain(back)
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
	var c *conn
	if n := len(t.freeCon); n > 0 {
		c, t.freeCon = t.freeCon[n-1], t.freeCon[:n-1]
	} else {
		c = new(conn)
	}
	t.lastConn++
	*c = conn{fd: fd, listener: l, num: t.lastConn}
	return c
}

func (t *table) newVec() []*conn {
	if n := len(t.freeVec); n > 0 {
		v := t.freeVec[n-1]
		t.freeVec = t.freeVec[:n-1]
		return v
	}
	return make([]*conn, 0, 4)
}

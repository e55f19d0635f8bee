package master

import (
	"errors"
	"fmt"
	"time"

	"github.com/rondokit/rondo/internal/fault"
	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

const (
	// What one worker may bring in a turn of the loop, so that a flood holds up the
	// others for no longer than that: bytes, descriptors in bytes, and time, which is
	// looked at every few lines.
	readBudget = 64 << 10
	rightCost  = 64
	readTime   = time.Millisecond
	readLines  = 16

	maxOut = 256 << 10 // unread answers of one worker; above that nothing more is read from it
)

// proc is the process of one worker, and the master's end of its channel.
type proc struct {
	worker  *worker
	process *sys.Process // nil until it is started
	channel int          // -1 when closed
	state   *state.Worker
	counted uint64   // connections that it took, as kept
	rights  int      // descriptors that came and belong to a line not yet read; they are closed
	out     []byte   // waits for the channel to take it
	paused  bool     // too much waits: nothing is read
	waiting bool     // in loop.waiting: lines that have been read are for the next turn
	dead    bool     // the process has ended: nothing is written any more
	killed  bool     // by us
	untold  int      // kills for want of memory, before it was started
	left    int      // bytes that it left behind, to be read before it is done with
	early   []signal // sent before there was a process
	tail    *tail
	start   startedProcess // until the loop takes it up
	stored  *storedWorker  // until it is adopted
}

// watch waits for what p needs now.
func (l *loop) watch(p *proc, full bool) {
	want := sys.Read
	if p.paused {
		want = 0
	}
	if full || len(p.out) > 0 {
		want |= sys.Write
	}
	if err := l.m.poller.Watch(p.channel, tagChannel<<tagShift|uint64(p.worker.id), want); err != nil {
		panic(fmt.Sprintf("master: cannot poll the channel of %s: %v", p.worker, err))
	}
}

// read applies what a turn allows of what p has said, message by message.
func (l *loop) read(p *proc) {
	until := time.Now().Add(readTime)
	budget := readBudget
	for empty := false; l.lines(p, until) && !empty && budget > 0; {
		space := p.state.Lines.Space()
		space = space[:min(len(space), budget)]
		if p.dead {
			if p.left <= 0 {
				l.endChannel(p)
				return
			}
			space = space[:min(len(space), p.left)]
		}
		n, fds, cut, err := sys.Recv(p.channel, space, l.fds[:0])
		for _, fd := range fds { // a worker has no descriptor that we want
			sys.Release(fd)
		}
		l.fds = fds[:0]
		switch {
		case err == unix.EAGAIN && !p.dead:
			return
		case err != nil || n == 0:
			l.endChannel(p)
			return
		}
		p.setRights(p.rights + len(fds))
		p.left -= n
		budget -= n + rightCost*len(fds)
		p.state.Lines.Add(n)
		empty = n < len(space) && len(fds) == 0 && !cut && !p.dead // a read ends early also after descriptors
	}
}

// lines applies the whole lines that have been read. It reports whether more may be
// read now: not when the channel has ended, answers wait, or the turn is over.
func (l *loop) lines(p *proc, until time.Time) bool {
	for n := 1; p.channel >= 0 && !p.paused; n++ {
		if n%readLines == 0 && !time.Now().Before(until) {
			l.later(p)
			return false
		}
		line, err := p.state.Lines.Next()
		var long *wire.TooLongError
		switch {
		case errors.As(err, &long):
			if long.Envelope {
				l.answerHandle(p)
			}
			l.tooLong(p)
			p.state.Lines.Done()
		case line == nil:
			if p.state.Lines.Dropping() {
				l.tooLong(p) // its end may never come
			}
			if p.rights > 0 && !p.state.Lines.Pending() {
				p.setRights(0)
				l.garbage(p, errors.New("sent descriptors that belong to no message, closed"))
			}
			return true
		default:
			l.message(p, line)
			fault.At("before done")
			p.state.Lines.Done()
			if l.msg.Kind == wire.HandleAck {
				fault.At("after ack")
			}
		}
	}
	return false
}

func (p *proc) setRights(n int) {
	if n != p.rights {
		p.rights = n
		p.state.SetRights(n)
	}
}

// later has the next turn go on with p.
func (l *loop) later(p *proc) {
	if !p.waiting {
		p.waiting = true
		l.waiting = append(l.waiting, p)
	}
}

// goOn gives those their turn who were not done in the last one.
func (l *loop) goOn() {
	waiting := l.waiting
	l.waiting = nil
	for _, p := range waiting {
		p.waiting = false
		if p.channel >= 0 && !p.paused && !p.dead {
			l.read(p)
		}
	}
}

func (l *loop) tooLong(p *proc) {
	l.garbage(p, fmt.Errorf("sent a message of more than %d bytes (max-message), dropped", p.worker.cfg.MaxMessage))
}

func (l *loop) message(p *proc, line []byte) {
	if err := wire.Parse(line, &l.msg); err != nil {
		l.garbage(p, fmt.Errorf("sent a line that is not JSON: %.80q", line))
		return
	}
	if l.msg.Envelope {
		l.answerHandle(p)
	}
	l.apply(event{kind: evMessage, worker: p.worker.id, msg: &l.msg})
}

func (l *loop) garbage(p *proc, err error) {
	l.apply(event{kind: evGarbage, worker: p.worker.id, err: err})
}

// answerHandle answers an envelope of a worker: Node holds back all its later
// messages until it is. The descriptor itself was closed as it came.
func (l *loop) answerHandle(p *proc) {
	answer := wire.HandleNackLine
	if p.rights > 0 {
		p.setRights(p.rights - 1)
		answer = wire.HandleAckLine
	}
	l.write(p, []byte(answer))
	for len(l.pending) > 0 {
		ev := l.pending[0]
		l.pending = l.pending[1:]
		l.apply(ev)
	}
}

// send passes the connections of h, or gives them back to the table.
func (l *loop) send(p *proc, h *handoff) {
	l.fds = l.fds[:0]
	for _, c := range h.conns {
		l.fds = append(l.fds, c.fd)
	}
	if h.envelope {
		l.buf = wire.AppendNewConn(l.buf[:0], h.seat.key.quoted, h.seq)
	} else {
		l.buf = wire.AppendNewConns(l.buf[:0], h.seat.key.quoted, h.seq, len(h.conns))
	}
	if p.channel < 0 || p.dead || len(p.out) > 0 {
		l.raise(event{kind: evUnsent, worker: p.worker.id, seq: h.seq})
		return
	}
	p.state.Reserve(h.seq)
	fault.At("before intent")
	p.state.Intend(h.seq, len(h.conns))
	fault.At("before send")
	err := l.pass(p, l.buf, l.fds)
	fault.At("after send")
	if err != nil {
		p.state.Settle(h.seq)
		l.raise(event{kind: evUnsent, worker: p.worker.id, seq: h.seq, err: err})
		l.cannotWrite(p, err)
	}
}

// write sends one line, or keeps what the channel does not take.
func (l *loop) write(p *proc, b []byte) {
	if p.dead {
		return
	}
	if len(p.out) == 0 {
		n, err := sys.Send(p.channel, b, nil)
		if err != nil && !isFull(err) {
			l.cannotWrite(p, err)
			return
		}
		if b = b[max(n, 0):]; len(b) == 0 {
			return
		}
		l.cannotWrite(p, unix.EAGAIN)
	}
	p.state.SetUnsent(true)
	p.out = append(p.out, b...)
	if !p.paused && len(p.out) > maxOut {
		p.paused = true
		l.raise(event{kind: evGarbage, worker: p.worker.id,
			err: errors.New("asks on and does not read the answers; it is heard again when it has")})
	}
	l.watch(p, true)
}

// cannotWrite tells the table that the channel takes no more, for now or for ever.
func (l *loop) cannotWrite(p *proc, err error) {
	switch {
	case isFull(err):
		l.watch(p, true)
		l.raise(event{kind: evBlocked, worker: p.worker.id})
	case err == unix.ETOOMANYREFS:
		// Too many descriptors of this user are under way: the table waits a little.
	default: // EPIPE, ECONNRESET: reading will find the end
		p.out, p.paused = nil, false
		l.watch(p, false)
		l.raise(event{kind: evBroken, worker: p.worker.id})
	}
}

// isFull tells of an error that goes by: the socket's buffer is full, or the
// system's memory.
func isFull(err error) bool {
	return err == unix.EAGAIN || err == unix.ENOBUFS || err == unix.ENOMEM
}

// writable goes on with what waited.
func (l *loop) writable(p *proc) {
	for len(p.out) > 0 {
		n, err := sys.Send(p.channel, p.out, nil)
		if isFull(err) {
			return
		}
		if err != nil {
			l.cannotWrite(p, err)
			l.follow()
			return
		}
		p.out = p.out[n:]
	}
	if p.paused {
		l.later(p)
	}
	p.out, p.paused = nil, false
	p.state.SetUnsent(false)
	l.watch(p, false)
	l.apply(event{kind: evWritable, worker: p.worker.id})
}

// endChannel closes the channel, which has been read to its end.
func (l *loop) endChannel(p *proc) {
	l.closeChannel(p)
	l.apply(event{kind: evChannelEnd, worker: p.worker.id})
}

func (l *loop) closeChannel(p *proc) {
	if p.channel < 0 {
		return
	}
	l.m.poller.Watch(p.channel, 0, 0)
	sys.Close(p.channel)
	p.channel, p.out = -1, nil
}

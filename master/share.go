package master

import (
	"fmt"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
)

// Some sockets are not accepted on here: each worker that asks for one gets a descriptor
// of it, and accepts or receives by itself. UDP is of that kind, and listeners of which
// --schedule says none. The table holds such a listener like any other, so it stays open
// without workers; it has no seats, so it is never polled.

// shared tells whether the workers of the generation that serves get l itself.
func (t *table) shared(l *listener) bool { return shares(t.cfg, l) }

func shares(cfg *settings.Settings, l *listener) bool {
	return l.datagram() || cfg.Schedule.Shares(l.name)
}

// shareable tells whether w gets the listeners of a query themselves, and why it cannot
// if it is to: one answer carries one socket, and Node takes another port than the one it
// asked for as EADDRINUSE.
func (w *worker) shareable(q *wire.Query, list []*listener) (share bool, err error) {
	for _, l := range list {
		switch {
		case !shares(w.cfg, l):
		case len(list) > 1:
			return true, fmt.Errorf("%s and %s match, and workers share one socket: name one of them with --listen", list[0], list[1])
		case l.network == "tcp" && q.Port > 0 && q.Port != l.port:
			return true, fmt.Errorf("%s is on another port, and workers share it (--schedule): have the program listen on %d", l, l.port)
		default:
			return true, nil
		}
	}
	return false, nil
}

// share answers the query of k with its socket.
func (t *table) share(k *key, seq int64) {
	l, w := k.handle.listeners[0], k.worker
	k.port = l.port
	if l.network == "unix" {
		k.port = k.query.Port
	}
	h := handoff{seq: w.nextSeq(), at: t.now, envelope: true, share: k}
	w.sent = append(w.sent, h)
	t.arm(t.now.add(w.cfg.AckTimeout))
	line := wire.AppendShare(nil, h.seq, seq, k.name, l.datagram(), k.handle.data)
	t.do(effect{kind: effShare, worker: w, listener: l, seq: h.seq, line: line})
}

// shareSeen applies whether the socket of h has arrived. Node drops what it came with
// when it has not, so the query is answered once more.
func (t *table) shareSeen(w *worker, h *handoff, arrived bool) {
	k := h.share
	t.end(w, h)
	t.trim(w)
	if !arrived {
		t.unshare(k, unix.EMFILE, "the socket did not arrive: it has too many files open")
	}
}

// unshared applies that the channel did not take it.
func (t *table) unshared(w *worker, seq int64, err error) {
	h := w.findSent(seq)
	if h == nil || h.share == nil {
		return
	}
	k := h.share
	t.end(w, h)
	t.trim(w)
	t.unshare(k, unix.ENOBUFS, fmt.Sprintf("its channel did not take the socket: %v", err))
}

func (t *table) unshare(k *key, errno unix.Errno, why string) {
	w := k.worker
	if k.closed || w.keys[k.name] != k {
		return // the worker has closed it, or left
	}
	t.forget(k)
	t.refuse(w, k.asked, k.query, errno, why)
	t.sweep()
}

// share passes the socket that e is about.
func (l *loop) share(p *proc, e *effect) {
	err := error(unix.EAGAIN)
	if p != nil && p.channel >= 0 && !p.dead && len(p.out) == 0 && e.listener.fd >= 0 {
		p.state.Reserve(e.seq)
		l.fds = append(l.fds[:0], e.listener.fd)
		if err = l.pass(p, e.line, l.fds); err == nil {
			return
		}
	}
	l.raise(event{kind: evUnshared, worker: e.worker.id, seq: e.seq, err: err})
	if p != nil && err != unix.EAGAIN {
		l.cannotWrite(p, err)
	}
}

// pass writes a line with descriptors, which go with its first byte: what the channel
// does not take of it follows. The error says that nothing went.
func (l *loop) pass(p *proc, line []byte, fds []int) error {
	n, err := sys.Send(p.channel, line, fds)
	if err != nil {
		return err
	}
	if n < len(line) {
		p.state.SetUnsent(true)
		p.out = append(p.out, line[n:]...)
		l.cannotWrite(p, unix.EAGAIN)
	}
	return nil
}

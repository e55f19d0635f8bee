package worker

import (
	"net"
	"sync"

	"github.com/rondokit/rondo/internal/sys"
)

// direct is a listener that this process accepts from by itself: its own, one that
// the service manager passed, or one that the master shares. It stops at the drain.
type direct struct {
	net.Listener
	worker  *Worker
	once    sync.Once
	release func() // called at the first Close
}

// direct makes inner stop at the drain. It takes inner, also on error.
func (w *Worker) direct(inner net.Listener, release func()) (*direct, error) {
	l := &direct{Listener: inner, worker: w, release: release}
	w.mu.Lock()
	if w.drained {
		w.mu.Unlock()
		l.Close()
		return nil, net.ErrClosed
	}
	w.closers[l] = struct{}{}
	w.mu.Unlock()
	return l, nil
}

// Close closes the socket. Connections that wait in the kernel are lost unless
// another process has it open too, as the service manager and the master have.
func (l *direct) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() {
		l.worker.mu.Lock()
		delete(l.worker.closers, l)
		l.worker.mu.Unlock()
		l.release()
	})
	return err
}

// shared makes a listener of a descriptor that the master sent instead of
// connections (Node's SCHED_NONE). Node's is bound only: to listen is left to each
// worker.
func (w *Worker) shared(q *query, r reply) (net.Listener, error) {
	defer r.file.Close()
	release := func() { w.closeKey(r.key, q.ask) }
	err := sys.Listen(r.file, q.ask.Backlog)
	if err != nil {
		release()
		return nil, err
	}
	inner, err := net.FileListener(r.file)
	if err != nil {
		release()
		return nil, err
	}
	return w.direct(inner, release)
}

package worker

import (
	"context"
	"fmt"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

// Drain begins the drain of this worker's own will, as when the program without a
// master is told to end: listeners take nothing new and Draining is closed. The
// master is told and may start another worker. Drain returns at once; it does
// nothing when the drain has begun.
func (w *Worker) Drain() { w.beginDrain(ownWill) }

// Leave ends the membership: it begins the drain if nothing has, waits until the
// master knows that this worker leaves, closes the channel and what no Accept
// took. Call it last, after the connections are served; returning from main does
// for a worker that was told to drain.
//
// If ctx ends first, Leave still does all but wait, and returns ctx's cause. It
// may be called more than once.
func (w *Worker) Leave(ctx context.Context) error {
	w.Drain()
	if w.channel == nil {
		w.closePassed()
		return nil
	}
	var err error
	select {
	case <-w.released:
	case <-ctx.Done():
		err = fmt.Errorf("worker: leave: the master does not answer: %w", context.Cause(ctx))
	}
	w.channel.close()
	<-w.ended
	w.closeUnclaimed()
	return err
}

// cause is why a drain begins.
type cause int

const (
	ownWill cause = iota // Drain
	told                 // disconnect
	alone                // the channel ended
)

// beginDrain stops all listeners and tells the master of each, as Node does.
func (w *Worker) beginDrain(why cause) {
	w.mu.Lock()
	if why != ownWill {
		w.release()
	}
	if w.drained {
		w.mu.Unlock()
		return
	}
	w.drained = true
	var lines []byte
	for key, l := range w.listeners {
		w.stop(l)
		lines = wire.AppendClose(lines, w.channel.next(), key)
	}
	if why == ownWill && w.channel != nil {
		w.exited = w.channel.next()
		lines = wire.AppendExited(lines, w.exited)
	}
	closers := w.closers
	w.closers = nil
	w.mu.Unlock()
	for l := range closers {
		l.Close()
	}
	close(w.draining)
	if why != alone && len(lines) > 0 {
		w.send(lines)
	}
}

// release says that the master knows, or is gone. w.mu is held.
func (w *Worker) release() {
	select {
	case <-w.released:
	default:
		close(w.released)
	}
}

// disconnected is the master's word to drain.
func (w *Worker) disconnected() { w.beginDrain(told) }

// channelEnded is the last act of the reader. A worker whose master is gone
// without a word finishes what it holds, like any other.
func (w *Worker) channelEnded() {
	w.beginDrain(alone)
	w.channel.close()
	w.spare.close()
}

// closeUnclaimed closes connections that the program never took.
func (w *Worker) closeUnclaimed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.unclaimed {
		for fd := range l.queue { // closed: it ends
			sys.Close(fd)
		}
		for _, f := range l.again {
			f.Close()
		}
		l.again = nil
		delete(w.unclaimed, l)
	}
}

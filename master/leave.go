package master

import (
	"time"

	"github.com/rondokit/rondo/internal/wire"
)

// hush is how long a Node worker gets no connection before it is told to leave. An HTTP
// server of Node 26 then closes each connection of which it has not read a request yet
// (nodejs/node#63470), and a request comes a moment after its connection: with it, or when
// its first segment was lost once, some 200 ms later.
const hush = 500 * time.Millisecond

// tellLeave has w told to take nothing new, finish, and leave, when it has had its hush.
func (t *table) tellLeave(w *worker) {
	if at := t.hushed(w); at > t.now {
		w.leaveAt = at
		t.arm(at)
		return
	}
	var line []byte
	if w.cfg.ShutdownMsg {
		line = append(line, "\"shutdown\"\n"...)
	}
	// Told twice, Node would close its channel at once.
	t.do(effect{kind: effLine, worker: w, line: wire.AppendDisconnect(line, w.nextSeq()), on: true})
}

// hushed is when w has had its hush, if it takes no more; 0 if it needs none. A program
// with our library finishes also what has not sent anything yet.
func (t *table) hushed(w *worker) instant {
	long := min(hush, w.cfg.DrainTimeout/4)
	switch {
	case w.batch > 0:
		return 0
	case w.inFlight > 0 && !w.stalled:
		return t.now.add(long)
	case w.tookAt == 0:
		return 0
	}
	return w.tookAt.add(long)
}

// tickLeave tells a worker that has had its hush.
func (t *table) tickLeave(w *worker) {
	if w.leaveAt != 0 && t.now >= w.leaveAt {
		w.leaveAt = 0
		if !w.ended && !w.broken && !w.signalled {
			t.tellLeave(w)
		}
	}
	t.arm(w.leaveAt)
}

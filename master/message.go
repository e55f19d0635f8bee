package master

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/rondokit/rondo/internal/wire"
)

// A Message is what a worker's program said to its master: Node's process.send.
type Message struct {
	Worker int // id
	Slot   int
	Body   json.RawMessage // one JSON text, the callee's to keep
}

// Send sends a user message, one JSON text of less than 16 KiB, to the worker that serves
// slot: Node's process.on("message"). It returns when the worker's channel has it, which
// does not say that the program reads it. It fails when nobody serves that slot, when its
// worker does not read, and when the text is none or looks like one of Node's own.
func (m *Master) Send(ctx context.Context, slot int, message json.RawMessage) error {
	line, err := wire.AppendUser(nil, message)
	if err != nil {
		return fmt.Errorf("the message %w", err)
	}
	return m.ask(ctx, func(l *loop, answer chan<- error) { answer <- l.tell(slot, line) })
}

// sockets answers for the sockets that w's program sent us with its messages, which the
// loop has closed: the server that they are of closes only then (Node's socket_list).
func (t *table) sockets(w *worker, m *wire.Message) {
	line := wire.AppendSocketsClosed(nil, m.Key)
	if m.Kind == wire.SocketCount {
		line = wire.AppendSocketCount(nil, m.Key)
	}
	if len(line) <= wire.MaxLine { // else it is no key of Node's
		t.line(w, line)
	}
}

// tell writes a line to the worker of slot.
func (l *loop) tell(slot int, line []byte) error {
	if slot < 0 || slot >= len(l.t.slots) {
		return fmt.Errorf("there is no slot %d: they are 0 to %d", slot, len(l.t.slots)-1)
	}
	w := l.t.slots[slot].current
	if w == nil {
		return fmt.Errorf("slot %d has no worker now; status shows when it has", slot)
	}
	p := l.procs[w.id]
	switch {
	case p == nil || p.channel < 0 || p.dead || w.broken:
		return fmt.Errorf("%s has closed its channel", w)
	case len(p.out) > 0:
		return fmt.Errorf("%s does not read what it was sent before", w)
	}
	l.write(p, line)
	l.follow()
	return nil
}

// heard passes on what a worker said.
func (l *loop) heard(e *effect) {
	if l.cfg.Message != nil {
		l.cfg.Message(Message{Worker: e.worker.id, Slot: e.worker.slot.index, Body: append(json.RawMessage(nil), e.line...)})
	}
}

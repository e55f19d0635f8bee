package worker

import (
	"bytes"
	"errors"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

// maxLine bounds what a line from the master makes us hold. rondo's are at most
// wire.MaxLine; a Node primary may send user messages of any length.
const maxLine = 1 << 20

// read is the goroutine that owns the reading end. It returns when the channel
// ends, which is the beginning of the drain if nothing was before.
func (w *Worker) read() {
	defer close(w.ended)
	lines := wire.NewReader(maxLine)
	var in intake
	for {
		cut := lines.Pending()
		n, fds, err := w.channel.receive(lines.Space(), in.room(), w.spare)
		in.begin(fds, cut)
		if n == 0 || err != nil {
			break
		}
		lines.Add(n)
		for {
			line, err := lines.Next()
			if line == nil && err == nil {
				break
			}
			w.line(line, err, &in)
			in.lineDone()
		}
		in.settle(lines.Pending())
	}
	in.close()
	w.channelEnded()
}

// line acts on one line, or on the error that stands for one that was too long.
func (w *Worker) line(line []byte, err error, in *intake) {
	var m wire.Message
	if err == nil {
		err = wire.Parse(line, &m)
	}
	if err != nil {
		w.puzzled("line from the master dropped", "err", err)
		if long, ok := errors.AsType[*wire.TooLongError](err); ok && long.Envelope {
			w.send([]byte(wire.HandleNackLine))
		}
		return
	}
	switch {
	case m.Envelope:
		w.envelope(&m, in)
	case m.Kind == wire.NewConns:
		w.connections(nil, &m, m.N, in.take(m.N))
	case m.Kind == wire.NewConn: // without its envelope there is no connection
		w.connections(nil, &m, 1, nil)
	case m.Kind == wire.Answer:
		w.answered(&m, -1)
	case m.Kind == wire.Disconnect:
		w.disconnected()
	case m.Kind == wire.Tickets:
		w.newTickets(m.Tickets)
	case m.Kind == wire.User:
		w.told(m.Body)
	}
	// The rest is of no meaning here: answers to descriptors that we never send, acts
	// of a later release.
}

// told passes a user message on.
func (w *Worker) told(body []byte) {
	if w.config.Message != nil {
		w.config.Message(bytes.Clone(body))
	}
}

// envelope acts on a line that carries one descriptor, which is answered in any case.
func (w *Worker) envelope(m *wire.Message, in *intake) {
	fds := in.take(1)
	if len(fds) == 0 { // it was lost on the way in: too many open files
		w.send([]byte(wire.HandleNackLine))
		return
	}
	if m.Kind == wire.NewConn {
		w.connections([]byte(wire.HandleAckLine), m, 1, fds)
		return
	}
	w.send([]byte(wire.HandleAckLine))
	switch m.Kind {
	case wire.Answer: // a listener to accept from by ourselves
		w.answered(m, fds[0])
		return
	case wire.Disconnect:
		w.disconnected()
	case wire.User: // with a descriptor that the program could not name
		w.told(m.Body)
	}
	sys.Close(fds[0])
}

// send writes lines from the reader. An error needs no care there: the channel is
// broken, and the reader is about to see its end.
func (w *Worker) send(lines []byte) { _ = w.channel.send(lines) }

// puzzled logs what a master should not have sent, once: it may be a flood.
func (w *Worker) puzzled(event string, facts ...any) {
	if !w.complained.Swap(true) {
		w.log.Warn(event, facts...)
	}
}

// intake matches descriptors with lines. A message with descriptors has them on
// its first byte, so they came with the read in which its line began: not always
// the one in which it became whole.
type intake struct {
	carried []int // for the line that is not whole yet
	fresh   []int // came with the last read
	cut     bool  // the next line began before the last read: it may take from carried only
}

// room gives the slice that the next read appends its descriptors to.
func (in *intake) room() []int { return in.fresh[:0] }

// begin takes the descriptors of a read; cut says that part of a line was held before it.
func (in *intake) begin(fds []int, cut bool) { in.fresh, in.cut = fds, cut }

// take gives at most n descriptors for the current line. The slice is good until
// the next read.
func (in *intake) take(n int) []int {
	from := &in.fresh
	if in.cut {
		from = &in.carried
	}
	n = min(n, len(*from))
	fds := (*from)[:n:n]
	*from = (*from)[n:]
	return fds
}

// lineDone closes what only the current line could have taken.
func (in *intake) lineDone() {
	if in.cut {
		closeAll(in.carried)
		in.carried, in.cut = nil, false
	}
}

// settle ends a read: what no line took belongs to the line that began in it and
// is not whole (cut), or to nobody.
func (in *intake) settle(cut bool) {
	if cut && !in.cut {
		in.carried = append([]int(nil), in.fresh...)
	} else {
		closeAll(in.fresh)
	}
	in.fresh = in.fresh[:0]
}

// close closes all that is held.
func (in *intake) close() {
	closeAll(in.carried)
	closeAll(in.fresh)
	in.carried, in.fresh = nil, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		sys.Close(fd)
	}
}

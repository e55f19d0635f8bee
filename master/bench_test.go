package master

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/state"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/wire"
)

// handoffs is a table of n ready workers, and the way of connections through it as
// the loop takes them: accepted, chosen, sent, answered, closed.
type handoffs struct {
	t    *table
	l    *listener
	now  instant
	msg  wire.Message
	sent []effect
}

func newHandoffs(tb testing.TB, workers, batch int) *handoffs {
	s, l := serveAs(tb, standard(workers), batch)
	s.t.log, s.t.rand = slog.New(slog.DiscardHandler), rand.New(rand.NewPCG(1, 2))
	return &handoffs{t: s.t, l: l, now: s.now}
}

// turn takes n connections from the accept queue to their workers.
func (h *handoffs) turn(n int) {
	h.now = h.now.add(time.Microsecond)
	for fd := range n {
		h.t.step(event{kind: evAccepted, now: h.now, listener: h.l, fd: fd})
	}
	h.t.step(event{kind: evDrained, now: h.now, listener: h.l})
	h.sent = append(h.sent[:0], h.t.flush()...)
	for i := range h.sent {
		w, m := h.sent[i].worker, h.sent[i].handoff
		if m.envelope {
			h.msg = wire.Message{Kind: wire.HandleAck, Seq: -1, Ack: -1}
			h.t.step(event{kind: evMessage, now: h.now, worker: w.id, msg: &h.msg})
		}
		h.msg = wire.Message{Kind: wire.Answer, Ack: m.seq, Accepted: true}
		h.t.step(event{kind: evMessage, now: h.now, worker: w.id, msg: &h.msg})
	}
}

// BenchmarkStepHandoff is the table's share of one connection.
func BenchmarkStepHandoff(b *testing.B) {
	for _, workers := range []int{2, 256} {
		for _, row := range []struct {
			name  string
			batch int
		}{{"node", 0}, {"batch", 64}} {
			for _, n := range []int{1, 8} {
				b.Run(fmt.Sprintf("%s/workers=%d/conns=%d", row.name, workers, n), func(b *testing.B) {
					h := newHandoffs(b, workers, row.batch)
					h.turn(n)
					b.ReportAllocs()
					for b.Loop() {
						h.turn(n)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/conn")
				})
			}
		}
	}
}

func TestAHandoffAllocatesNothing(t *testing.T) {
	for _, batch := range []int{0, 64} {
		h := newHandoffs(t, 2, batch)
		for range 200 {
			h.turn(8)
		}
		if n := testing.AllocsPerRun(100, func() { h.turn(8) }); n != 0 {
			t.Errorf("batches of %d: eight connections allocate %v times, want 0", batch, n)
		}
	}
}

// exchange is the way of one connection through a table and a channel, as the loop takes
// it: sent with its descriptor, acknowledged and answered by the other end, which is in
// this goroutine. With state it stores what the next master would need.
type exchange struct {
	*handoffs
	ours, theirs int
	fd           int // the connection
	buf, out     []byte
	fds          []int
	plain        []byte // what was read, without state
	svc          *state.Service
	state        *state.Worker
	counts       state.Counters
}

func newExchange(tb testing.TB) *exchange {
	x := &exchange{handoffs: newHandoffs(tb, 1, 0), buf: make([]byte, 4096), plain: make([]byte, 0, 4096)}
	var err error
	var other int
	if x.ours, x.theirs, err = sys.Socketpair(); err == nil {
		x.fd, other, err = sys.Socketpair()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		for _, fd := range []int{x.ours, x.theirs, x.fd, other} {
			sys.Close(fd)
		}
	})
	return x
}

// keep has x store what it does.
func (x *exchange) keep(tb testing.TB) *exchange {
	var err error
	if x.svc, err = state.NewService(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(x.svc.Close)
	if x.state, err = state.NewWorker(1<<20, 8); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(x.state.Close)
	return x
}

func (x *exchange) count() {
	c := x.t.count
	now := state.Counters{Accepted: x.t.lastConn, HandedOver: c.HandedOver, Redistributed: c.Redistributed,
		Ambiguous: c.Ambiguous, ClosedUndelivered: c.ClosedUndelivered}
	if x.svc != nil && now != x.counts {
		x.counts = now
		x.svc.Count(now)
	}
}

func (x *exchange) one(tb testing.TB) {
	x.now = x.now.add(time.Microsecond)
	x.t.step(event{kind: evAccepted, now: x.now, listener: x.l, fd: x.fd})
	x.count()
	h := x.t.flush()[0].handoff
	x.out = wire.AppendNewConn(x.out[:0], h.seat.key.quoted, h.seq)
	x.fds = append(x.fds[:0], x.fd)
	if x.state != nil {
		x.state.Reserve(h.seq)
		x.state.Intend(h.seq, 1)
	}
	if n, err := sys.Send(x.ours, x.out, x.fds); n != len(x.out) || err != nil {
		tb.Fatalf("%d bytes sent, %v", n, err)
	}
	x.answer(tb, h.seq)
	x.read(tb)
}

// answer is the worker's part.
func (x *exchange) answer(tb testing.TB, seq int64) {
	n, fds, _, err := sys.Recv(x.theirs, x.buf, x.fds[:0])
	if n == 0 || err != nil || len(fds) != 1 {
		tb.Fatalf("%d bytes read with %d descriptors, %v", n, len(fds), err)
	}
	sys.Release(fds[0])
	x.out = append(x.out[:0], wire.HandleAckLine...)
	x.out = wire.AppendAnswer(x.out, 5, seq, true, nil)
	if n, err := sys.Send(x.theirs, x.out, nil); n != len(x.out) || err != nil {
		tb.Fatalf("%d bytes sent, %v", n, err)
	}
}

func (x *exchange) read(tb testing.TB) {
	space := x.plain[:cap(x.plain)]
	if x.state != nil {
		space = x.state.Lines.Space()
	}
	n, _, _, err := sys.Recv(x.ours, space, x.fds[:0])
	if n == 0 || err != nil {
		tb.Fatalf("%d bytes read, %v", n, err)
	}
	if x.state == nil {
		for line := range bytes.Lines(space[:n]) {
			x.hear(tb, line[:len(line)-1])
		}
		return
	}
	x.state.Lines.Add(n)
	for line, err := x.state.Lines.Next(); line != nil; line, err = x.state.Lines.Next() {
		if err != nil {
			tb.Fatal(err)
		}
		x.hear(tb, line)
		if x.count(); x.msg.Kind == wire.Answer {
			x.state.Count(x.t.count.HandedOver)
			x.state.Settle(x.msg.Ack)
		}
		x.state.Lines.Done()
	}
}

func (x *exchange) hear(tb testing.TB, line []byte) {
	if err := wire.Parse(line, &x.msg); err != nil {
		tb.Fatal(err)
	}
	x.t.step(event{kind: evMessage, now: x.now, worker: 1, msg: &x.msg})
}

// BenchmarkHandoffThatIsKept is what survival costs a connection: the same handoff with
// the state of the next master and without, in turns.
func BenchmarkHandoffThatIsKept(b *testing.B) {
	plain, kept := newExchange(b), newExchange(b).keep(b)
	var took [2]time.Duration
	for b.Loop() {
		for i, x := range []*exchange{plain, kept} {
			began := time.Now()
			for range 16 {
				x.one(b)
			}
			took[i] += time.Since(began)
		}
	}
	b.ReportMetric(float64(took[0].Nanoseconds())/float64(16*b.N), "plain-ns/conn")
	b.ReportMetric(float64(took[1].Nanoseconds())/float64(16*b.N), "kept-ns/conn")
	b.ReportMetric(float64(took[1])/float64(took[0]), "kept/plain")
}

// BenchmarkSave is what an event costs that changes the record of the whole: a worker
// that becomes ready or dies, a step of a reload, a deadline.
func BenchmarkSave(b *testing.B) {
	for _, workers := range []int{2, 64, 256} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			h := newHandoffs(b, workers, 64)
			svc, err := state.NewService()
			if err != nil {
				b.Fatal(err)
			}
			defer svc.Close()
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				h.t.slots[0].restarts++
				text := encode(h.t.record())
				size = len(text)
				if err := svc.Save(text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size), "record-B")
		})
	}
}

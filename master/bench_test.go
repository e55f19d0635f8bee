package master

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

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

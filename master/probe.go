package master

import (
	"maps"
	"slices"
	"time"

	"github.com/rondokit/rondo/internal/wire"
)

// probeEvery is how soon a probe is sent again that could not be, or that the worker
// could not take.
const probeEvery = 50 * time.Millisecond

// probe asks w, which gets nothing new until it has answered, to refuse a connection
// that is none. What it answers before that is of the last master's handoffs, and
// when it has answered that, no answer of those is under way: acknowledgements, which
// have no number, are of ours again.
func (t *table) probe(w *worker) {
	w.probing, w.probe, w.probeAt = true, w.nextSeq(), 0
	t.do(effect{kind: effProbe, worker: w, seq: w.probe})
}

// probeAgain sends another one soon: w could not take the last one.
func (t *table) probeAgain(w *worker) {
	if w.probing && w.probeAt == 0 {
		w.probeAt = t.now.add(probeEvery)
		t.arm(w.probeAt)
	}
}

// tickProbe applies the deadlines of a probe.
func (t *table) tickProbe(w *worker) {
	if !w.probing || w.ended || w.broken {
		return
	}
	if w.probeAt != 0 && t.now >= w.probeAt {
		t.probe(w)
	}
	t.arm(w.probeAt)
	switch {
	case w.probeBy == 0:
	case t.now < w.probeBy:
		t.arm(w.probeBy)
	default:
		w.probeBy = 0
		t.log.Warn("adopted worker does not answer and gets nothing new until it does", w.attrs("took", w.cfg.AckTimeout)...)
	}
}

// beforeUs applies an answer to a message of the last master, or to a probe.
// It reports false for one to nothing that is known.
func (t *table) beforeUs(w *worker, m *wire.Message) bool {
	if w.probing && m.Ack == w.probe {
		if w.probeBy == 0 {
			t.log.Info("worker answers again", w.attrs()...)
		}
		w.probing, w.probeAt, w.probeBy = false, 0, 0
		// What it has not answered by now, it never got.
		t.orphaned(w)
		return true
	}
	n, ok := w.orphans[m.Ack]
	if ok {
		delete(w.orphans, m.Ack)
		taken := 0
		for _, refused := range marked(m.Refused, n) {
			if m.Accepted && !refused {
				taken++
			}
		}
		t.handedOver(w, taken)
		t.lostBefore(w, n-taken, "it refused them, and they ended with the last master")
	}
	return ok || m.Ack < w.seq
}

// orphaned counts what the last master was about to hand to w and never did.
func (t *table) orphaned(w *worker) {
	t.lostBefore(w, t.settleOrphans(w), "the last master ended before it had handed them over")
}

// diedHolding counts what the last master had handed to w, which never answered: its
// application may have seen them.
func (t *table) diedHolding(w *worker) {
	t.count.Ambiguous += uint64(t.settleOrphans(w))
	w.probing = false
}

// settleOrphans ends the account of w's orphans, and says how many there were.
func (t *table) settleOrphans(w *worker) int {
	n := 0
	for _, seq := range slices.Sorted(maps.Keys(w.orphans)) {
		n += w.orphans[seq]
		t.do(effect{kind: effSettle, worker: w, seq: seq})
	}
	w.orphans = nil
	return n
}

// lostBefore counts connections that ended with the last master.
func (t *table) lostBefore(w *worker, n int, why string) {
	if n == 0 {
		return
	}
	t.count.ClosedUndelivered += uint64(n)
	t.log.Warn("connections lost", w.attrs("held", n, "err", why)...)
}

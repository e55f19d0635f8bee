package master

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/wire"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestNothingThatWorkersDoLosesAConnection drives a table by chance: connections
// come, workers say what they should and what they should not, die at any step, time
// passes, operators reload, scale and stop. What must hold after each step is in
// check_test.go. In the end all behave, and nothing may be left over.
func TestNothingThatWorkersDoLosesAConnection(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDice(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"arrive":    d.arrive,
			"batch":     d.batch,
			"begin":     d.begin,
			"answer":    d.answer,
			"misbehave": d.misbehave,
			"channel":   d.channel,
			"end":       d.end,
			"accepting": d.accepting,
			"pass":      d.pass,
			"operate":   d.operate,
			"stop":      d.stop,
			"crash":     d.crash,
			"leave":     d.leave,
		})
		d.calm(rt)
		d.checkEnd(rt)
		if !d.s.ended {
			d.s.turn(event{kind: evStop})
			d.calm(rt)
			d.checkEnd(rt)
		}
		if !d.s.ended {
			rt.Fatalf("every worker has left, and the end has not come: phase %v, workers %v", d.s.t.phase, d.s.t.workers)
		}
	})
}

// dice chooses what happens on a stage.
type dice struct {
	s     *stage
	cfg   settings.Settings
	wild  bool  // some worker was
	mixed mixed // generations may be, as the log says
}

// mixed is a log that only knows whether one thing was said: that a reload could not
// be taken back in some slot.
type mixed bool

func (m *mixed) Enabled(context.Context, slog.Level) bool { return true }
func (m *mixed) WithAttrs([]slog.Attr) slog.Handler       { return m }
func (m *mixed) WithGroup(string) slog.Handler            { return m }
func (m *mixed) Handle(_ context.Context, r slog.Record) error {
	*m = *m || mixed(strings.Contains(r.Message, "did not start again"))
	return nil
}

func newDice(t *rapid.T) *dice {
	cfg := standard(rapid.IntRange(1, 3).Draw(t, "workers"))
	cfg.Window = rapid.IntRange(1, 4).Draw(t, "window")
	cfg.Surge = rapid.IntRange(1, 2).Draw(t, "surge")
	cfg.MaxDraining = rapid.IntRange(1, 3).Draw(t, "max-draining")
	if rapid.Bool().Draw(t, "ready first") {
		cfg.Ready = settings.ReadyFirst
	}
	d := &dice{cfg: cfg, s: newStage(t, cfg)}
	d.s.batch = rapid.SampledFrom([]int{0, 3}).Draw(t, "batches")
	d.s.t.log, d.s.strict = slog.New(&d.mixed), true
	d.s.queries = []*wire.Query{port(80), port(81)}
	if rapid.Bool().Draw(t, "datagrams") {
		d.s.queries = []*wire.Query{dgram("0.0.0.0", 53), port(80), port(81)}
	}
	if rapid.Bool().Draw(t, "passed") {
		d.s.tcp("web", "[::]:80")
		d.s.tcp("alt", "[::]:81")
		d.s.udp("dns", "0.0.0.0:53")
	}
	d.s.t.stores = rapid.Bool().Draw(t, "stores")
	d.s.turn(event{kind: evStart})
	if rapid.Bool().Draw(t, "quick start") {
		for _, p := range d.s.starting() {
			d.s.opens(p, d.s.batch, d.s.queries...)
		}
	}
	return d
}

// one picks an element, or gives none when there is none.
func one[T any](t *rapid.T, what string, all []T) (picked T, ok bool) {
	if len(all) == 0 {
		return picked, false
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(t, what)], true
}

// who picks a worker whose channel is open.
func (d *dice) who(t *rapid.T) *peer {
	var all []*peer
	for _, id := range slices.Sorted(maps.Keys(d.s.peers)) {
		if p := d.s.peers[id]; !p.closed && !d.s.ended {
			all = append(all, p)
		}
	}
	p, ok := one(t, "worker", all)
	if !ok {
		t.Skip("nobody is there")
	}
	if p.pid == 0 {
		d.s.spawned(p)
	}
	return p
}

func (d *dice) listener(t *rapid.T) *listener {
	var all []*listener
	for _, l := range d.s.t.listeners {
		if !d.s.t.shared(l) {
			all = append(all, l)
		}
	}
	l, ok := one(t, "listener", all)
	if !ok || d.s.ended {
		t.Skip("nobody listens")
	}
	return l
}

func (d *dice) arrive(t *rapid.T) {
	d.s.tb = t
	d.s.arrive(d.listener(t), rapid.IntRange(1, 6).Draw(t, "connections"))
}

// batch accepts and does not send yet: what comes next, comes between the two.
func (d *dice) batch(t *rapid.T) {
	d.s.tb = t
	l := d.listener(t)
	d.s.waiting[l] += rapid.IntRange(1, 6).Draw(t, "connections")
	if l.polled {
		d.s.accept(l)
	}
}

// begin has a worker take its next step towards ready.
func (d *dice) begin(t *rapid.T) {
	d.s.tb = t
	p := d.who(t)
	w := d.s.worker(p)
	if !p.kept && rapid.Bool().Draw(t, "kept") {
		d.s.keeps(p)
		return
	}
	if w.state == wStarting {
		d.s.says(p, wire.Message{Kind: wire.Online, Batch: d.s.batch, Ack: -1})
		return
	}
	for _, q := range d.s.queries {
		k := w.keys[q.Key()]
		if k == nil && rapid.Bool().Draw(t, "takes a socket at once") {
			d.s.asks(p, q)
			return
		}
		if k == nil {
			d.s.says(p, wire.Message{Kind: wire.QueryServer, Query: q, Ack: -1})
			return
		}
		if k.shared && slices.ContainsFunc(p.owed, isShare) {
			d.s.acks(p)
			return
		}
		if !k.listening {
			d.s.says(p, wire.Message{Kind: wire.Listening, Query: q, Ack: -1})
			return
		}
	}
	if w.tickets {
		d.s.says(p, wire.Message{Kind: wire.SocketsClosed, Key: "4:127.0.0.1:0", Seq: -1, Ack: -1})
		return
	}
	d.s.says(p, wire.Message{Kind: wire.Tickets, Ack: -1})
}

func (d *dice) answer(t *rapid.T) {
	d.s.tb = t
	p := d.who(t)
	if len(p.owed) == 0 {
		t.Skip("it owes nothing")
	}
	acked := !slices.ContainsFunc(p.owed, func(m sent) bool { return m.envelope && !m.acked })
	switch n := rapid.IntRange(0, 4).Draw(t, "answer"); {
	case n < 2 && acked:
		t.Skip("it has acknowledged all")
	case n == 0:
		d.s.acks(p)
	case n == 1:
		d.s.nacks(p)
	case n == 2:
		d.s.refuses(p)
	case n == 3:
		d.s.answer(p, true, rapid.SliceOfN(rapid.IntRange(-1, 4), 1, 3).Draw(t, "refused")...)
	default:
		d.s.accepts(p)
	}
}

// misbehave has a worker say what it should not, or not now.
func (d *dice) misbehave(t *rapid.T) {
	d.s.tb = t
	p := d.who(t)
	w := d.s.worker(p)
	p.wild, d.wild = true, true
	for _, fd := range p.given() {
		delete(d.s.taken, fd)
	}
	switch rapid.IntRange(0, 11).Draw(t, "message") {
	case 0:
		d.s.says(p, wire.Message{Kind: wire.HandleAck, Ack: -1})
	case 1:
		d.s.says(p, wire.Message{Kind: wire.HandleNack, Ack: -1})
	case 2:
		d.s.says(p, wire.Message{Kind: wire.Answer, Ack: int64(rapid.IntRange(-1, 30).Draw(t, "ack")), Accepted: rapid.Bool().Draw(t, "accepted"),
			Refused: rapid.SliceOfN(rapid.IntRange(-2, 9), 0, 3).Draw(t, "refused")})
	case 3:
		if name, ok := one(t, "key", slices.Sorted(maps.Keys(w.keys))); ok {
			d.s.says(p, wire.Message{Kind: wire.Close, Key: name, Ack: -1})
		}
	case 4:
		d.s.says(p, wire.Message{Kind: wire.Close, Key: "nothing", Ack: -1})
	case 5:
		q := *d.s.queries[0]
		q.Port, q.Index = rapid.IntRange(0, 82).Draw(t, "port"), rapid.IntRange(0, 2).Draw(t, "index")
		p.keys = nil // Node would die of a key that it has; this one does not
		d.s.asks(p, &q)
		if d.cfg.Ready == settings.ReadyFirst { // else its successors would have to do the same
			d.s.says(p, wire.Message{Kind: wire.Listening, Query: &q, Ack: -1})
		}
	case 6:
		d.s.says(p, wire.Message{Kind: wire.Exited, Ack: -1})
	case 7:
		d.s.says(p, wire.Message{Kind: wire.Online, Batch: rapid.IntRange(0, 5).Draw(t, "batch"), Ack: -1})
	case 8:
		d.s.says(p, wire.Message{Kind: wire.User, Body: []byte(`"ready"`), Ack: -1})
	case 9:
		d.s.turn(event{kind: evGarbage, worker: p.id, err: errors.New("garbage")})
	case 10:
		d.s.says(p, wire.Message{Kind: wire.Kind(rapid.SampledFrom([]int{int(wire.Unknown), int(wire.Bun), int(wire.NewConn), int(wire.NewConns), int(wire.Disconnect)}).Draw(t, "kind")), Ack: -1})
	case 11:
		d.s.says(p, wire.Message{Kind: wire.Answer, Envelope: true, Ack: 1, Accepted: true})
	}
}

// channel changes what a worker's channel takes.
func (d *dice) channel(t *rapid.T) {
	d.s.tb = t
	p := d.who(t)
	switch rapid.IntRange(0, 4).Draw(t, "channel") {
	case 0:
		p.full = true
	case 1:
		p.err = unix.ETOOMANYREFS
	case 2:
		p.err = unix.EPIPE
	case 3:
		p.dead = true
	default:
		p.reads(d.s)
	}
}

// reads has p take again what is written to it.
func (p *peer) reads(s *stage) {
	s.tb.Helper()
	p.full = false
	for _, b := range p.lines {
		s.line(p, b)
	}
	if p.lines != nil && !p.dead {
		p.lines, s.mem.workers[p.id].unsent = nil, false
	}
	if p.err != unix.EPIPE {
		p.err = nil
	}
	if w := s.worker(p); w.blocked && !w.broken && !p.dead {
		s.turn(event{kind: evWritable, worker: p.id})
		s.polled()
	}
}

func (d *dice) end(t *rapid.T) {
	d.s.tb = t
	p := d.who(t)
	if rapid.Bool().Draw(t, "only its channel") {
		d.s.ends(p)
	} else {
		d.s.dies(p)
	}
}

func (d *dice) accepting(t *rapid.T) {
	d.s.tb = t
	l := d.listener(t)
	if d.s.acceptErr[l] == nil {
		d.s.acceptErr[l] = unix.EMFILE
	} else {
		delete(d.s.acceptErr, l)
	}
}

func (d *dice) pass(t *rapid.T) {
	d.s.tb = t
	d.s.pass(rapid.SampledFrom([]time.Duration{time.Millisecond, 20 * time.Millisecond, 250 * time.Millisecond,
		time.Second, 5 * time.Second, 30 * time.Second, time.Minute}).Draw(t, "time"))
}

func (d *dice) operate(t *rapid.T) {
	d.s.tb = t
	if d.s.ended {
		return
	}
	switch rapid.IntRange(0, 3).Draw(t, "command") {
	case 0:
		if d.s.t.reload != nil { // the loop refuses it
			return
		}
		cfg := d.cfg
		cfg.Workers = rapid.IntRange(1, 3).Draw(t, "workers")
		d.s.turn(event{kind: evReload, cfg: &cfg})
	case 1:
		if d.s.t.scaling { // likewise
			return
		}
		d.s.turn(event{kind: evScale, n: rapid.IntRange(1, 4).Draw(t, "workers")})
	case 2:
		d.s.turn(event{kind: evDrainWorker, worker: d.who(t).id})
	case 3:
		d.s.turn(event{kind: evKillWorker, worker: d.who(t).id})
	}
	d.s.polled()
}

func (d *dice) stop(t *rapid.T) {
	d.s.tb = t
	switch n := rapid.IntRange(0, 30).Draw(t, "stop"); {
	case d.s.ended || n > 1:
	case n == 0:
		d.s.turn(event{kind: evStopNow})
	default:
		d.s.turn(event{kind: evStop})
	}
	d.s.polled()
}

// calm has those who misbehaved die, and all others do what they should, until
// nothing is left to do.
func (d *dice) calm(t *rapid.T) {
	s := d.s
	s.tb = t
	clear(s.acceptErr)
	if !s.ended {
		s.acceptAll() // of batch
	}
	all := rapid.Bool().Draw(t, "all die")
	for _, id := range slices.Sorted(maps.Keys(s.peers)) {
		if p := s.peers[id]; p != nil && !s.ended {
			p.reads(s)
			if all || p.wild || p.dead || p.closed || p.err != nil {
				s.dies(p)
			}
		}
	}
	s.calm()
}

// checkEnd fails the test unless each connection has found its end, and one whole
// generation serves.
func (d *dice) checkEnd(t *rapid.T) {
	d.s.tb = t
	if !d.mixed {
		d.s.checkGeneration()
	}
	if !d.wild {
		d.s.checkDelivered()
	}
	d.s.checkEnd()
}

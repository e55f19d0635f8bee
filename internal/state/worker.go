package state

import "math/bits"

// workerRoom bounds the record of a worker: some hundred listeners with long paths.
const workerRoom = 256 << 10

// A Worker is the state of one worker's channel.
type Worker struct {
	Lines *Lines

	m       *memory
	l       layout
	rec     record
	reserve int64
}

// An Intent is a handoff that was about to be sent, or was sent, and is not answered.
type Intent struct {
	Seq int64
	N   int // connections
}

const (
	wordSeq = iota
	wordUnsent
	wordTold
	wordHanded
	wordRights
	wordConsumed
	wordDropping
)

// NewWorker gives an empty one, for lines of at most limit bytes and for at most
// handoffs unanswered ones.
func NewWorker(limit, handoffs int) (*Worker, error) {
	limit = max(limit, linesMin)
	l := layout{kind: kindWorker, record: workerRoom, intents: 1 << bits.Len(uint(2*handoffs)), lines: 2*limit + linesMin, limits: limit}
	m, err := create("rondo-worker", l)
	if err != nil {
		return nil, err
	}
	return newWorker(m, l), nil
}

// OpenWorker gives the one that fd is of, and takes fd when there is no error.
func OpenWorker(fd int) (*Worker, error) {
	m, l, err := open(fd, kindWorker)
	if err != nil {
		return nil, err
	}
	if l.intents&(l.intents-1) != 0 || l.intents == 0 || l.lines < 2*l.limits {
		m.close()
		return nil, damaged("its parts do not fit")
	}
	w := newWorker(m, l)
	if w.reserve < 0 || w.reserve > maxSeq {
		m.close()
		return nil, damaged("its numbers are none")
	}
	if err := w.Lines.recover(); err != nil {
		m.close()
		return nil, err
	}
	return w, nil
}

// maxSeq is far below the largest number that a Node worker can tell from the next.
const maxSeq = 1 << 52

func newWorker(m *memory, l layout) *Worker {
	w := &Worker{m: m, l: l, rec: record{m: m, at: l.recordAt(), room: l.record}}
	w.reserve = int64(m.load(word(wordSeq)))
	w.Lines = &Lines{m: m, base: l.linesAt(), size: l.lines, limit: l.limits}
	return w
}

// FD is borrowed; -1 where no descriptor can keep the state.
func (w *Worker) FD() int { return w.m.fd }

// Close forgets the state, unless somebody else has its descriptor.
func (w *Worker) Close() { w.m.close() }

// Save replaces the record. ErrTooLong leaves the one before.
func (w *Worker) Save(text []byte) error { return w.rec.save(text) }

// Load gives the record; nothing, when none was saved.
func (w *Worker) Load() ([]byte, error) { return w.rec.load() }

// reserveAhead is how many numbers are reserved with one store.
const reserveAhead = 4096

// Reserve says that numbers up to seq are about to be used for what is sent.
func (w *Worker) Reserve(seq int64) {
	if seq >= w.reserve {
		w.reserve = seq + reserveAhead
		w.m.store(word(wordSeq), uint64(w.reserve))
	}
}

// Seq is a number that was never used, nor any above it.
func (w *Worker) Seq() int64 { return w.reserve }

// Intend says that a handoff of n connections is about to be sent. One that finds
// no room is not kept; its answer is then one of nothing known.
func (w *Worker) Intend(seq int64, n int) {
	for i := range w.l.intents {
		at := w.intentAt(seq + int64(i))
		if w.m.load(at) == 0 {
			w.m.store(at+8, counted(seq, n))
			w.m.store(at, uint64(seq)+1)
			return
		}
	}
}

// Settle says that it was answered, or could not be sent.
func (w *Worker) Settle(seq int64) {
	for i := range w.l.intents {
		at := w.intentAt(seq + int64(i))
		if w.m.load(at) == uint64(seq)+1 {
			w.m.store(at, 0)
			return
		}
	}
}

func (w *Worker) intentAt(i int64) int { return w.l.intentsAt() + 16*int(i&int64(w.l.intents-1)) }

// Intents are those not settled, in no order. What cannot be meant is left out.
func (w *Worker) Intents() []Intent {
	var all []Intent
	for i := range w.l.intents {
		at := w.intentAt(int64(i))
		seq, count := int64(w.m.load(at))-1, w.m.load(at+8)
		if n := int(count >> 32); seq >= 0 && seq < w.reserve && count == counted(seq, n) {
			all = append(all, Intent{Seq: seq, N: n})
		}
	}
	return all
}

// counted is n and a hash of the intent: a word of chance is none.
func counted(seq int64, n int) uint64 {
	return uint64(n)<<32 | (uint64(seq)<<16^uint64(n)^1)*0x9e3779b97f4a7c15>>32
}

// SetUnsent says whether lines wait that the channel did not take: they are lost
// with this process.
func (w *Worker) SetUnsent(yes bool) { w.m.store(word(wordUnsent), flag(yes)) }

// Unsent tells whether lines were lost so.
func (w *Worker) Unsent() bool { return w.m.load(word(wordUnsent)) != 0 }

// SetTold says that the worker was told to leave.
func (w *Worker) SetTold() { w.m.store(word(wordTold), 1) }

// Told tells whether it was.
func (w *Worker) Told() bool { return w.m.load(word(wordTold)) != 0 }

// Count keeps how many connections the worker has taken.
func (w *Worker) Count(handed uint64) { w.m.store(word(wordHanded), handed) }

// Counted gives it.
func (w *Worker) Counted() uint64 { return w.m.load(word(wordHanded)) }

// SetRights keeps how many descriptors came that belong to a line not yet done.
func (w *Worker) SetRights(n int) { w.m.store(word(wordRights), uint64(n)) }

// Rights gives it.
func (w *Worker) Rights() int { return int(min(w.m.load(word(wordRights)), 1<<16)) }

func flag(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

package state

import (
	"bytes"

	"github.com/rondokit/rondo/internal/wire"
)

const (
	linesMin  = 8 << 10  // the least that a line may have
	keepLines = 64 << 10 // memory that stays taken
)

// Lines splits what a channel brings into lines, in memory that the next process
// finds as it was: all that was read and not yet Done.
//
//	n, err := read(l.Space())
//	l.Add(n)
//	for line, err := l.Next(); line != nil || err != nil; line, err = l.Next() { ...; l.Done() }
//
// What is held begins at start and ends at the first zero byte: so nothing needs to
// be stored when bytes come, and those that came just before the end are found. All
// after the end is zero, and below start, too, but while it is being cleared.
type Lines struct {
	m          *memory
	base, size int
	limit      int

	start, end int // start is also stored
	scanned    int // of the bytes held, those known to have no newline
	line       int // bytes of the line that Next gave, with its newline
	high       int // the most that end was since the memory was given back
	dropping   *wire.TooLongError
}

// recover finds what was held when the process ended, and clears the rest.
func (l *Lines) recover() error {
	start := l.m.load(word(wordConsumed))
	if start > uint64(l.size) {
		return damaged("its lines begin after their end")
	}
	l.start = int(start)
	l.end = l.size
	if n := bytes.IndexByte(l.bytes(l.start, l.size), 0); n >= 0 {
		l.end = l.start + n
	}
	l.m.release(l.base, l.start)
	l.m.release(l.base+l.end, l.size-l.end)
	l.high = l.end
	switch l.m.load(word(wordDropping)) {
	case 1:
		l.dropping = &wire.TooLongError{Limit: l.limit}
	case 2:
		l.dropping = &wire.TooLongError{Limit: l.limit, Envelope: true}
	}
	return nil
}

func (l *Lines) bytes(from, to int) []byte { return l.m.mem[l.base+from : l.base+to : l.base+to] }

// Space gives the room to read into, never empty.
func (l *Lines) Space() []byte {
	held := l.end - l.start
	switch {
	case held == 0 && l.start > 0:
		l.high = max(l.high, l.end)
		l.consume(0)
		l.end, l.scanned = 0, 0
		if l.high > keepLines {
			l.m.release(l.base+keepLines, l.high-keepLines)
			l.high = 0
		}
	case l.start >= linesMin && held < l.start:
		// A copy and its original apart, so that either is whole; and a zero between.
		l.m.write(l.base, l.bytes(l.start, l.end))
		from, to := l.start, l.end
		l.high = max(l.high, to)
		l.consume(0)
		l.end = held
		l.m.zero(l.base+from, to-from)
	}
	return l.bytes(l.end, l.size)
}

func (l *Lines) consume(to int) {
	l.start = to
	l.m.store(word(wordConsumed), uint64(to))
}

// Add says that n bytes were read into Space.
func (l *Lines) Add(n int) { l.end += n }

// Pending tells whether part of a line is held.
func (l *Lines) Pending() bool { return l.end > l.start || l.dropping != nil }

// Dropping tells whether a line that is too long goes on: its rest is dropped as it comes.
func (l *Lines) Dropping() bool { return l.dropping != nil }

// Next gives the next whole line without its newline, or nil when more must be
// read. A *wire.TooLongError stands for one dropped line. Done must come before
// Next is called again.
func (l *Lines) Next() ([]byte, error) {
	held := l.bytes(l.start, l.end)
	i := bytes.IndexByte(held[l.scanned:], '\n')
	if i < 0 {
		l.scanned = len(held)
		if l.dropping != nil || len(held) > l.limit {
			l.drop(held)
		}
		return nil, nil
	}
	i += l.scanned
	l.scanned, l.line = 0, i+1
	if err := l.dropping; err != nil {
		return nil, err
	}
	return held[:i:i], nil
}

// Done says that what followed from the line is done: it is not given again. The
// process that is killed just before gives it again to the next one.
func (l *Lines) Done() {
	if l.dropping != nil {
		l.dropping = nil
		l.m.store(word(wordDropping), 0)
	}
	l.discard(l.line)
	l.line = 0
}

func (l *Lines) discard(n int) {
	from := l.start
	l.consume(from + n)
	l.m.zero(l.base+from, n)
}

// drop forgets what is held of a line that is too long.
func (l *Lines) drop(held []byte) {
	if l.dropping == nil {
		l.dropping = &wire.TooLongError{Limit: l.limit, Envelope: bytes.HasPrefix(held, []byte(`{"cmd":"NODE_HANDLE",`))}
		l.m.store(word(wordDropping), 1+flag(l.dropping.Envelope))
	}
	l.discard(len(held))
	l.scanned = 0
}

package wire

import (
	"bytes"
	"fmt"
)

// A TooLongError is a line that was longer than the Reader holds. It was dropped.
type TooLongError struct {
	Limit    int
	Envelope bool // it began like a NODE_HANDLE envelope: the sender waits for an answer
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("wire: line of more than %d bytes dropped", e.Limit)
}

const readerMin = 8 << 10

// A Reader splits what is read into lines. Its memory grows with the longest
// unfinished line, up to a limit, and shrinks when that line is done.
//
//	n, err := read(r.Space())
//	r.Add(n)
//	for line, err := r.Next(); line != nil || err != nil; line, err = r.Next() { ... }
type Reader struct {
	buf        []byte
	start, end int // unread bytes
	scanned    int // of them, bytes known to hold no newline
	limit      int
	dropping   *TooLongError // the rest of this line is being dropped
}

// NewReader gives a Reader that holds lines of at most limit bytes.
func NewReader(limit int) *Reader {
	return &Reader{buf: make([]byte, readerMin), limit: max(limit, readerMin)}
}

// Space gives the room to read into, never empty.
func (r *Reader) Space() []byte {
	if r.start == r.end {
		if len(r.buf) > readerMin {
			r.buf = make([]byte, readerMin)
		}
		r.start, r.end, r.scanned = 0, 0, 0
	}
	if r.end < len(r.buf) {
		return r.buf[r.end:]
	}
	held := r.buf[r.start:r.end]
	switch {
	case r.start > 0:
		copy(r.buf, held)
	default: // full of one unfinished line; Next has seen to the limit
		grown := make([]byte, min(2*len(r.buf), r.limit+1))
		copy(grown, held)
		r.buf = grown
	}
	r.start, r.end = 0, len(held)
	return r.buf[r.end:]
}

// Add says that n bytes were read into Space.
func (r *Reader) Add(n int) { r.end += n }

// Pending tells whether part of a line is held.
func (r *Reader) Pending() bool { return r.end > r.start || r.dropping != nil }

// Dropping tells whether a line that is too long goes on: its rest is dropped as it comes.
func (r *Reader) Dropping() bool { return r.dropping != nil }

// Next gives the next whole line without its newline, or nil when more must be
// read. A *TooLongError stands for one dropped line; Next may be called again.
func (r *Reader) Next() ([]byte, error) {
	held := r.buf[r.start:r.end]
	i := bytes.IndexByte(held[r.scanned:], '\n')
	if i < 0 {
		r.scanned = len(held)
		if r.dropping != nil || len(held) > r.limit {
			r.drop(held)
		}
		return nil, nil
	}
	i += r.scanned
	r.start, r.scanned = r.start+i+1, 0
	if err := r.dropping; err != nil {
		r.dropping = nil
		return nil, err
	}
	return held[:i:i], nil
}

// drop forgets what is held of a line that is too long.
func (r *Reader) drop(held []byte) {
	if r.dropping == nil {
		r.dropping = &TooLongError{Limit: r.limit, Envelope: bytes.HasPrefix(held, []byte(`{"cmd":"NODE_HANDLE",`))}
	}
	r.start, r.end, r.scanned = 0, 0, 0
}

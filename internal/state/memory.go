package state

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"unsafe"

	"github.com/rondokit/rondo/internal/sys"
)

// memory is shared memory, of package sys. All stores go through its methods.
type memory struct {
	fd     int
	mem    []byte
	stored func() // called after each store; a test's
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The header, at the begin of each memory.
const (
	magic        = "rondo st"
	offFormat    = 8
	offKind      = 12
	offSize      = 16
	offRecord    = 24 // bytes in a slot of the record
	offIntents   = 32 // number of intents
	offLines     = 40 // bytes for lines
	offLimit     = 48 // of the longest line
	offHeaderSum = 56
	headerSize   = 64
)

const page = 4096

// layout is what a header says.
type layout struct {
	kind                           uint32
	record, intents, lines, limits int
}

const (
	kindService = 1
	kindWorker  = 2
)

// The hot words follow the header, and fill its page.
func word(i int) int { return headerSize + 8*i }

func (l layout) intentsAt() int { return page }
func (l layout) recordAt() int  { return up(l.intentsAt() + 16*l.intents) }
func (l layout) linesAt() int   { return up(l.recordAt() + recordHead + 2*(slotHead+l.record)) }
func (l layout) size() int      { return up(l.linesAt() + l.lines) }

func up(n int) int { return (n + page - 1) / page * page }

// create gives zeroed memory of that layout.
func create(name string, l layout) (*memory, error) {
	fd, mem, err := sys.Shared(name, l.size())
	if err != nil {
		return nil, err
	}
	m := &memory{fd: fd, mem: mem}
	copy(mem, magic)
	b := binary.LittleEndian
	b.PutUint32(mem[offFormat:], Format())
	b.PutUint32(mem[offKind:], l.kind)
	b.PutUint64(mem[offSize:], uint64(l.size()))
	b.PutUint64(mem[offRecord:], uint64(l.record))
	b.PutUint64(mem[offIntents:], uint64(l.intents))
	b.PutUint64(mem[offLines:], uint64(l.lines))
	b.PutUint64(mem[offLimit:], uint64(l.limits))
	b.PutUint32(mem[offHeaderSum:], crc32.Checksum(mem[:offHeaderSum], castagnoli))
	return m, nil
}

// open maps fd, which it takes when there is no error.
func open(fd int, kind uint32) (*memory, layout, error) {
	mem, err := sys.MapShared(fd)
	if err != nil {
		return nil, layout{}, err
	}
	l, err := check(mem, kind)
	if err != nil {
		sys.Unmap(mem)
		return nil, layout{}, err
	}
	return &memory{fd: fd, mem: mem}, l, nil
}

// check reads a header. The format comes first: another one may mean anything.
func check(mem []byte, kind uint32) (layout, error) {
	b := binary.LittleEndian
	if len(mem) < page || string(mem[:len(magic)]) != magic {
		return layout{}, damaged("it does not begin as a state does")
	}
	if f := b.Uint32(mem[offFormat:]); f != Format() {
		return layout{}, &FormatError{f}
	}
	if crc32.Checksum(mem[:offHeaderSum], castagnoli) != b.Uint32(mem[offHeaderSum:]) {
		return layout{}, damaged("its header does not match its checksum")
	}
	l := layout{
		kind: b.Uint32(mem[offKind:]), record: int(b.Uint64(mem[offRecord:])),
		intents: int(b.Uint64(mem[offIntents:])), lines: int(b.Uint64(mem[offLines:])), limits: int(b.Uint64(mem[offLimit:])),
	}
	if l.kind != kind {
		return layout{}, damaged(fmt.Sprintf("it is of kind %d, not %d", l.kind, kind))
	}
	if l.size() != len(mem) {
		return layout{}, damaged(fmt.Sprintf("it has %d bytes, not %d", len(mem), l.size()))
	}
	return l, nil
}

func (m *memory) close() {
	sys.Unmap(m.mem)
	sys.Close(m.fd)
	m.mem = nil
}

func (m *memory) at(off int) *uint64 { return (*uint64)(unsafe.Pointer(&m.mem[off])) }

func (m *memory) load(off int) uint64 { return atomic.LoadUint64(m.at(off)) }

// store publishes v, and with it all that was stored before.
func (m *memory) store(off int, v uint64) {
	atomic.StoreUint64(m.at(off), v)
	if m.stored != nil {
		m.stored()
	}
}

// write copies b, in an order that does not matter: nothing reads it before a store.
func (m *memory) write(off int, b []byte) {
	if m.stored == nil {
		copy(m.mem[off:], b)
		return
	}
	for i := range b {
		m.mem[off+i] = b[i]
		m.stored()
	}
}

// zero clears n bytes.
func (m *memory) zero(off, n int) {
	if m.stored == nil {
		clear(m.mem[off : off+n])
		return
	}
	for i := range n {
		m.mem[off+i] = 0
		m.stored()
	}
}

// release clears n bytes and the memory that they took.
func (m *memory) release(off, n int) {
	if sys.Clear(m.fd, off, n) != nil {
		m.zero(off, n)
	}
}

package state

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A record is text in two slots, of which one is published:
//
//	published   8 bytes: 0 none, else 1 + slot
//	slot        8 number, 4 length, 4 checksum of the three and the text, text
type record struct {
	m    *memory
	at   int
	room int    // for text, in each slot
	seq  uint64 // of the published slot
}

const (
	recordHead = 8
	slotHead   = 16
)

func (r *record) slotAt(i int) int { return r.at + recordHead + i*(slotHead+r.room) }

// save publishes text in place of what was there. A process that is killed in it
// leaves the one or the other.
func (r *record) save(text []byte) error {
	if len(text) > r.room {
		return ErrTooLong
	}
	published := r.m.load(r.at)
	if published > 2 { // which load has said
		published = 0
	}
	if published != 0 && bytes.Equal(r.text(int(published)-1), text) {
		return nil
	}
	slot := 0
	if published == 1 {
		slot = 1
	}
	r.seq++
	var head [slotHead]byte
	binary.LittleEndian.PutUint64(head[:], r.seq)
	binary.LittleEndian.PutUint32(head[8:], uint32(len(text)))
	binary.LittleEndian.PutUint32(head[12:], sum(head[:12], text))
	at := r.slotAt(slot)
	r.m.write(at, head[:])
	r.m.write(at+slotHead, text)
	r.m.store(r.at, uint64(slot)+1)
	return nil
}

func sum(head, text []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, text)
}

// text is what a slot holds, unchecked but for its bounds.
func (r *record) text(slot int) []byte {
	at := r.slotAt(slot)
	n := int(binary.LittleEndian.Uint32(r.m.mem[at+8:]))
	if n > r.room {
		return nil
	}
	return r.m.mem[at+slotHead : at+slotHead+n]
}

// load gives a copy of what was published; nothing, when nothing was.
func (r *record) load() ([]byte, error) {
	published := r.m.load(r.at)
	if published == 0 {
		return nil, nil
	}
	if published > 2 {
		return nil, damaged("the record names a slot that is none")
	}
	at := r.slotAt(int(published) - 1)
	head := r.m.mem[at : at+slotHead]
	text := r.text(int(published) - 1)
	if text == nil || sum(head[:12], text) != binary.LittleEndian.Uint32(head[12:]) {
		return nil, damaged("the record does not match its checksum")
	}
	r.seq = binary.LittleEndian.Uint64(head)
	return bytes.Clone(text), nil
}

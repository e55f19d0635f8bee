package state

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/wire"
)

// small is a worker's state that can be copied at each store.
var small = layout{kind: kindWorker, record: 64, intents: 8, lines: 3 * linesMin, limits: linesMin}

// newSmall gives memory of this process alone.
func newSmall(t testing.TB, l layout) *memory {
	t.Helper()
	m, err := create("test", l)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	return killed(m)
}

// killed is the memory that a process leaves which is killed now.
func killed(m *memory) *memory { return &memory{fd: -1, mem: bytes.Clone(m.mem)} }

// reopen opens it as the next process does.
func reopen(t testing.TB, m *memory) *Worker {
	t.Helper()
	l, err := check(m.mem, kindWorker)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(m, l)
	if err := w.Lines.recover(); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestARecordIsTheOldOneOrTheNewOneAtEachStore(t *testing.T) {
	m := newSmall(t, small)
	w := newWorker(m, small)
	texts := []string{"", "first", "second, longer", "3", "", strings.Repeat("x", small.record), "last"}
	stores := 0
	for i, text := range texts[1:] {
		old := texts[i]
		m.stored = func() {
			stores++
			got, err := reopen(t, killed(m)).Load()
			if err != nil || string(got) != old && string(got) != text {
				t.Fatalf("store %d, %q after %q: Load = %q, %v", stores, text, old, got, err)
			}
		}
		if err := w.Save([]byte(text)); err != nil {
			t.Fatal(err)
		}
		m.stored = nil
		if got, err := reopen(t, killed(m)).Load(); err != nil || string(got) != text {
			t.Fatalf("after Save(%q): Load = %q, %v", text, got, err)
		}
	}
	if err := w.Save(make([]byte, small.record+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("Save of too much = %v, want ErrTooLong", err)
	}
	if got, err := w.Load(); err != nil || string(got) != "last" {
		t.Errorf("Load = %q, %v, want what was saved before", got, err)
	}
	if stores < 100 {
		t.Errorf("%d stores seen, want each byte", stores)
	}
}

func TestAFlippedByteOfARecordIsNeverRead(t *testing.T) {
	m := newSmall(t, small)
	w := newWorker(m, small)
	for _, text := range []string{"one", "two"} {
		if err := w.Save([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	from := small.recordAt()
	for at := range recordHead + 2*(slotHead+small.record) {
		for bit := range 8 {
			broken := killed(m)
			broken.mem[from+at] ^= 1 << bit
			if got, err := reopen(t, broken).Load(); err == nil && got != nil && string(got) != "two" && string(got) != "one" {
				t.Fatalf("byte %d, bit %d: Load = %q", at, bit, got)
			}
		}
	}
}

func TestAFlippedByteOfAHeaderIsRefused(t *testing.T) {
	m := newSmall(t, small)
	for at := range offHeaderSum + 4 {
		broken := killed(m)
		broken.mem[at] ^= 0x10
		if _, err := check(broken.mem, kindWorker); err == nil {
			t.Errorf("byte %d: no error", at)
		}
	}
	var other *FormatError
	later := killed(m)
	later.mem[offFormat]++
	if _, err := check(later.mem, kindWorker); !errors.As(err, &other) || other.Format != Format()+1 {
		t.Errorf("state of the next format: %v, want a FormatError", err)
	}
	if _, err := check(m.mem, kindService); err == nil {
		t.Error("a worker's state was taken for a service's")
	}
	if _, err := check(m.mem[:len(m.mem)-page], kindWorker); err == nil {
		t.Error("a state that was cut was taken")
	}
}

// TestEachByteThatCameIsALineOnceAtEachStore reads a stream in pieces, kills the
// reader at each store and after each piece that came, and has the next one read on.
func TestEachByteThatCameIsALineOnceAtEachStore(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var lines []string
	for i := range 60 {
		n := rnd.IntN(40)
		if i%9 == 8 {
			n = 2000 + rnd.IntN(linesMin-2100)
		}
		lines = append(lines, fmt.Sprintf("%d:%s", i, strings.Repeat("y", n)))
	}
	stream := []byte(strings.Join(lines, "\n") + "\n")
	m := newSmall(t, small)
	l := newWorker(m, small).Lines
	read, done, stores, kills := 0, 0, 0, 0
	finishing := false
	look := func() {
		if stores++; stores%17 != 0 && len(stream)-read > 4000 { // each store would take minutes; a prime reaches all kinds
			return
		}
		kills++
		got := rest(reopen(t, killed(m)).Lines, stream[read:])
		if !slices.Equal(got, lines[done:]) && !(finishing && slices.Equal(got, lines[done+1:])) {
			t.Fatalf("store %d, line %d done, %d bytes read: the next one reads %.300q, want %.300q", stores, done, read, got, lines[done:])
		}
	}
	m.stored = look
	for read < len(stream) {
		space := l.Space()
		n := copy(space[:min(len(space), 1+rnd.IntN(3000))], stream[read:])
		read += n
		look()
		l.Add(n)
		for line, err := l.Next(); line != nil; line, err = l.Next() {
			if err != nil || string(line) != lines[done] {
				t.Fatalf("line %d = %.80q, %v", done, line, err)
			}
			finishing = true
			l.Done()
			finishing = false
			done++
		}
	}
	if done != len(lines) || kills < 1000 {
		t.Errorf("%d lines of %d, %d kills", done, len(lines), kills)
	}
}

// rest reads what is held, then the rest of a stream.
func rest(l *Lines, stream []byte) []string {
	var got []string
	for {
		for line, err := l.Next(); line != nil || err != nil; line, err = l.Next() {
			if err == nil {
				got = append(got, string(line))
			}
			l.Done()
		}
		if len(stream) == 0 {
			return got
		}
		n := copy(l.Space(), stream)
		l.Add(n)
		stream = stream[n:]
	}
}

func TestALineThatIsTooLongHarmsNoOtherAtEachStore(t *testing.T) {
	before, after := []string{"a", "b"}, []string{"c", "d"}
	long := `{"cmd":"NODE_HANDLE",` + strings.Repeat("z", 3*linesMin)
	stream := []byte(strings.Join(slices.Concat(before, []string{long}, after), "\n") + "\n")
	m := newSmall(t, small)
	l := newWorker(m, small).Lines
	read, stores := 0, 0
	m.stored = func() {
		if stores++; stores%31 != 0 {
			return
		}
		got := rest(reopen(t, killed(m)).Lines, stream[read:])
		if n := len(got); n < 2 && read < len(stream) || n >= 2 && !slices.Equal(got[n-2:], after) {
			t.Fatalf("store %d: the next one reads %.200q, want %q last", stores, got, after)
		}
	}
	var got []string
	for read < len(stream) {
		space := l.Space()
		n := copy(space[:min(len(space), 3000)], stream[read:])
		read += n
		l.Add(n)
		for line, err := l.Next(); line != nil || err != nil; line, err = l.Next() {
			var tooLong *wire.TooLongError
			if errors.As(err, &tooLong) {
				got = append(got, fmt.Sprint("long ", tooLong.Envelope))
			} else {
				got = append(got, string(line))
			}
			l.Done()
		}
	}
	if want := slices.Concat(before, []string{"long true"}, after); !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
}

func TestIntentsAreThoseNotSettledAtEachStore(t *testing.T) {
	m := newSmall(t, small)
	w := newWorker(m, small)
	rnd := rand.New(rand.NewPCG(3, 4))
	want := map[int64]int{}
	doing, n := int64(-1), 0
	m.stored = func() {
		got := map[int64]int{}
		next := reopen(t, killed(m))
		for _, i := range next.Intents() {
			got[i.Seq] = i.N
		}
		for seq, n := range want {
			if got[seq] != n && seq != doing {
				t.Fatalf("intents %v, want %v; changing %d", got, want, doing)
			}
		}
		for seq, m := range got {
			if want[seq] != m && !(seq == doing && m == n) {
				t.Fatalf("intents %v, want %v; changing %d", got, want, doing)
			}
			if seq >= next.Seq() {
				t.Fatalf("intent %d, and the next number is %d", seq, next.Seq())
			}
		}
	}
	for seq := int64(0); seq < 3000; seq += 1 + rnd.Int64N(3) {
		w.Reserve(seq)
		doing, n = seq, 1+rnd.IntN(60)
		w.Intend(seq, n)
		want[seq] = n
		for len(want) > rnd.IntN(small.intents) {
			for doing = range want {
				break
			}
			n = want[doing]
			w.Settle(doing)
			delete(want, doing)
		}
		doing = -1
	}
}

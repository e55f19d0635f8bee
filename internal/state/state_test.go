package state

import (
	"os"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/sys"
	"golang.org/x/sys/unix"
)

// second opens the state that fd is of in another mapping, as the next process does.
func second[T any](t *testing.T, fd int, open func(int) (T, error)) T {
	t.Helper()
	dup, err := sys.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	next, err := open(dup)
	if err != nil {
		sys.Close(dup)
		t.Fatal(err)
	}
	return next
}

func TestTheNextProcessFindsWhatWasKept(t *testing.T) {
	s, err := NewService()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	next := second(t, s.FD(), OpenService)
	defer next.Close()
	if text, err := next.Load(); text != nil || err != nil {
		t.Errorf("Load of nothing = %q, %v", text, err)
	}
	counts := Counters{1, 2, 3, 4, 5}
	s.Count(counts)
	if err := s.Save([]byte("all")); err != nil {
		t.Fatal(err)
	}
	if text, err := next.Load(); string(text) != "all" || err != nil || next.Counters() != counts {
		t.Errorf("Load = %q, %v, counters %+v", text, err, next.Counters())
	}
	if a, b := next.Attempt(), next.Attempt(); a != 1 || b != 2 {
		t.Errorf("attempts %d, %d, want 1, 2", a, b)
	}
	if a := next.Attempts(); a != 2 {
		t.Errorf("%d attempts are told of, want 2", a)
	}
	next.Adopted()
	if a := s.Attempt(); a != 1 {
		t.Errorf("attempt %d after Adopted, want 1", a)
	}
}

func TestAWorkersLinesGoOnInTheNextProcess(t *testing.T) {
	w, err := NewWorker(1<<20, 32)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	long := strings.Repeat("l", 300<<10)
	text := "one\n" + long + "\nhal"
	for len(text) > 0 {
		n := copy(w.Lines.Space(), text)
		w.Lines.Add(n)
		text = text[n:]
	}
	for _, want := range []string{"one", long} {
		if line, err := w.Lines.Next(); string(line) != want || err != nil {
			t.Fatalf("Next = %.40q, %v", line, err)
		}
		w.Lines.Done()
	}
	w.SetUnsent(true)
	w.SetTold()
	w.Count(7)
	w.SetRights(2)
	next := second(t, w.FD(), OpenWorker)
	defer next.Close()
	next.Lines.Add(copy(next.Lines.Space(), "f\n"))
	if line, err := next.Lines.Next(); string(line) != "half" || err != nil {
		t.Errorf("Next = %q, %v, want the half that was held and the half that came", line, err)
	}
	if !next.Unsent() || !next.Told() || next.Counted() != 7 || next.Rights() != 2 {
		t.Errorf("unsent %v, told %v, counted %d, rights %d", next.Unsent(), next.Told(), next.Counted(), next.Rights())
	}
}

func TestWhatIsNoStateIsRefusedAndStaysOpen(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "state")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	fd, err := sys.DupFile(f)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(fd)
	if _, err := OpenService(fd); err == nil {
		t.Error("a file was taken for a state")
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("the descriptor was closed: %v", err)
	}
	empty, mem, err := sys.Shared("test", page)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(empty)
	defer sys.Unmap(mem)
	if _, err := OpenWorker(empty); err == nil {
		t.Error("empty memory was taken for a state")
	}
}

// FuzzOpen gives anything for the state of a worker: it is refused, or read without harm.
func FuzzOpen(f *testing.F) {
	m, err := create("test", small)
	if err != nil {
		f.Fatal(err)
	}
	defer m.close()
	f.Add(uint(headerSize), []byte{1, 2, 3})
	f.Add(uint(word(wordConsumed)), []byte{0xff, 0x1f})
	f.Add(uint(small.recordAt()), []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})
	f.Add(uint(small.recordAt()), []byte{5})
	f.Add(uint(small.intentsAt()), []byte{1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(uint(small.linesAt()), []byte("\x00\x00line\n"))
	f.Fuzz(func(t *testing.T, at uint, b []byte) {
		broken := killed(m)
		at %= uint(len(broken.mem))
		copy(broken.mem[at:], b)
		l, err := check(broken.mem, kindWorker)
		if err != nil {
			return
		}
		w := newWorker(broken, l)
		if w.Lines.recover() != nil {
			return
		}
		w.Load()
		if intents := w.Intents(); len(intents) > 0 {
			t.Errorf("intents of nothing: %+v", intents)
		}
		if err := w.Save([]byte("good")); err != nil {
			t.Error(err)
		}
		if text, err := w.Load(); string(text) != "good" || err != nil {
			t.Errorf("Load of what was saved over it = %q, %v", text, err)
		}
		rest(w.Lines, []byte("more\n"))
	})
}

func BenchmarkHandoff(b *testing.B) {
	w, err := NewWorker(1<<20, 32)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	answer := []byte(`{"cmd":"NODE_HANDLE_ACK"}` + "\n" + `{"cmd":"NODE_CLUSTER","ack":12345,"accepted":true,"seq":678}` + "\n")
	b.ReportAllocs()
	var seq int64
	for b.Loop() {
		w.Reserve(seq)
		w.Intend(seq, 1)
		w.Lines.Add(copy(w.Lines.Space(), answer))
		for line, _ := w.Lines.Next(); line != nil; line, _ = w.Lines.Next() {
			w.Lines.Done()
		}
		w.Settle(seq)
		seq++
	}
}

package wire

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// feed reads stream into r in pieces of the sizes that next gives, and gives what
// Next gave: lines in quotes, dropped lines as their error.
func feed(t testing.TB, r *Reader, stream string, next func() int) []string {
	t.Helper()
	var got []string
	for len(stream) > 0 {
		space := r.Space()
		if len(space) == 0 {
			t.Fatalf("Space gave no room with %d bytes to come", len(stream))
		}
		n := copy(space[:min(max(next(), 1), len(space))], stream)
		r.Add(n)
		stream = stream[n:]
		for {
			line, err := r.Next()
			if line == nil && err == nil {
				break
			}
			var long *TooLongError
			switch {
			case err == nil:
				got = append(got, fmt.Sprintf("%q", line))
			case errors.As(err, &long) && line == nil:
				got = append(got, fmt.Sprintf("too long, envelope %v", long.Envelope))
			default:
				t.Fatalf("Next = %q, %v, want a line or a *TooLongError", line, err)
			}
		}
	}
	return got
}

func always(n int) func() int { return func() int { return n } }

func TestReaderGivesTheSameLinesWhereverReadsSplit(t *testing.T) {
	const stream = "{\"a\":1}\n\nbb\n\"\u2028é\"\n{\"cmd\":\"NODE_HANDLE_ACK\"}\nrest"
	want := []string{`"{\"a\":1}"`, `""`, `"bb"`, `"\"\u2028é\""`, `"{\"cmd\":\"NODE_HANDLE_ACK\"}"`}
	for at := 1; at < len(stream); at++ {
		sizes := []int{at, len(stream)}
		r := NewReader(0)
		got := feed(t, r, stream, func() int {
			n := sizes[0]
			sizes = sizes[min(1, len(sizes)-1):]
			return n
		})
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("split at %d: got %s, want %s", at, got, want)
		}
		if !r.Pending() {
			t.Fatalf("split at %d: Pending() = false with half a line held, want true", at)
		}
	}
	if got := feed(t, NewReader(0), stream, always(1)); !reflect.DeepEqual(got, want) {
		t.Errorf("byte by byte: got %s, want %s", got, want)
	}
}

func TestReaderHoldsALineUpToItsLimitAndDropsALongerOne(t *testing.T) {
	const limit = 100_000
	for _, row := range []struct {
		length int
		want   string
	}{
		{readerMin - 1, ""}, {readerMin, ""}, {readerMin + 1, ""}, {limit - 1, ""}, {limit, ""},
		{limit + 1, "too long, envelope false"}, {limit + 2, "too long, envelope false"}, {3 * limit, "too long, envelope false"},
	} {
		for _, size := range []int{1 << 20, 4096, 1000, 977} {
			long := strings.Repeat("x", row.length)
			if row.want == "" {
				row.want = fmt.Sprintf("%q", long)
			}
			got := feed(t, NewReader(limit), "before\n"+long+"\nafter\n", always(size))
			if want := []string{`"before"`, row.want, `"after"`}; !reflect.DeepEqual(got, want) {
				t.Errorf("line of %d bytes, reads of %d, limit %d: got %.50s, want %.50s", row.length, size, limit, got, want)
			}
		}
	}
}

func TestReaderSaysWhetherADroppedLineWantsAnAnswer(t *testing.T) {
	long := strings.Repeat("x", 2*readerMin)
	for _, row := range []struct{ line, want string }{
		{`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":"` + long, "too long, envelope true"},
		{`{"cmd":"NODE_HANDLE_ACK","x":"` + long, "too long, envelope false"},
		{`{"x":"` + long, "too long, envelope false"},
	} {
		got := feed(t, NewReader(readerMin), row.line+"\n{}\n", always(100))
		if want := []string{row.want, `"{}"`}; !reflect.DeepEqual(got, want) {
			t.Errorf("%.40s...: got %s, want %s", row.line, got, want)
		}
	}
}

func TestReaderMemoryIsBoundedByItsLimitAndShrinks(t *testing.T) {
	const limit = 64 << 10
	r := NewReader(limit)
	most := 0
	watch := func() int { most = max(most, len(r.buf)); return 5000 }
	feed(t, r, strings.Repeat("x", 10*limit), watch)
	if most > limit+1 {
		t.Errorf("an endless line made the Reader hold %d bytes, want at most %d", most, limit+1)
	}
	if !r.Pending() {
		t.Error("Pending() = false in the middle of a dropped line, want true")
	}
	feed(t, r, "\n"+strings.Repeat("y", limit)+"\n", watch)
	if most != limit+1 {
		t.Errorf("a line of %d bytes made the Reader hold %d, want %d", limit, most, limit+1)
	}
	if r.Pending() {
		t.Error("Pending() = true after a whole line, want false")
	}
	if got := len(r.Space()); got != readerMin {
		t.Errorf("after a long line Space has %d bytes, want %d", got, readerMin)
	}
}

func TestReaderLooksAtEachByteOnce(t *testing.T) {
	r := NewReader(1 << 20)
	for range 100 {
		n := copy(r.Space(), "no newline ")
		r.Add(n)
		r.Next()
		if got, want := r.scanned, r.end-r.start; got != want {
			t.Fatalf("of %d held bytes %d are known to hold no newline, want all", want, got)
		}
	}
}

func TestReaderAllocatesNothingForShortLines(t *testing.T) {
	r := NewReader(1 << 20)
	line := []byte("{\"cmd\":\"NODE_HANDLE_ACK\"}\n")
	n := testing.AllocsPerRun(1000, func() {
		r.Add(copy(r.Space(), line))
		for l, _ := r.Next(); l != nil; l, _ = r.Next() {
		}
	})
	if n != 0 {
		t.Errorf("a line allocates %v times, want 0", n)
	}
}

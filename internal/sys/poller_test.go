package sys

import (
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newTestPoller(t testing.TB) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func watch(t testing.TB, p *Poller, fd int, tag uint64, want Interest) {
	t.Helper()
	if err := p.Watch(fd, tag, want); err != nil {
		t.Fatalf("Watch(%d, %d, %d) = %v, want nil", fd, tag, want, err)
	}
}

// now gives what is ready without waiting, by tag.
func now(t testing.TB, p *Poller) []Ready {
	t.Helper()
	ready, err := p.Wait(nil, 0)
	if err != nil {
		t.Fatalf("Wait = %v, want nil", err)
	}
	slices.SortFunc(ready, func(a, b Ready) int { return int(a.Tag) - int(b.Tag) })
	return ready
}

func expect(t *testing.T, p *Poller, when string, want ...Ready) {
	t.Helper()
	if got := now(t, p); !slices.Equal(got, want) {
		t.Errorf("%s: ready is %+v, want %+v", when, got, want)
	}
}

func TestAReadyComesEachTimeWhileItLasts(t *testing.T) {
	census(t)
	p := newTestPoller(t)
	a, b := pair(t)
	watch(t, p, a, 1, Read)
	expect(t, p, "nothing to read")
	Send(b, []byte("xy"), nil)
	expect(t, p, "two bytes", Ready{Tag: 1, Read: true})
	unix.Read(a, make([]byte, 1))
	expect(t, p, "one byte", Ready{Tag: 1, Read: true})
	unix.Read(a, make([]byte, 1))
	expect(t, p, "read")
	watch(t, p, a, 1, Read|Write)
	expect(t, p, "room to write", Ready{Tag: 1, Write: true})
	Send(b, []byte("x"), nil)
	expect(t, p, "both", Ready{Tag: 1, Read: true, Write: true})
	watch(t, p, a, 1, Write)
	expect(t, p, "only writing is asked for", Ready{Tag: 1, Write: true})
}

func TestWatchReplacesWhatItWaitedFor(t *testing.T) {
	census(t)
	p := newTestPoller(t)
	a, b := pair(t)
	Send(b, []byte("x"), nil)
	watch(t, p, a, 1, Read)
	watch(t, p, a, 1<<56|2, Read)
	expect(t, p, "another tag", Ready{Tag: 1<<56 | 2, Read: true})
	watch(t, p, a, 3, 0)
	expect(t, p, "nothing is asked for")
	watch(t, p, a, 3, 0)
	watch(t, p, a, 4, Read)
	expect(t, p, "asked for again", Ready{Tag: 4, Read: true})
	watch(t, p, a, 0, 0)
	if err := p.Watch(-1, 1, Read); err != unix.EBADF {
		t.Errorf("Watch(-1) = %v, want %v", err, unix.EBADF)
	}
}

func TestADescriptorNumberCanBeWatchedAgainAfterItWasClosed(t *testing.T) {
	census(t)
	p := newTestPoller(t)
	a, b, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	watch(t, p, a, 1, Read)
	watch(t, p, a, 0, 0)
	Close(a)
	Close(b)
	c, d := pair(t) // the same numbers
	watch(t, p, c, 2, Read)
	Send(d, []byte("x"), nil)
	expect(t, p, "the new one", Ready{Tag: 2, Read: true})
}

func TestAnEndedSocketIsReady(t *testing.T) {
	census(t)
	p := newTestPoller(t)
	a, b, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	defer Close(a)
	watch(t, p, a, 1, Read)
	Close(b)
	if got := now(t, p); len(got) != 1 || !got[0].Read {
		t.Errorf("ready is %+v, want it readable", got)
	}
	watch(t, p, a, 1, Write)
	if got := now(t, p); len(got) != 1 || !got[0].Write {
		t.Errorf("ready is %+v, want it writable", got)
	}
}

func TestWakeEndsAWaitThatHasBegunAndTheNextOne(t *testing.T) {
	census(t)
	p := newTestPoller(t)
	p.Wake()
	p.Wake()
	expect(t, p, "woken before", Ready{Tag: WakeTag, Read: true})
	expect(t, p, "two calls of Wake are one Ready")
	done := make(chan []Ready)
	go func() { // ends when it is woken
		ready, _ := p.Wait(nil, -1)
		done <- ready
	}()
	p.Wake()
	if got, want := <-done, []Ready{{Tag: WakeTag, Read: true}}; !slices.Equal(got, want) {
		t.Errorf("ready is %+v, want %+v", got, want)
	}
}

func TestManyDescriptorsAreServedInTurn(t *testing.T) {
	census(t)
	p := newTestPoller(t)
	const n = 200 // more than one Wait gives
	seen := map[uint64]bool{}
	for i := range n {
		a, b := pair(t)
		Send(b, []byte("x"), nil)
		watch(t, p, a, uint64(i), Read)
	}
	for range n {
		for _, r := range now(t, p) {
			seen[r.Tag] = true
		}
	}
	if len(seen) != n {
		t.Errorf("%d descriptors came up, want %d", len(seen), n)
	}
}

func TestWaitAppends(t *testing.T) {
	census(t)
	p := newTestPoller(t)
	p.Wake()
	got, err := p.Wait([]Ready{{Tag: 9}}, -1)
	if want := []Ready{{Tag: 9}, {Tag: WakeTag, Read: true}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Wait = %+v, %v, want %+v, nil", got, err, want)
	}
}

func TestATimeoutIsRoundedUpAndFitsTheKernel(t *testing.T) {
	for timeout, want := range map[time.Duration]int{
		-1: -1, math.MinInt64: -1, 0: 0, 1: 1, time.Millisecond - 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2,
		time.Hour: 3_600_000, 1000 * time.Hour: math.MaxInt32, math.MaxInt64: math.MaxInt32,
	} {
		if got := milliseconds(timeout); got != want {
			t.Errorf("milliseconds(%v) = %d, want %d", timeout, got, want)
		}
	}
}

func TestWaitingAllocatesNothing(t *testing.T) {
	p := newTestPoller(t)
	a, b := pair(t)
	watch(t, p, a, 1, Read)
	watch(t, p, b, 2, Read)
	Send(b, []byte("x"), nil)
	var ready []Ready
	for name, f := range map[string]func(){
		"Wait":          func() { ready, _ = p.Wait(ready[:0], 0) },
		"Watch":         func() { p.Watch(b, 2, Read|Write); p.Watch(b, 2, Read) },
		"Watch nothing": func() { p.Watch(b, 2, 0); p.Watch(b, 2, Read) },
		"Wake":          func() { p.Wake(); ready, _ = p.Wait(ready[:0], 0) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

package master

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRoundRobinIsExact(t *testing.T) {
	s, l := serve(t, 3)
	var got []int
	for range 9 { // one after the other: each is answered before the next comes
		s.arrive(l, 1)
		for i := range 3 {
			if len(s.peer(i).owed) > 0 {
				got = append(got, i)
			}
		}
		s.everyoneAccepts()
	}
	if want := []int{0, 1, 2, 0, 1, 2, 0, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("nine connections went to the slots %v, want %v", got, want)
	}
	s.arrive(l, 9) // at once
	for i := range 3 {
		if got, want := s.peer(i).given(), []int{110 + i, 113 + i, 116 + i}; !slices.Equal(got, want) {
			t.Errorf("slot %d got %v, want every third: %v", i, got, want)
		}
	}
}

func TestEachListenerHasItsOwnTurn(t *testing.T) {
	s := newStage(t, standard(2))
	web, alt := s.web(), s.tcp("alt", "[::]:81")
	s.turn(event{kind: evStart})
	for _, p := range s.starting() {
		s.opens(p, 0, port(80), port(81))
	}
	s.arrive(web, 1)
	s.arrive(alt, 1)
	s.arrive(web, 1)
	s.arrive(alt, 1)
	for i, want := range [][]int{{101, 102}, {103, 104}} {
		if got := s.peer(i).given(); !slices.Equal(got, want) {
			t.Errorf("slot %d got %v, want %v", i, got, want)
		}
	}
}

func TestAWorkerWithoutRoomIsSkippedAndKeepsItsPlace(t *testing.T) {
	s, l := serve(t, 3)
	s.arrive(l, 11) // windows of 4: slot 2 has room for one more
	s.accepts(s.peer(0))
	s.accepts(s.peer(2))
	s.accepts(s.peer(2))
	s.took()
	s.arrive(l, 3) // slot 1 has none
	s.expect(t, "three more", "send", "send 3 [112]", "send 1 [113]", "send 3 [114]")
	s.everyoneAccepts()
	s.took()
	s.arrive(l, 3)
	s.expect(t, "all have room again", "send", "send 1 [115]", "send 2 [116]", "send 3 [117]")
}

func TestNobodyGetsMoreThanTheWindow(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 20)
	for i := range 2 {
		if got := len(s.peer(i).given()); got != 4 {
			t.Errorf("slot %d holds %d connections, want its window of 4", i, got)
		}
	}
	if got := s.waiting[l]; got != 12 {
		t.Errorf("%d connections wait in the kernel, want 12", got)
	}
	if s.t.mayAccept(l) || l.polled {
		t.Errorf("nobody has room: mayAccept %v, polled %v, want false", s.t.mayAccept(l), l.polled)
	}
	s.accepts(s.peer(0))
	if got, want := s.peer(0).given(), 4; len(got) != want {
		t.Errorf("after one answer slot 0 holds %v, want %d again", got, want)
	}
	s.everyoneAccepts()
	if s.waiting[l] != 0 || !l.polled {
		t.Errorf("all have answered: %d wait, polled %v, want 0, true", s.waiting[l], l.polled)
	}
}

// A connection that waits in the master is older than those in the kernel.
func TestHeldConnectionsGoFirst(t *testing.T) {
	s, l := serve(t, 1)
	s.arrive(l, 6) // four sent, two in the kernel
	s.refuses(s.peer(0))
	if got, want := len(l.held), 1; got != want || l.held[0].fd != 101 {
		t.Fatalf("after a refusal the listener holds %d connections, want %d: the first", got, want)
	}
	s.everyoneAccepts()
	s.took()
	s.pass(restMin)
	s.expect(t, "the rest is over", "send", "send 1 [101]", "send 1 [105]", "send 1 [106]")
}

func TestWhatComesBackGoesBeforeWhatCameLater(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 8)
	s.ends(s.peer(0)) // 101 103 105 107 come back, and nobody has room
	if got, want := heldFDs(l), []int{101, 103, 105, 107}; !slices.Equal(got, want) {
		t.Fatalf("held are %v, want %v", got, want)
	}
	s.refuses(s.peer(1))
	if got, want := heldFDs(l), []int{101, 102, 103, 105, 107}; !slices.Equal(got, want) {
		t.Errorf("held are %v, want what came back last in its place: %v", got, want)
	}
	s.pass(restMin)
	if got, want := s.peer(1).given(), []int{104, 106, 108, 101}; !slices.Equal(got, want) {
		t.Errorf("slot 1 has %v, want %v", got, want)
	}
}

func heldFDs(l *listener) []int {
	var fds []int
	for _, c := range l.held {
		fds = append(fds, c.fd)
	}
	return fds
}

func TestAListenerIsPolledOnceSomeoneServesIt(t *testing.T) {
	s := newStage(t, standard(2))
	l := s.web()
	s.turn(event{kind: evStart})
	s.took()
	for _, p := range s.starting() {
		s.opens(p, 0, port(80))
	}
	s.expect(t, "two became ready", "poll", "poll web@[::]:80 true")
	s.arrive(l, 8)
	s.expect(t, "both are full", "poll accept", "poll web@[::]:80 false")
	s.arrive(l, 1)
	s.expect(t, "one more comes", "poll accept")
	s.accepts(s.peer(0))
	s.expect(t, "one has room, for one", "poll accept", "accept web@[::]:80")
	s.accepts(s.peer(0))
	s.expect(t, "and for another, which does not come", "poll accept", "accept web@[::]:80", "poll web@[::]:80 true")
}

func TestWantOfDescriptorsPausesAcceptingAndIsSaidOnce(t *testing.T) {
	s, l := serve(t, 1)
	s.acceptErr[l] = unix.EMFILE
	s.arrive(l, 1)
	for _, wait := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000} {
		wait *= time.Millisecond
		s.took()
		if got := time.Duration(s.t.acceptFrom - s.now); got != wait {
			t.Errorf("accepting is paused for %v, want %v", got, wait)
		}
		s.pass(wait - 1)
		s.expect(t, "just before the pause is over", "accept poll")
		s.pass(1)
		s.expect(t, "the pause is over", "accept poll", "accept web@[::]:80")
	}
	delete(s.acceptErr, l)
	s.pass(time.Second)
	if got, want := s.peer(0).given(), []int{101}; !slices.Equal(got, want) {
		t.Errorf("when descriptors are free again the worker has %v, want %v", got, want)
	}
	if got := strings.Count(s.log.String(), "accepting paused"); got != 1 {
		t.Errorf("the log says %d times that accepting is paused, want once:\n%s", got, s.log.String())
	}
	s.everyoneAccepts()
	s.acceptErr[l] = unix.ENFILE
	s.arrive(l, 1)
	if got := time.Duration(s.t.acceptFrom - s.now); got != 50*time.Millisecond {
		t.Errorf("the next time accepting is paused for %v, want 50ms again", got)
	}
}

func TestWantOfDescriptorsPausesEveryListener(t *testing.T) {
	s := newStage(t, standard(1))
	web, alt := s.web(), s.tcp("alt", "[::]:81")
	s.turn(event{kind: evStart})
	s.opens(s.peer(0), 0, port(80), port(81))
	s.acceptErr[web] = unix.ENOBUFS
	s.arrive(web, 1)
	s.took()
	s.arrive(alt, 1)
	s.expect(t, "the other has a connection", "send poll", "poll alt@[::]:81 false")
	delete(s.acceptErr, web)
	s.pass(50 * time.Millisecond)
	if got, want := s.peer(0).given(), []int{101, 102}; !slices.Equal(got, want) {
		t.Errorf("after the pause the worker has %v, want %v", got, want)
	}
}

func TestADeafListenerIsLeftAloneAndNamed(t *testing.T) {
	s, l := serve(t, 1)
	s.acceptErr[l] = unix.EINVAL
	s.arrive(l, 1)
	s.expect(t, "accept says EINVAL", "poll accept", "poll web@[::]:80 false")
	s.pass(time.Hour)
	s.expect(t, "an hour later", "poll accept send")
	s.turn(event{kind: evScale, n: 2})
	s.opens(s.newest(), 0, port(80))
	s.expect(t, "one more worker listens on it", "poll accept send")
	if !strings.Contains(s.log.String(), "listener is broken") {
		t.Errorf("the log does not say it:\n%s", s.log.String())
	}
}

// After a refusal a seat rests; what was sent before the first refusal tells nothing new.
func TestARefusingWorkerRestsLongerEachTime(t *testing.T) {
	s, l := serve(t, 1)
	s.arrive(l, 3)
	s.refuses(s.peer(0))
	s.refuses(s.peer(0))
	s.refuses(s.peer(0))
	for _, rest := range []time.Duration{20, 40, 80, 160, 320, 640, 1000, 1000} {
		rest *= time.Millisecond
		s.took()
		s.pass(rest - 1)
		s.expect(t, "just before the rest is over", "send")
		s.pass(1)
		if got := s.took("send"); len(got) != 3 {
			t.Fatalf("after a rest of %v: %q, want three sent", rest, got)
		}
		for len(s.peer(0).owed) > 0 {
			s.refuses(s.peer(0))
		}
	}
	s.pass(time.Second)
	s.everyoneAccepts()
	s.arrive(l, 1)
	s.refuses(s.peer(0))
	s.took()
	s.pass(restMin)
	s.expect(t, "after one was accepted, a refusal counts from the start", "send", "send 1 [104]")
}

func TestOthersServeWhileOneRests(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 1)
	s.refuses(s.peer(0))
	if got, want := s.peer(1).given(), []int{101}; !slices.Equal(got, want) {
		t.Errorf("the other has %v, want the refused %v", got, want)
	}
	s.arrive(l, 2)
	if got, want := s.peer(1).given(), []int{101, 102, 103}; !slices.Equal(got, want) {
		t.Errorf("the other has %v, want %v", got, want)
	}
	if got, want := s.t.count.Redistributed, uint64(1); got != want {
		t.Errorf("redistributed is %d, want %d", got, want)
	}
}

// The rest of one worker ends on time also when the others ran out of room later.
func TestARestEndsOnTimeForWhoWaitsOnlyLater(t *testing.T) {
	cfg := standard(2)
	cfg.AckTimeout = time.Hour
	s, l := serveAs(t, cfg, 0)
	rests := s.peer(0)
	for range 6 { // a second, in the end
		s.pass(2 * time.Second)
		s.arrive(l, 2)
		for len(rests.owed) > 0 {
			s.refuses(rests)
		}
		for len(s.peer(1).owed) > 0 {
			s.accepts(s.peer(1))
		}
	}
	s.pass(300 * time.Millisecond) // ticks forget what nobody waits for
	s.turn(event{kind: evTick})
	s.t.next = 0
	s.t.tick()
	s.arrive(l, 5) // and now the other is full
	if len(rests.owed) > 0 {
		t.Fatal("the resting worker was given a connection")
	}
	s.pass(time.Second)
	if len(rests.owed) != 1 {
		t.Errorf("after its rest the worker holds %d connections, want the one that waited", len(rests.owed))
	}
}

// A ring that has shrunk goes on from any place.
func TestScalingDownLosesNobodysTurn(t *testing.T) {
	for before := range 4 {
		s, l := serve(t, 4)
		s.arrive(l, before+1)
		s.everyoneAccepts()
		s.turn(event{kind: evScale, n: 1})
		s.took()
		s.arrive(l, 2)
		s.expect(t, "one worker is left", "send", "send 1 ["+itoa(102+before)+"]", "send 1 ["+itoa(103+before)+"]")
	}
}

package master

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"golang.org/x/sys/unix"
)

// next makes h what is left for one more master.
func (x *left) next(h *Handover) Config {
	x.t.Helper()
	cfg := x.config()
	cfg.Sockets[0].File.Close()
	cfg.Stored, cfg.Sockets = h.Stored, h.Sockets
	return cfg
}

// A Node worker closes its channel when it begins to drain.
func TestAWorkerThatDrainsIsHandedOver(t *testing.T) {
	x := leaves(t, func(s *stage, l *listener) { s.turn(event{kind: evScale, n: 1}) })
	l := x.mustRecall()
	l.closeChannel(l.procs[2])
	pid := l.procs[2].process.PID
	h, err := l.handOver()
	if err != nil {
		t.Fatal(err)
	}
	l.output.handOver()
	l.t.leaving = true
	x.end()
	for id, end := range map[int]bool{1: false, 2: true} {
		n, _, _, err := sys.Recv(h.Stored[fmt.Sprintf(channelName, id)], make([]byte, 1), nil)
		if got := n == 0 && err == nil; got != end {
			t.Errorf("the channel of worker %d gives %d bytes, %v; want its end %v", id, n, err, end)
		}
	}
	m, err := New(x.next(h))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }() // ends with ctx
	defer func() {
		cancel()
		<-ended
	}()
	workers := func() []Worker {
		st, err := m.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.Workers
	}
	old := func(w Worker) bool { return w.ID == 2 && w.State == "draining" }
	if all := workers(); len(all) != 2 || !slices.ContainsFunc(all, old) {
		t.Fatalf("the next master has %+v, want worker 2 as one that drains; the log is\n%s", all, x.log.String())
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for slices.ContainsFunc(workers(), old) {
		time.Sleep(time.Millisecond) // of polling; the test's own time-out bounds it
	}
	if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("waiting for it gives %v: it was not reaped", err)
	}
	if _, dropped := x.store.did(); !slices.Equal(dropped, []string{"w2.chan", "w2.pid", "w2.state"}) {
		t.Errorf("dropped %v, want what was kept of it", dropped)
	}
}

// The store has room for some of the listeners that we opened, an upgrade for all.
func TestAllListenersThatAMasterOpenedAreHandedOver(t *testing.T) {
	x := leaves(t, nil)
	l := x.mustRecall()
	for range maxOwn + 2 {
		ls, fd, err := bindListen(settings.Listen{Kind: settings.KindTCP, IP: netip.MustParseAddr("127.0.0.1")})
		if err != nil {
			t.Fatal(err)
		}
		l.t.listeners = append(l.t.listeners, ls)
		l.add(ls, fd)
		l.keepListener(ls)
	}
	kept, _ := x.store.did()
	if len(kept) != maxOwn {
		t.Errorf("the store has %d listeners, want %d", len(kept), maxOwn)
	}
	h, err := l.handOver()
	if err != nil {
		t.Fatal(err)
	}
	l.t.leaving = true
	x.end()
	next, err := x.recalls(x.next(h))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(next.listeners); n != maxOwn+3 {
		t.Errorf("the next master has %d listeners, want the passed one and %d:\n%s", n, maxOwn+2, x.log.String())
	}
	_, dropped := x.store.did()
	if !slices.Equal(dropped, []string{"l16.listen", "l17.listen"}) {
		t.Errorf("dropped %v, want those that the store has never had, which count as kept in it else", dropped)
	}
	x.expectSaid("is lost", 0)
}

func TestAHandoverWithoutDescriptorsIsRefused(t *testing.T) {
	x := leaves(t, nil)
	cfg := x.config()
	ready := make(chan Event, 1)
	cfg.Notify = func(e Event) {
		if e.Ready {
			ready <- e
		}
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }() // ends with ctx
	defer cancel()
	<-ready
	for room := range 3 {
		empty := fillDescriptors(t, room)
		err := m.HandOver(t.Context())
		empty()
		if !errors.Is(err, unix.EMFILE) {
			t.Fatalf("with room for %d descriptors: %v, want %v", room, err, unix.EMFILE)
		}
		if st, err := m.Status(t.Context()); err != nil || st.State != "ready" || len(st.Workers) != 2 {
			t.Fatalf("with room for %d descriptors: %+v, %v, want that it serves on", room, st, err)
		}
	}
	if err := m.HandOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	h := m.Handover()
	defer h.close()
	if !h.isWhole(1) || !h.isWhole(2) || len(h.Sockets) != 1 {
		t.Errorf("handed over is %+v, want both workers and the socket", h)
	}
}

// fillDescriptors leaves this process room for that many more descriptors, until empty is called.
func fillDescriptors(t *testing.T, room int) (empty func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	now := was
	now.Cur = 256
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	var fds []int
	for {
		fd, err := sys.Dup(0)
		if err != nil {
			break
		}
		fds = append(fds, fd)
	}
	for range room {
		sys.Close(fds[0])
		fds = fds[1:]
	}
	return func() {
		for _, fd := range fds {
			sys.Close(fd)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
}

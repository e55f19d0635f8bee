package master

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

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
	h := l.handOver()
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
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("waiting for it gives %v: it was not reaped", err)
	}
	if _, dropped := x.store.did(); !slices.Equal(dropped, []string{"w2.chan", "w2.pid", "w2.state"}) {
		t.Errorf("dropped %v, want what was kept of it", dropped)
	}
}

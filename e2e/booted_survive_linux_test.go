//go:build linux && !portable

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/master"
)

// survivor is a service under three ledgers and with open WebSockets.
type survivor struct {
	*host
	stops  map[string]func() ledger.Report
	loaded uint64 // times, each with its own ids of requests
	echo   []*echo
	pids   map[int]int // of workers, and their ids
	ask    func()      // returns when a connection was answered; nil: a request is
}

// survive installs the service, starts it, and puts it under load.
func (h *host) survive(flags ...string) *survivor {
	h.t.Helper()
	recorded, err := os.ReadFile("testdata/begun.js")
	if err != nil {
		h.t.Fatal(err)
	}
	h.program(string(recorded) + surviving(h.t, "3000"))
	h.install(append([]string{"--listen", "8080=3000", "--workers", "2", "--drain-timeout", "5s"}, flags...)...)
	h.get("tcp", "127.0.0.1:8080")
	h.started()
	s := &survivor{host: h, stops: map[string]func() ledger.Report{}}
	s.pids = s.workers()
	for range 4 {
		s.echo = append(s.echo, h.openEcho())
	}
	s.load()
	return s
}

// load begins the three ledgers.
func (s *survivor) load() {
	first := seed + 3*s.loaded
	s.loaded++
	for name, cfg := range map[string]ledger.Config{
		"new":  {Clients: 4, Mode: ledger.PerRequest, Think: 4 * time.Millisecond, Seed: first},
		"kept": {Clients: 4, Mode: ledger.Kept, Think: 8 * time.Millisecond, Seed: first + 1},
		"slow": {Clients: 4, Mode: ledger.Slow, FirstByte: 30 * time.Millisecond, Body: 30 * time.Millisecond, Seed: first + 2},
	} {
		cfg.Network, cfg.Address, cfg.Dial, cfg.Overflows = "tcp", "127.0.0.1:8080", s.dial, s.Overflows
		cfg.Failures = math.MaxInt // each of them is judged
		records := sync.OnceValue(s.records)
		cfg.Served = func(id string) int { return records().requests[id] }
		s.stops[name] = runLedger(s.t, cfg)
	}
}

func (s *survivor) workers() map[int]int {
	s.t.Helper()
	found := map[int]int{}
	for _, w := range s.status().Workers {
		found[w.PID] = w.ID
	}
	return found
}

// same fails the test unless the workers are those that there were.
func (s *survivor) same(when string) {
	s.t.Helper()
	if now := s.workers(); !maps.Equal(now, s.pids) {
		s.t.Fatalf("%s: workers %v (pid:id), before %v", when, now, s.pids)
	}
}

// echoThink is between the messages of a WebSocket: without it four of them are all that
// the machine does.
const echoThink = time.Millisecond

// echo is a connection that was upgraded, over which a message goes back and forth.
type echo struct {
	cancel context.CancelFunc
	done   chan error
	count  atomic.Int64
}

func (h *host) openEcho() *echo {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c, err := h.Dial(ctx, "tcp", "127.0.0.1:8080")
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := http.NewRequest("GET", "http://localhost/", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	if err := r.Write(c); err != nil {
		h.t.Fatal(err)
	}
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, r)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		h.t.Fatalf("upgrade: %v, %v", answer, err)
	}
	e := &echo{cancel: cancel, done: make(chan error, 1)}
	go func() { // ends with cancel, or with the connection
		defer c.Close()
		for ctx.Err() == nil {
			message := fmt.Sprintf("message %d\n", e.count.Load())
			if _, err := io.WriteString(c, message); err != nil {
				e.done <- err
				return
			}
			got, err := in.ReadString('\n')
			if err != nil || got != message {
				e.done <- fmt.Errorf("after %d messages: %q, %w", e.count.Load(), got, err)
				return
			}
			e.count.Add(1)
			time.Sleep(echoThink)
		}
		e.done <- nil
	}()
	return e
}

// end closes the connection, which must have been open, and gives the messages.
func (e *echo) end(t *testing.T) int {
	t.Helper()
	e.cancel()
	if err := <-e.done; err != nil {
		t.Errorf("a WebSocket was cut: %v", err)
	}
	return int(e.count.Load())
}

// ticks fails the test if a worker's counting has a gap in the journal.
func (s *survivor) ticks() {
	s.t.Helper()
	next := map[string]int{}
	for slot := range 2 {
		for _, e := range s.Journal(machine.Filter{Identifier: "app/" + strconv.Itoa(slot)}) {
			var pid string
			var n int
			if _, err := fmt.Sscanf(e.Message, "tick %s %d", &pid, &n); err != nil {
				continue
			}
			if n != next[pid] {
				s.t.Errorf("the journal of worker %s goes from %d to %d", pid, next[pid]-1, n)
			}
			next[pid] = n + 1
		}
	}
	if len(next) < 2 {
		s.t.Errorf("the journal has the counting of %d workers, want 2 at least", len(next))
	}
}

// gap is the time from a kill until a connection was answered again.
type gap struct{ from, to time.Time }

// kill sends SIGKILL to the master and gives the gap, and the new master's status.
func (s *survivor) kill(before master.Status) (gap, master.Status) {
	s.t.Helper()
	g := gap{from: time.Now()}
	s.Must("kill", "-KILL", strconv.Itoa(before.PID))
	if s.ask != nil {
		s.ask()
	} else {
		s.get("tcp", "127.0.0.1:8080")
	}
	g.to = time.Now()
	s.Await("app.service", func(p map[string]string) bool {
		return p["ActiveState"] == "active" && p["MainPID"] != strconv.Itoa(before.PID)
	}, "ActiveState", "MainPID")
	return g, s.status()
}

// slowest is what a gap may be in a soak, at the median. How much shorter it is is no
// test's matter: it is told, and what it is made of.
const slowest = 300 * time.Millisecond

// gaps tells the medians of the gaps and of their parts, of which the journal knows.
func (s *survivor) gaps(gaps []gap) string {
	s.t.Helper()
	var noticed, started, adopted []time.Time
	for _, e := range s.Journal(machine.Filter{}) {
		switch {
		case e.Identifier == "systemd" && strings.HasPrefix(e.Message, "app.service: Main process exited"):
			noticed = append(noticed, e.Time)
		case e.Identifier == "systemd" && strings.HasPrefix(e.Message, "Starting app.service") && len(noticed) > 0:
			started = append(started, e.Time)
		case e.Identifier == "app" && strings.HasPrefix(e.Message, "adopted the workers of the last master workers=2 gone=0"):
			adopted = append(adopted, e.Time)
		}
	}
	if len(noticed) != len(gaps) || len(started) != len(gaps) || len(adopted) != len(gaps) {
		s.t.Fatalf("the journal tells of %d ends, %d starts and %d adoptions, want %d of each", len(noticed), len(started), len(adopted), len(gaps))
	}
	median := func(part func(i int) time.Duration) time.Duration {
		var all []time.Duration
		for i := range gaps {
			all = append(all, part(i))
		}
		slices.Sort(all)
		return all[len(all)/2].Round(time.Millisecond)
	}
	whole := median(func(i int) time.Duration { return gaps[i].to.Sub(gaps[i].from) })
	if soak && whole > slowest {
		s.t.Errorf("connections are answered again after %v (median), want %v at most", whole, slowest)
	}
	return fmt.Sprintf("answered again after %v (systemd notices the end after %v, starts the next one after %v more, "+
		"which has adopted after %v, and answers after %v; medians)", whole,
		median(func(i int) time.Duration { return noticed[i].Sub(gaps[i].from) }),
		median(func(i int) time.Duration { return started[i].Sub(noticed[i]) }),
		median(func(i int) time.Duration { return adopted[i].Sub(started[i]) }),
		median(func(i int) time.Duration { return gaps[i].to.Sub(adopted[i]) }))
}

// expectFound expects what systemd says of workers that a next master takes over.
func (h *host) expectFound() { h.expectFoundAs("workers found") }

// expectFoundAs is expectFound of processes with other names than node.
func (h *host) expectFoundAs(name string) {
	h.Expect(name)
	if strings.HasSuffix(h.t.Name(), "/"+string(machine.Trixie)) {
		h.Expect("workers found means on trixie")
	} else {
		h.Expect("left behind means")
	}
}

func TestKilledMasterLosesNoConnection(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("main process killed")
		h.Expect("killed result")
		h.Allow("accepted ones lost")
		h.Allow("unsent ones lost")
		h.expectFound()
		s := h.survive()
		stored := s.stored()
		random := rand.New(rand.NewPCG(seed, 4))
		var gaps []gap
		for i := range max(3, count(100)) {
			before := s.status()
			for range random.IntN(20) { // a random moment: some answers later
				s.get("tcp", "127.0.0.1:8080")
			}
			g, after := s.kill(before)
			gaps = append(gaps, g)
			if after.Adopted != i+1 {
				t.Fatalf("adopted %d times after %d kills", after.Adopted, i+1)
			}
			s.same(fmt.Sprintf("kill %d", i+1))
		}
		s.endLosing(fmt.Sprintf("%d kills, %s", len(gaps), s.gaps(gaps)))
		s.ticks()
		if now := s.stored(); now != stored {
			t.Errorf("the manager keeps %d descriptors, before the kills %d", now, stored)
		}
		s.alone("after the kills", s.status())
	})
}

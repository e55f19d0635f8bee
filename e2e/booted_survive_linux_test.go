//go:build linux

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/master"
)

// surviving is the program of these tests, listening on port.
func surviving(t *testing.T, port string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/survive.js")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + ledgerServer(t, port)
}

// survivor is a service under three ledgers and with open WebSockets.
type survivor struct {
	*host
	stops map[string]func() ledger.Report
	echo  []*echo
	pids  map[int]int // of workers, and their ids
}

// survive installs the service, starts it, and puts it under load.
func (h *host) survive(flags ...string) *survivor {
	h.t.Helper()
	h.program(surviving(h.t, "3000"))
	h.install(append([]string{"--listen", "8080=3000", "--workers", "2", "--drain-timeout", "5s"}, flags...)...)
	h.get("tcp", "127.0.0.1:8080")
	h.started()
	s := &survivor{host: h, stops: map[string]func() ledger.Report{}}
	s.pids = s.workers()
	for range 4 {
		s.echo = append(s.echo, h.openEcho())
	}
	for name, cfg := range map[string]ledger.Config{
		"new":  {Clients: 4, Mode: ledger.PerRequest, Think: 4 * time.Millisecond},
		"kept": {Clients: 4, Mode: ledger.Kept, Think: 8 * time.Millisecond},
		"slow": {Clients: 4, Mode: ledger.Slow, FirstByte: 30 * time.Millisecond, Body: 30 * time.Millisecond},
	} {
		cfg.Network, cfg.Address, cfg.Dial, cfg.Overflows, cfg.Seed = "tcp", "127.0.0.1:8080", h.Dial, h.Overflows, seed
		s.stops[name] = runLedger(h.t, cfg)
	}
	return s
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

// end stops the loads. Nothing may be lost but new connections that the master's
// counters tell of, of which it gives the number.
func (s *survivor) end(what string) {
	s.t.Helper()
	var sum ledger.Report
	var lost []string
	for _, name := range slices.Sorted(maps.Keys(s.stops)) {
		r := s.stops[name]()
		sum.Requests += r.Requests
		sum.Answered += r.Answered
		sum.ClosedIdle += r.ClosedIdle
		sum.Lost += r.Lost
		if r.Lost > 0 {
			lost = append(lost, fmt.Sprintf("%s: %v\n%s", name, r.Check(), r))
		} else if err := r.Check(); err != nil {
			s.t.Errorf("%s: %v\n%s", name, err, r)
		}
	}
	echoed := 0
	for _, e := range s.echo {
		echoed += e.end(s.t)
	}
	c := s.status().Counters
	if counted := int(c.ClosedUndelivered + c.Ambiguous); sum.Lost > counted {
		s.t.Errorf("%d lost, of which the master counted %d: %s", sum.Lost, counted, strings.Join(lost, "\n"))
	}
	told(s.t, "%s: %d requests, %d answered, %d lost, %d closed-idle; %d WebSockets echoed %d messages and stayed open; counters %+v",
		what, sum.Requests, sum.Answered, sum.Lost, sum.ClosedIdle, len(s.echo), echoed, c)
}

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

// kill sends SIGKILL to the master and gives how long it took until a connection was
// answered again, and the new master's status.
func (s *survivor) kill(before master.Status) (time.Duration, master.Status) {
	s.t.Helper()
	began := time.Now()
	s.Must("kill", "-KILL", strconv.Itoa(before.PID))
	s.get("tcp", "127.0.0.1:8080")
	took := time.Since(began)
	s.Await("app.service", func(p map[string]string) bool {
		return p["ActiveState"] == "active" && p["MainPID"] != strconv.Itoa(before.PID)
	}, "ActiveState", "MainPID")
	return took, s.status()
}

// expectFound expects what systemd says of workers that a next master takes over.
func (h *host) expectFound() {
	h.Expect("workers found")
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
		random := rand.New(rand.NewPCG(seed, 4))
		var gaps []time.Duration
		for i := range max(3, count(100)) {
			before := s.status()
			for range random.IntN(20) { // a random moment: some answers later
				s.get("tcp", "127.0.0.1:8080")
			}
			took, after := s.kill(before)
			gaps = append(gaps, took)
			if after.Adopted != i+1 {
				t.Fatalf("adopted %d times after %d kills", after.Adopted, i+1)
			}
			s.same(fmt.Sprintf("kill %d", i+1))
		}
		slices.Sort(gaps)
		s.end(fmt.Sprintf("%d kills, answered again after %v (median)", len(gaps), gaps[len(gaps)/2].Round(time.Millisecond)))
		s.ticks()
		adoptions := 0
		for _, e := range s.Journal(machine.Filter{Identifier: "app"}) {
			if strings.HasPrefix(e.Message, "adopted the workers of the last master workers=2 gone=0") {
				adoptions++
			}
		}
		if adoptions != len(gaps) {
			t.Errorf("the journal tells of %d adoptions, want %d", adoptions, len(gaps))
		}
	})
}

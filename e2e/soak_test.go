package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/master"
)

// loads runs the three kinds of clients at once: a connection a request, kept ones, slow
// answers. It returns when each kind has been answered.
func loads(s *service) func(t *testing.T) ledger.Report {
	var stops []func() ledger.Report
	for i, cfg := range []ledger.Config{
		{Clients: 4, Mode: ledger.PerRequest, Think: 2 * time.Millisecond},
		{Clients: 4, Mode: ledger.Kept, Think: 4 * time.Millisecond},
		{Clients: 4, Mode: ledger.Slow, FirstByte: 30 * time.Millisecond, Body: 30 * time.Millisecond},
	} {
		answered := make(chan struct{}, 1)
		cfg.Seed = seed + uint64(i)
		cfg.Answered = func(ledger.Who) {
			select {
			case answered <- struct{}{}:
			default:
			}
		}
		stops = append(stops, s.load(cfg))
		<-answered
	}
	return func(t *testing.T) ledger.Report {
		var sum ledger.Report
		for _, stop := range stops {
			r := stop()
			if err := r.Check(); err != nil {
				t.Errorf("%v\n%s", err, r)
			}
			sum.Requests += r.Requests
			sum.Sent += r.Sent
			sum.Answered += r.Answered
			sum.Lost += r.Lost
			sum.ClosedIdle += r.ClosedIdle
		}
		return sum
	}
}

// rolling reloads s again and again under load; nothing may be lost.
func rolling(t *testing.T, s *service, reloads int) {
	before, err := ledger.Overflows()
	if err != nil {
		t.Fatal(err)
	}
	stop := loads(s)
	for i := range reloads {
		if err := s.Reload(t.Context()); err != nil {
			t.Fatalf("reload %d: %v", i+1, err)
		}
	}
	sum := stop(t)
	after, err := ledger.Overflows()
	if err != nil {
		t.Fatal(err)
	}
	// The counters are the whole host's: beside the tests of other packages they tell
	// nothing, and a lost SYN shows in the ledger as a connect of a second.
	if soak && after != before {
		t.Errorf("listen queues overflowed: %+v, before %+v", after, before)
	}
	st := s.status()
	if st.Counters.ClosedUndelivered+st.Counters.Ambiguous != 0 {
		t.Errorf("counters %+v, want none closed or ambiguous", st.Counters)
	}
	if st.Generation != reloads+1 {
		t.Errorf("generation %d, want %d", st.Generation, reloads+1)
	}
	told(t, "%d reloads, %d requests, %d answered, %d lost, %d closed-idle, %d redistributed",
		reloads, sum.Requests, sum.Answered, sum.Lost, sum.ClosedIdle, st.Counters.Redistributed)
}

func TestRollingReloadsOfGoWorkersLoseNothing(t *testing.T) {
	s := start(t, master.Config{Settings: quick(goCommand(t), 2)}, goRole)
	rolling(t, s, count(200))
}

func TestRollingReloadsOfNodeWorkersLoseNothing(t *testing.T) {
	s := start(t, master.Config{Settings: quick([]string{node(t, 20), "testdata/ledger.js"}, 2)}, "TEST_LISTEN={\"fd\":3}")
	rolling(t, s, count(50))
}

// A kill is of one worker by SIGKILL. What died with it was under way between at,
// before the signal, and gone, when the master had seen the end.
type kill struct {
	pid        int
	at, gone   time.Time
	unrecorded int // lost connections that nobody entered, at most the window
}

// met reports whether the attempt f was under way when k's worker died.
func (k kill) met(f ledger.Failure) bool { return !f.Ended.Before(k.at) && !f.Started.After(k.gone) }

// takings are what workers entered in takenVar, by the peer's address.
type takings map[string][]taking

type taking struct {
	pid int
	at  time.Time
}

// readTakings gives what is entered in the file and how many entries that is.
func readTakings(t *testing.T, name string) (takings, int) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	all, n := make(takings), 0
	for line := range strings.Lines(string(text)) {
		var peer string
		var pid int
		var at int64
		if _, err := fmt.Sscanln(line, &peer, &pid, &at); err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		all[peer] = append(all[peer], taking{pid, time.Unix(0, at)})
		n++
	}
	return all, n
}

// by gives the pid of the worker that took the connection of f, or 0. The attempt made
// its own connection, so of those that had its port in turn it is the newest taken
// while it ran.
func (all takings) by(f ledger.Failure) int {
	var newest taking
	for _, one := range all[f.Local] {
		if !one.at.Before(f.Started) && !one.at.After(f.Ended) && one.at.After(newest.at) {
			newest = one
		}
	}
	return newest.pid
}

// TestKilledWorkersLoseOnlyWhatTheyHeld kills random workers with SIGKILL. A request may
// be lost only if the worker that took its connection was killed while it ran. A worker
// may also die between its answer for a connection and taking it, so that nobody
// entered it: then it must have been under way at a kill.
func TestKilledWorkersLoseOnlyWhatTheyHeld(t *testing.T) {
	file := filepath.Join(t.TempDir(), "taken")
	s := start(t, master.Config{Settings: quick(goCommand(t), 4)}, goRole, takenVar+"="+file)
	random := rand.New(rand.NewPCG(seed, 7))
	var answers atomic.Int64
	progress := make(chan struct{}, 1)
	var stops []func() ledger.Report
	for i, cfg := range []ledger.Config{ // of modes with a connection for each request
		{Clients: 4, Mode: ledger.PerRequest},
		{Clients: 4, Mode: ledger.Slow, FirstByte: 10 * time.Millisecond},
	} {
		cfg.Seed = seed + uint64(i)
		cfg.Failures = 100_000
		if cfg.Mode == ledger.PerRequest {
			cfg.Answered = func(ledger.Who) {
				answers.Add(1)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		}
		stops = append(stops, s.load(cfg))
	}
	var kills []kill
	for range count(200) {
		st := s.until("two ready workers", func(st master.Status) bool { return ready(st) >= 2 })
		kills = append(kills, s.kill(st, random))
		for goal := answers.Load() + 20; answers.Load() < goal; {
			select {
			case <-progress:
			case <-time.After(patience):
				t.Fatal("no answers any more")
			}
		}
	}
	var failures []ledger.Failure
	var requests, answered int
	for _, stop := range stops {
		r := stop()
		requests += r.Requests
		answered += r.Answered
		failures = append(failures, r.Failures...)
		if r.Sent != r.Requests || r.Sent != r.Answered+len(r.Failures) {
			t.Errorf("the books do not balance, or a request was answered twice:\n%s", r)
		}
	}
	all, entered := readTakings(t, file)
	if entered < answered {
		t.Errorf("workers took %d connections, want at least the %d answered", entered, answered)
	}
	unrecorded := blame(t, failures, kills, all)
	told(t, "%d killed, %d requests, %d lost in workers' hands, %d of them unrecorded, counters %+v",
		len(kills), requests, len(failures), unrecorded, s.status().Counters)
}

// kill kills a random worker of st and returns when the master has seen its end.
func (s *service) kill(st master.Status, random *rand.Rand) kill {
	s.t.Helper()
	workers := slices.DeleteFunc(st.Workers, func(w master.Worker) bool { return w.PID == 0 })
	k := kill{pid: workers[random.IntN(len(workers))].PID, at: time.Now()}
	if err := syscall.Kill(k.pid, syscall.SIGKILL); err != nil {
		s.t.Fatalf("kill %d, which nobody else ends: %v", k.pid, err)
	}
	s.until("the end of the killed worker", func(st master.Status) bool {
		return !slices.ContainsFunc(st.Workers, func(w master.Worker) bool { return w.PID == k.pid })
	})
	k.gone = time.Now()
	return k
}

// blame fails t for each failure that no kill explains, and counts those whose
// connection nobody had entered.
func blame(t *testing.T, failures []ledger.Failure, kills []kill, all takings) (unrecorded int) {
	t.Helper()
	for _, f := range failures {
		pid := all.by(f)
		if f.Class != ledger.Dropped && (f.Class != ledger.Broken || pid == 0) {
			t.Errorf("no death explains this of pid %d (0: nobody took it): %v", pid, f)
			continue
		}
		i := slices.IndexFunc(kills, func(k kill) bool {
			return k.met(f) && (pid == k.pid || pid == 0 && k.unrecorded < settings.DefaultWindow)
		})
		switch {
		case i < 0:
			t.Errorf("lost by pid %d (0: nobody took it), which was not killed then: %v", pid, f)
		case pid == 0:
			kills[i].unrecorded++
			unrecorded++
		}
	}
	return unrecorded
}

func ready(st master.Status) int {
	n := 0
	for _, w := range st.Workers {
		if w.State == "ready" {
			n++
		}
	}
	return n
}

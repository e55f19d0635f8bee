package e2e

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
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
	if after != before {
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

// TestKilledWorkersLoseOnlyWhatTheyHeld kills random workers with SIGKILL. A request
// may be lost only if its worker was killed: the ledger is told of each kill.
func TestKilledWorkersLoseOnlyWhatTheyHeld(t *testing.T) {
	s := start(t, master.Config{Settings: quick(goCommand(t), 4)}, goRole)
	kills := count(200)
	random := rand.New(rand.NewPCG(seed, 7))
	var answers atomic.Int64
	progress := make(chan struct{}, 1)
	answered := func(ledger.Who) {
		answers.Add(1)
		select {
		case progress <- struct{}{}:
		default:
		}
	}
	var reports []func() ledger.Report
	for i, cfg := range []ledger.Config{
		{Clients: 4, Mode: ledger.PerRequest, Answered: answered},
		{Clients: 4, Mode: ledger.Slow, FirstByte: 10 * time.Millisecond},
	} {
		cfg.Seed = seed + uint64(i)
		cfg.Failures = 100_000
		reports = append(reports, s.load(cfg))
	}
	for range kills {
		st := s.until("two ready workers", func(st master.Status) bool { return ready(st) >= 2 })
		w := st.Workers[random.IntN(len(st.Workers))]
		if w.PID == 0 {
			continue
		}
		if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) && err != syscall.ESRCH {
			t.Fatal(err)
		}
		for goal := answers.Load() + 20; answers.Load() < goal; {
			select {
			case <-progress:
			case <-time.After(patience):
				t.Fatal("no answers any more")
			}
		}
	}
	var lost, requests, refused int
	for _, stop := range reports {
		r := stop()
		lost += r.Lost
		requests += r.Requests
		refused += r.Classes[ledger.Refused]
		for _, f := range r.Failures {
			if f.Class == ledger.Hung {
				t.Errorf("hung: %v", f)
			}
		}
	}
	st := s.status()
	// Each kill may take with it what its worker was answering: at most one request of
	// each of the 8 clients, and nothing that no worker had been given.
	if refused != 0 || lost > 8*kills {
		t.Errorf("%d lost, %d of them refused, after %d kills under 8 clients", lost, refused, kills)
	}
	told(t, "%d kills, %d requests, %d lost in workers' hands, %d refused, counters %+v", kills, requests, lost, refused, st.Counters)
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

package e2e

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/master"
)

// TestStoppedWorkerHoldsUpAtMostItsWindow stops one of three workers with SIGSTOP: of
// many requests at once at most its window wait for it, all others are answered; past
// ack-timeout it gets nothing more; and once it goes on, those that waited are answered.
func TestStoppedWorkerHoldsUpAtMostItsWindow(t *testing.T) {
	const window, clients = 3, 40
	log := newLogbook(t)
	cfg := master.Config{Settings: quick(goCommand(t), 3), Logger: log.logger()}
	cfg.Window, cfg.AckTimeout = window, 300*time.Millisecond
	s := start(t, cfg, goRole)
	stopped := s.status().Workers[1]
	stopProcess(t, stopped.PID)
	t.Cleanup(func() { syscall.Kill(stopped.PID, syscall.SIGCONT) }) // or a failure would wait for the drain

	var answers atomic.Int64 // of the others
	news := make(chan struct{}, 1)
	burst := func(n uint64) <-chan ledger.Report {
		return s.requests(ledger.Config{Clients: clients, Requests: 1, Seed: seed + n, Answered: func(w ledger.Who) {
			if w.Worker != stopped.ID {
				answers.Add(1)
			}
			select {
			case news <- struct{}{}:
			default:
			}
		}})
	}
	await := func(n int64) {
		t.Helper()
		for limit := time.After(patience); answers.Load() < n; {
			select {
			case <-news:
			case <-limit:
				t.Fatalf("%d answers of the others, want %d; status %+v", answers.Load(), n, s.status())
			}
		}
	}

	first := burst(0)
	await(clients - window)
	log.await("does not answer")
	held := workerOf(t, s, stopped.ID).InFlight
	if held < 1 || held > window {
		t.Errorf("the stopped worker holds up %d connections, want from 1 to its window of %d", held, window)
	}
	for n := range uint64(3) {
		if r := <-burst(1 + n); r.Answered != clients || answered(r, stopped.ID) != 0 {
			t.Errorf("past ack-timeout: %s", r)
		}
	}
	if now := workerOf(t, s, stopped.ID).InFlight; now != held {
		t.Errorf("past ack-timeout the stopped worker holds up %d connections, before %d", now, held)
	}

	if err := syscall.Kill(stopped.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r := <-first
	if err := r.Check(); err != nil {
		t.Errorf("%v\n%s", err, r)
	}
	if got := answered(r, stopped.ID); got != held {
		t.Errorf("%d of those that waited were answered by the worker that was stopped, want %d", got, held)
	}
	s.until("serving by all again", func(master.Status) bool {
		r := <-burst(uint64(answers.Load()))
		if err := r.Check(); err != nil {
			t.Errorf("%v\n%s", err, r)
		}
		return answered(r, stopped.ID) > 0
	})
	told := 0
	for _, line := range log.warnings() {
		if strings.Contains(line, "does not answer") && strings.Contains(line, "worker="+strconv.Itoa(stopped.ID)+" ") {
			told++
		}
	}
	if told != 1 {
		t.Errorf("%d warnings that it does not answer, want 1: %q", told, log.warnings())
	}
}

// requests runs a ledger of a fixed number of requests and gives its report at the end.
func (s *service) requests(cfg ledger.Config) <-chan ledger.Report {
	s.t.Helper()
	cfg.Network, cfg.Address = "tcp", s.address
	l, err := ledger.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	report := make(chan ledger.Report, 1)
	go func() { // ends with the last answer
		r, err := l.Run(context.Background())
		if err != nil {
			s.t.Errorf("ledger: %v", err)
		}
		report <- r
	}()
	return report
}

// stopProcess returns when the process has stopped.
func stopProcess(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(patience); ; {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		after := string(b[strings.LastIndexByte(string(b), ')')+1:])
		if strings.HasPrefix(after, " T") {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("process %d does not stop: %s", pid, b)
		}
	}
}

func workerOf(t *testing.T, s *service, id int) master.Worker {
	t.Helper()
	for _, w := range s.status().Workers {
		if w.ID == id {
			return w
		}
	}
	t.Fatalf("there is no worker %d", id)
	return master.Worker{}
}

// answered is how many of r's answers the worker gave.
func answered(r ledger.Report, worker int) int {
	n := 0
	for who, k := range r.Workers {
		if who.Worker == worker {
			n += k
		}
	}
	return n
}

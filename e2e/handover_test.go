package e2e

import (
	"context"
	"log/slog"
	"testing"

	"github.com/rondokit/rondo/master"
)

// handOver ends the master of s, and has another one take over what it had, in this
// process: what a program does that takes the place of this one.
func (s *service) handOver(cfg master.Config) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.HandOver(ctx); err != nil {
		s.t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		s.t.Fatal(err)
	}
	h := s.Handover()
	cfg.Sockets, cfg.Stored = h.Sockets, h.Stored
	cfg.Notify, cfg.Logger = s.notify, slog.New(slog.NewTextHandler(s.t.Output(), nil))
	cfg.Stdout, cfg.Stderr = s.t.Output(), s.t.Output()
	m, err := master.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.events = nil
	s.mu.Unlock()
	s.Master = m
	go func() { s.ended <- m.Run(context.Background()) }() // ends in stop
	s.await(func(e master.Event) bool { return e.Ready })
}

// handsOver hands over to a next master again and again under load: the workers
// stay, and nothing is lost.
func handsOver(t *testing.T, command []string, env ...string) {
	cfg := master.Config{Settings: quick(command, 2)}
	s := start(t, cfg, env...)
	cfg.Env = append(append(env, "TEST_LISTEN="+s.address), "GORACE=atexit_sleep_ms=0")
	pids := func() map[int]int {
		found := map[int]int{}
		for _, w := range s.status().Workers {
			found[w.PID] = w.ID
		}
		return found
	}
	before := pids()
	stop := loads(s)
	rounds := max(3, count(100))
	for i := range rounds {
		s.handOver(cfg)
		st := s.status()
		if st.Adopted != i+1 {
			t.Fatalf("adopted %d times after %d rounds", st.Adopted, i+1)
		}
		for pid, id := range pids() {
			if before[pid] != id {
				t.Fatalf("round %d: worker %d with pid %d, want %v", i, id, pid, before)
			}
		}
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Errorf("reload by the last master: %v", err)
	}
	sum := stop(t)
	told(t, "%d masters: %d requests, %d answered, %d lost, %d closed-idle, counters %+v",
		rounds, sum.Requests, sum.Answered, sum.Lost, sum.ClosedIdle, s.status().Counters)
}

func TestMastersHandGoWorkersOver(t *testing.T) { handsOver(t, goCommand(t), goRole) }

func TestMastersHandNodeWorkersOver(t *testing.T) {
	handsOver(t, []string{node(t, 20), "testdata/ledger.js"}, `TEST_LISTEN={"fd":3}`)
}

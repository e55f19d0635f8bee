//go:build linux && !portable

package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/master"
)

// entering is the program of survive, which also enters each connection that it takes
// in a file, as takingsOf reads it.
func entering(t *testing.T) string {
	t.Helper()
	return `require('http').Server.prototype.emit = ((emit) => function (event, c, ...rest) {
  if (event === 'connection') {
    const us = Math.round((performance.timeOrigin + performance.now()) * 1000);
    require('fs').appendFileSync('/srv/app/taken/' + process.pid, c.remoteAddress.replace('::ffff:', '') + ':' + c.remotePort + ' ' + process.pid + ' ' + us + '000\n');
  }
  return emit.call(this, event, c, ...rest);
})(require('http').Server.prototype.emit);
` + surviving(t, "3000")
}

// takings are those that all workers entered.
func (h *host) takings() (takings, int) {
	h.t.Helper()
	file := filepath.Join(h.t.TempDir(), "taken")
	text := h.Must("sh", "-c", "cat /srv/app/taken/*") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return readTakings(h.t, file)
}

// TestMasterAndWorkerKilledTogetherLoseOnlyWhatThatHeld kills both by one command. What
// is lost was taken by the killed worker, and under way then; or by nobody, and counted.
func TestMasterAndWorkerKilledTogetherLoseOnlyWhatThatHeld(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.expectCrashes()
		h.Expect("adopted worker gone")
		for _, name := range []string{"accepted ones lost", "unsent ones lost"} {
			h.Allow(name)
		}
		h.program(entering(t))
		h.Must("mkdir", "--mode=1777", "/srv/app/taken")
		h.install("--listen", "8080=3000", "--workers", "2", "--drain-timeout", "5s", "--write", "/srv/app/taken")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		var stops []func() ledger.Report
		for i, cfg := range []ledger.Config{
			{Clients: 4, Mode: ledger.PerRequest, Think: 4 * time.Millisecond},
			{Clients: 4, Mode: ledger.Slow, FirstByte: 30 * time.Millisecond, Body: 30 * time.Millisecond},
		} {
			cfg.Network, cfg.Address, cfg.Dial, cfg.Overflows = "tcp", "127.0.0.1:8080", h.Dial, h.Overflows
			cfg.Seed, cfg.Failures = seed+uint64(i), 100_000
			stops = append(stops, runLedger(t, cfg))
		}
		random := rand.New(rand.NewPCG(seed, 8))
		var kills []kill
		var before master.Status
		for range max(3, count(20)) {
			for range 10 {
				h.get("tcp", "127.0.0.1:8080")
			}
			before = h.status()
			victim := before.Workers[random.IntN(len(before.Workers))]
			k := kill{pid: victim.PID, at: time.Now()}
			h.Must("kill", "-KILL", strconv.Itoa(before.PID), strconv.Itoa(victim.PID))
			after := h.next(before)
			k.gone = time.Now()
			kills = append(kills, k)
			h.onlyReplaced(before, after, victim)
		}
		var failures []ledger.Failure
		requests, answered := 0, 0
		for _, stop := range stops {
			r := stop()
			requests += r.Requests
			answered += r.Answered
			failures = append(failures, r.Failures...)
			if r.Sent != r.Requests || r.Sent != r.Answered+len(r.Failures) {
				t.Errorf("the books do not balance, or a request was answered twice:\n%s", r)
			}
		}
		all, entered := h.takings()
		if entered < answered {
			t.Errorf("workers took %d connections, want at least the %d answered", entered, answered)
		}
		// What nobody recorded the masters have counted, or that worker had said that it
		// took it, and died before its program could record that.
		unrecorded := blame(t, failures, kills, all)
		c := h.status().Counters
		told(t, "a master and a worker killed together %d times: %d requests, %d answered, %d lost in that worker's hands, %d that no worker recorded; counters %+v",
			len(kills), requests, answered, len(failures)-unrecorded, unrecorded, c)
	})
}

// onlyReplaced waits until the slot of the victim has a new worker that is ready. The
// other one must be what it was.
func (h *host) onlyReplaced(before, after master.Status, victim master.Worker) {
	h.t.Helper()
	if after.Adopted != before.Adopted+1 {
		h.t.Errorf("adopted %d times, before %d", after.Adopted, before.Adopted)
	}
	for limit := time.Now().Add(patience); ; after = h.status() {
		ready := 0
		for _, w := range after.Workers {
			if w.State != "ready" || w.Slot == victim.Slot && w.PID == victim.PID {
				continue
			}
			ready++
			if w.Slot != victim.Slot && !slices.ContainsFunc(before.Workers, func(b master.Worker) bool { return b.PID == w.PID && b.ID == w.ID }) {
				h.t.Errorf("worker %+v did not live on", w)
			}
		}
		if ready == len(before.Workers) && len(after.Workers) == ready {
			return
		}
		if time.Now().After(limit) {
			h.t.Fatalf("the status stays %+v", after)
		}
	}
}

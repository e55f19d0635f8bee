//go:build linux && !portable

package e2e

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

func TestWatchdogRestartsAStoppedMaster(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("watchdog")
		h.Expect("watchdog result")
		h.expectFound()
		h.program(ledgerServer(t, "3000"))
		h.install("--listen", "8080=3000", "--workers", "2")
		h.WriteFile("/etc/systemd/system/app.service.d/watchdog.conf", 0o644, "[Service]\nWatchdogSec=2s\n")
		h.Must("systemctl", "daemon-reload")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		before := h.status()
		h.Must("kill", "-STOP", strconv.Itoa(before.PID))
		got := h.connect("tcp", "127.0.0.1:8080") // which waits in the socket
		p := h.Await("app.service", func(p map[string]string) bool {
			return p["NRestarts"] == "1" && p["ActiveState"] == "active"
		}, "ActiveState", "NRestarts", "MainPID")
		waited := <-got
		after := h.status()
		if strconv.Itoa(after.PID) != p["MainPID"] || after.PID == before.PID || after.Adopted != 1 {
			t.Errorf("master %d, then %d, adopted %d times, and the service says %v", before.PID, after.PID, after.Adopted, p)
		}
		// SIGABRT wakes the stopped master before it ends it: what it accepts in between
		// goes with it, is counted, and nothing else is lost.
		if waited.err != nil && after.Counters.ClosedUndelivered == 0 {
			t.Errorf("the connection that waited: %v, and the counters are %+v", waited.err, after.Counters)
		}
		for i, w := range before.Workers {
			if i >= len(after.Workers) || after.Workers[i].PID != w.PID {
				t.Errorf("worker %d of the aborted master is gone: %+v", w.PID, after.Workers)
			}
		}
		if p := h.Show("app.socket", "ActiveState", "Result"); p["ActiveState"] != "active" || p["Result"] != "success" {
			t.Errorf("app.socket is %v", p)
		}
		h.get("tcp", "127.0.0.1:8080")
	})
}

func TestKilledWorkerIsReplacedWhileTheOthersLive(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		testKilled(t, h, "worker killed", "was killed by SIGKILL", func(pid int) {
			h.Must("kill", "-KILL", strconv.Itoa(pid))
		})
	})
}

// A machine has no memory controller, so the limit is one of the host's, in the old
// hierarchy, which the machine mounts. Its process 1 starts the service in there.
func TestWorkerOutOfMemoryIsReplacedWhileTheOthersLive(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		group := limited(t, 400<<20)
		enter(t, group, h.HostPID(1))
		h.Must("mkdir", "/run/memory")
		h.Must("mount", "-t", "cgroup", "-o", "memory", "memory", "/run/memory")
		reason := "was killed by SIGKILL: out of memory (oom_kill rose to 1 in /run/memory/" + filepath.Base(group) + "/memory.oom_control)"
		testKilled(t, h, "worker out of memory", reason, func(pid int) {
			alone(t, group, h.HostPID(pid))
			h.Must("kill", "-USR2", strconv.Itoa(pid))
		})
	})
}

// testKilled kills one of three workers, which the journal tells by the entry of that
// name, and status for that reason.
func testKilled(t *testing.T, h *host, entry, reason string, kill func(pid int)) {
	t.Helper()
	h.Expect(entry)
	h.program(ledgerServer(t, "3000") + `
process.on('SIGUSR2', () => { // 512 MiB
  const all = [];
  while (all.length < 32) all.push(Buffer.alloc(1 << 24, 1));
});`)
	h.install("--listen", "8080=3000", "--workers", "3")
	h.get("tcp", "127.0.0.1:8080")
	h.started()
	before := h.status()
	victim := before.Workers[1]
	kill(victim.PID)
	h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool {
		return strings.HasPrefix(e.Message, "worker became ready worker=4 ")
	})
	for range 10 {
		h.get("tcp", "127.0.0.1:8080")
	}
	after := h.status()
	if after.PID != before.PID || len(after.Workers) != 3 {
		t.Fatalf("status %+v, was %+v", after, before)
	}
	for _, w := range after.Workers {
		if w.Slot == victim.Slot {
			e := w.LastExit
			if w.PID == victim.PID || w.Restarts != 1 || e == nil || e.Signal == nil || *e.Signal != "SIGKILL" || e.Reason != reason {
				t.Errorf("the killed worker's successor is %+v, last exit %+v, want %q", w, e, reason)
			}
			continue
		}
		if !slices.ContainsFunc(before.Workers, func(b master.Worker) bool { return b.PID == w.PID && b.ID == w.ID }) || w.Restarts != 0 {
			t.Errorf("worker %+v did not live on", w)
		}
	}
	out, err := h.rondo("status", "app")
	if err != nil || !strings.Contains(out, reason+"\n") {
		t.Errorf("rondo status tells %s, %v", out, err)
	}
	if p := h.Show("app.service", "ActiveState", "NRestarts", "OOMPolicy"); p["ActiveState"] != "active" || p["NRestarts"] != "0" || p["OOMPolicy"] != "continue" {
		t.Errorf("app.service is %v", p)
	}
}

//go:build linux

package e2e

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

func TestWatchdogRestartsAStoppedMaster(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("watchdog")
		h.Expect("watchdog result")
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
		// SIGABRT wakes the stopped master before it ends it: what it accepts in between
		// goes with it, and nothing else does.
		if a := <-got; a.err != nil {
			t.Logf("the connection that waited was accepted by the dying master: %v", a.err)
			if !errors.Is(a.err, syscall.ECONNRESET) && !errors.Is(a.err, io.EOF) {
				t.Errorf("the connection that waited: %v", a.err)
			}
		}
		after := h.status()
		if strconv.Itoa(after.PID) != p["MainPID"] || after.PID == before.PID {
			t.Errorf("master %d, then %d, and the service says %v", before.PID, after.PID, p)
		}
		for _, w := range before.Workers {
			if host := h.HostPID(w.PID); host != 0 {
				t.Errorf("worker %d of the killed master lives", w.PID)
			}
		}
		if p := h.Show("app.socket", "ActiveState", "Result"); p["ActiveState"] != "active" || p["Result"] != "success" {
			t.Errorf("app.socket is %v", p)
		}
		h.get("tcp", "127.0.0.1:8080")
	})
}

func TestKilledWorkerIsReplacedWhileTheOthersLive(t *testing.T) {
	testKilled(t, func(_ *testing.T, h *host, pid int) { h.Must("kill", "-KILL", strconv.Itoa(pid)) })
}

// A machine has no memory controller, so the limit is one of the host's, in the old
// hierarchy: it is of the worker alone.
func TestWorkerOutOfMemoryIsReplacedWhileTheOthersLive(t *testing.T) {
	const hierarchy = "/sys/fs/cgroup/memory"
	if _, err := os.Stat(filepath.Join(hierarchy, "memory.limit_in_bytes")); err != nil {
		need(t, "a memory controller in the old hierarchy of cgroups", err)
	}
	testKilled(t, func(t *testing.T, h *host, pid int) {
		group, err := os.MkdirTemp(hierarchy, "rondo-e2e-")
		if err != nil {
			need(t, "a cgroup with a limit of memory", err)
		}
		t.Cleanup(func() {
			if err := os.Remove(group); err != nil {
				t.Error(err)
			}
		})
		write := func(file, text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(group, file), []byte(text), 0); err != nil {
				t.Fatal(err)
			}
		}
		write("memory.limit_in_bytes", strconv.Itoa(64<<20))
		write("cgroup.procs", strconv.Itoa(h.HostPID(pid)))
		h.Must("kill", "-USR2", strconv.Itoa(pid))
		h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool {
			return strings.HasPrefix(e.Message, "worker died ")
		})
		b, err := os.ReadFile(filepath.Join(group, "memory.oom_control"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "oom_kill 1\n") {
			t.Errorf("the kernel killed nobody for its memory: %s", b)
		}
	})
}

// testKilled kills one of three workers.
func testKilled(t *testing.T, kill func(t *testing.T, h *host, pid int)) {
	t.Helper()
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("worker killed")
		h.program(ledgerServer(t, "3000") + `
process.on('SIGUSR2', () => { // 256 MiB
  const all = [];
  while (all.length < 16) all.push(Buffer.alloc(1 << 24, 1));
});`)
		h.install("--listen", "8080=3000", "--workers", "3")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		before := h.status()
		victim := before.Workers[1]
		kill(t, h, victim.PID)
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
				if w.PID == victim.PID || w.Restarts != 1 || w.LastExit == nil || w.LastExit.Signal == nil || *w.LastExit.Signal != "SIGKILL" {
					t.Errorf("the killed worker's successor is %+v, last exit %+v", w, w.LastExit)
				}
				continue
			}
			if !slices.ContainsFunc(before.Workers, func(b master.Worker) bool { return b.PID == w.PID && b.ID == w.ID }) || w.Restarts != 0 {
				t.Errorf("worker %+v did not live on", w)
			}
		}
		out, err := h.rondo("status", "app")
		if err != nil || !strings.Contains(out, "was killed by SIGKILL") {
			t.Errorf("rondo status tells %s, %v", out, err)
		}
		if p := h.Show("app.service", "ActiveState", "NRestarts", "OOMPolicy"); p["ActiveState"] != "active" || p["NRestarts"] != "0" || p["OOMPolicy"] != "continue" {
			t.Errorf("app.service is %v", p)
		}
	})
}

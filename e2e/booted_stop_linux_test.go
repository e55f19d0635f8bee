//go:build linux && !portable

package e2e

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/master"
)

// stopping is a service of two workers that is stopped again and again. One is as
// usual; the other, and a child of that, ignore all but SIGKILL.
type stopping struct {
	*host
	met map[int]bool // each process that it ever had
}

func (h *host) stopping() *stopping {
	h.t.Helper()
	text, err := os.ReadFile("testdata/stubborn.js")
	if err != nil {
		h.t.Fatal(err)
	}
	h.program(string(text) + surviving(h.t, "3000"))
	h.install("--listen", "8080=3000", "--workers", "2", "--drain-timeout", "1s", "--kill-timeout", "100ms")
	return &stopping{h, map[int]bool{}}
}

// with gives the service a drop-in of these lines.
func (s *stopping) with(lines ...string) {
	s.t.Helper()
	s.WriteFile("/etc/systemd/system/app.service.d/stopping.conf", 0o644, "[Service]\n"+strings.Join(lines, "\n")+"\n")
	s.Must("systemctl", "daemon-reload")
}

// begin has a connection start the service, which must have nothing of before, and gives
// each of its workers a connection that is busy.
func (s *stopping) begin(when string) (st master.Status, busy []*echo) {
	s.t.Helper()
	s.get("tcp", "127.0.0.1:8080")
	s.started()
	st = s.ready(when)
	known := []int{st.PID}
	for _, w := range st.Workers {
		known = append(known, w.PID)
	}
	child := 0
	for _, p := range s.Left("app.service") {
		if s.met[p.PID] {
			s.t.Errorf("%s: process %v was there before", when, p)
		}
		s.met[p.PID] = true
		switch {
		case slices.Contains(known, p.PID):
			known = slices.DeleteFunc(known, func(pid int) bool { return pid == p.PID })
		case strings.Contains(p.Command, "node -e "):
			child++
		default:
			s.t.Errorf("%s: process %v is no worker", when, p)
		}
	}
	if len(known) > 0 || child != 1 || st.Adopted != 0 || st.Generation != 1 {
		s.t.Errorf("%s: not in the service: processes %v; %d children, want one; status %+v", when, known, child, st)
	}
	if got := s.stored(); got != "7" { // three of each worker, and the state
		s.t.Errorf("%s: %s descriptors are stored, want 7", when, got)
	}
	for range 2 { // in turn
		busy = append(busy, s.openEcho())
	}
	return st, busy
}

func (s *stopping) stored() string {
	s.t.Helper()
	return s.Show("app.service", "NFileDescriptorStore")["NFileDescriptorStore"]
}

// over fails the test unless the service is stopped with that result, with nothing in the
// store, just those processes left, and sockets that listen.
func (s *stopping) over(when, state, result string, left ...int) {
	s.t.Helper()
	p := s.Show("app.service", "ActiveState", "Result", "NFileDescriptorStore", "MainPID")
	if p["ActiveState"] != state || p["Result"] != result || p["NFileDescriptorStore"] != "0" || p["MainPID"] != "0" {
		s.t.Errorf("%s: app.service is %v, want %s and %s", when, p, state, result)
	}
	var found []int
	for _, p := range s.Left("app.service") {
		found = append(found, p.PID)
	}
	slices.Sort(found)
	slices.Sort(left)
	if !slices.Equal(found, left) {
		s.t.Errorf("%s: processes %v are left, want %v", when, found, left)
	}
	s.is("app.socket", "active")
}

// cut waits until connections that were busy have ended, with what held them.
func (s *stopping) cut(when string, busy []*echo) {
	s.t.Helper()
	for _, e := range busy {
		select {
		case <-e.done:
		case <-time.After(patience):
			s.t.Errorf("%s: a connection is served on", when)
		}
		e.cancel()
	}
}

// inSlot is the worker of a slot.
func inSlot(st master.Status, slot int) int {
	i := slices.IndexFunc(st.Workers, func(w master.Worker) bool { return w.Slot == slot })
	return st.Workers[i].PID
}

func TestStoppedOrKilledServiceLeavesNothing(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		s := h.stopping()
		for range count(10) {
			s.stopAmidARestart()
			s.stopWithoutAMaster()
			s.killAndStayDown()
			s.stop()
		}
		s.uninstallWithoutAMaster()
	})
}

// stop is the usual one. It ends in the time that the unit says: a stop that takes longer
// has another result.
func (s *stopping) stop() {
	s.t.Helper()
	s.Expect("worker ignores SIGTERM")
	s.Expect("one left in a stop")
	const when = "a stop"
	_, busy := s.begin(when)
	s.Must("systemctl", "stop", "app.service")
	s.over(when, "inactive", "success")
	s.cut(when, busy)
}

// stopAmidARestart stops it when the master has left and its workers wait for the next.
func (s *stopping) stopAmidARestart() {
	s.t.Helper()
	s.Expect("three left in a stop")
	const when = "a stop amid a restart"
	s.with("ExecStopPost=", "ExecStopPost=+/bin/sh -c 'until rm /run/go; do sleep 0.02; done'", "ExecStopPost=+/usr/local/bin/rondo systemd-sweep app")
	_, busy := s.begin(when)
	s.Must("systemctl", "restart", "--no-block", "app.service")
	s.Await("app.service", func(p map[string]string) bool { return p["SubState"] == "stop-post" }, "SubState")
	s.Must("systemctl", "stop", "--no-block", "app.service")
	s.Must("touch", "/run/go")
	s.Must("systemctl", "stop", "app.service") // and wait
	s.over(when, "inactive", "success")
	s.cut(when, busy)
	s.with()
}

// stopWithoutAMaster stops it when the master was killed and the next one is not yet
// started. systemd then runs nothing: what does not end with its channel is there until
// the next start, which ends it before it serves.
func (s *stopping) stopWithoutAMaster() {
	s.t.Helper()
	s.Expect("main process killed")
	s.Expect("killed result")
	s.expectFound()
	s.Expect("two of an earlier run")
	const when = "a stop without a master"
	s.with("RestartSec=1h")
	st, busy := s.begin(when)
	usual := s.handle(inSlot(st, 0))
	s.Must("kill", "-KILL", strconv.Itoa(st.PID))
	s.Await("app.service", func(p map[string]string) bool { return p["SubState"] == "auto-restart" }, "SubState")
	if got := s.stored(); got != "7" {
		s.t.Errorf("%s: %s descriptors wait for the next start, want 7", when, got)
	}
	s.Must("systemctl", "stop", "app.service")
	s.ended(usual)
	var left []int
	for pid := range s.met {
		if s.HostPID(pid) != 0 {
			left = append(left, pid)
		}
	}
	if len(left) != 2 {
		s.t.Errorf("%s: processes %v live, want two that ignore it", when, left)
	}
	s.over(when, "inactive", "signal", left...)
	s.finds(`in app\.service runs what is no worker's: node \(\d+\), node \(\d+\)`)
	s.with()
	s.begin("a start after " + when)
	s.cut(when, busy)
	s.Must("systemctl", "stop", "app.service")
	s.over("after "+when, "inactive", "success")
}

// killAndStayDown kills the master of one that may not start again.
func (s *stopping) killAndStayDown() {
	s.t.Helper()
	const when = "a kill before a start that is not to be"
	s.with("ExecCondition=/usr/bin/test -e /run/may-start")
	s.Must("touch", "/run/may-start")
	st, busy := s.begin(when)
	s.Must("rm", "/run/may-start")
	s.Must("kill", "-KILL", strconv.Itoa(st.PID))
	s.Await("app.service", func(p map[string]string) bool { return p["ActiveState"] == "inactive" }, "ActiveState")
	s.over(when, "inactive", "exec-condition")
	s.cut(when, busy)
	s.with()
}

// uninstallWithoutAMaster takes all away when the master was killed and the next one is
// not yet started: no later start would end what is left.
func (s *stopping) uninstallWithoutAMaster() {
	s.t.Helper()
	const when = "an uninstall without a master"
	s.with("RestartSec=1h")
	st, busy := s.begin(when)
	usual := s.handle(inSlot(st, 0))
	s.Must("kill", "-KILL", strconv.Itoa(st.PID))
	s.Await("app.service", func(p map[string]string) bool { return p["SubState"] == "auto-restart" }, "SubState")
	out, err := s.rondo("uninstall", "app")
	if n := strings.Count(out, ", which the service had left behind\n"); err != nil || n < 2 {
		s.t.Errorf("%s: %q, %v, want it to name two that were killed at least", when, out, err)
	}
	s.ended(usual)
	s.cut(when, busy)
	for pid := range s.met {
		if s.HostPID(pid) != 0 {
			s.t.Errorf("%s: process %d lives", when, pid)
		}
	}
}

// TestMaskedServiceThatIsKilledLeavesNothing masks a running service of a package. systemd
// then knows none of its settings: it stores nothing for it, and what a kill of its master
// leaves it ends as it does by default. What ignores that for the time that it has is ended
// by the start that comes when the service is unmasked.
func TestMaskedServiceThatIsKilledLeavesNothing(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("main process killed")
		h.Expect("killed result")
		h.Expect("stop timed out")
		h.Expect("two of an earlier run")
		if strings.HasSuffix(t.Name(), "/"+string(machine.Bookworm)) {
			h.Expect("no store when masked")
		}
		h.expectFound()
		s := h.stopping()
		const when, after = "a kill of a masked service", "a start after it is unmasked"
		h.Must("mv", "/etc/systemd/system/app.service", "/etc/systemd/system/app.socket", "/usr/lib/systemd/system/")
		s.with("TimeoutStopSec=1s")
		st, busy := s.begin(when)
		usual := s.handle(inSlot(st, 0))
		h.Must("systemctl", "mask", "--runtime", "app.service")
		if got := s.stored(); got != "0" {
			t.Errorf("%s: %s descriptors are stored, want none", when, got)
		}
		h.Must("kill", "-KILL", strconv.Itoa(st.PID))
		h.Await("app.service", func(p map[string]string) bool { return p["SubState"] == "stop-sigterm" }, "SubState")
		s.ended(usual)
		if left := h.Left("app.service"); len(left) != 2 {
			t.Errorf("%s: processes %v live, want two that ignore SIGTERM", when, left)
		}
		h.Must("systemctl", "unmask", "--runtime", "app.service")
		_, again := s.begin(after)
		s.cut(when, busy)
		s.with()
		h.Expect("worker ignores SIGTERM")
		h.Expect("one left in a stop")
		h.Must("systemctl", "stop", "app.service")
		s.over(after, "inactive", "success")
		s.cut(after, again)
	})
}

// handle is of a process of the machine.
func (h *host) handle(pid int) *sys.Handle {
	h.t.Helper()
	p, err := sys.OpenHandle(h.HostPID(pid))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(p.Close)
	return p
}

// ended waits for the end of a process.
func (h *host) ended(p *sys.Handle) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Wait(ctx); err != nil {
		h.t.Fatal(err)
	}
}

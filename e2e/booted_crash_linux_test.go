//go:build linux && !portable

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

const (
	faultFile = "/run/rondo/app/fault" // of the master that runs
	faultPlan = "/run/faults"          // a line for each start to come, which may be empty
)

// withFaults has the machine's rondo end where a test says.
func (h *host) withFaults() {
	h.t.Helper()
	h.put(nextBuild.path(h.t))
	h.WriteFile("/usr/local/bin/next-fault", 0o755, `#!/bin/sh
read -r line <`+faultPlan+` || exit 0
sed -i 1d `+faultPlan+`
[ -z "$line" ] || echo "$line" >`+faultFile+"\n")
	h.WriteFile("/etc/systemd/system/app.service.d/faults.conf", 0o644,
		"[Service]\nEnvironment=RONDO_FAULT_FILE="+faultFile+"\nExecStartPre=-+/usr/local/bin/next-fault\n")
}

// fault has the master that runs end at that point.
func (h *host) fault(format string, args ...any) {
	h.t.Helper()
	h.WriteFile(faultFile+".new", 0o644, fmt.Sprintf(format, args...))
	h.Must("mv", faultFile+".new", faultFile)
}

// unfault takes a fault back. It reports whether it had come.
func (h *host) unfault() (came bool) {
	h.t.Helper()
	_, err := h.Run("rm", faultFile)
	return err != nil
}

// passed waits until a fault has come that leaves the master alive.
func (h *host) passed() {
	h.t.Helper()
	for limit := time.Now().Add(patience); ; {
		h.get("tcp", "127.0.0.1:8080")
		if _, err := h.ReadFile(faultFile); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(limit) {
			h.t.Fatal("the fault does not come")
		}
	}
}

// next waits for the master after the one of that status.
func (h *host) next(before master.Status) master.Status {
	h.t.Helper()
	h.Await("app.service", func(p map[string]string) bool {
		return p["ActiveState"] == "active" && p["MainPID"] != "0" && p["MainPID"] != strconv.Itoa(before.PID)
	}, "ActiveState", "MainPID")
	return h.status()
}

// quiet ends the open WebSockets, which hold a worker that drains.
func (s *survivor) quiet() {
	s.t.Helper()
	for _, e := range s.echo {
		e.end(s.t)
	}
	s.echo = nil
}

// expectCrashes expects what systemd says of them.
func (h *host) expectCrashes() {
	h.t.Helper()
	h.Expect("main process killed")
	h.Expect("killed result")
	h.expectFound()
}

// TestCrashAtEachPointLosesOnlyWhatIsCounted has the master killed wherever a
// connection, a message or the state is half done.
func TestCrashAtEachPointLosesOnlyWhatIsCounted(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.expectCrashes()
		h.Expect("start failed") // of the masters that do not get to READY
		h.Expect("accepted ones lost")
		h.Expect("unsent ones lost")
		h.withFaults()
		s := h.survive()
		random := rand.New(rand.NewPCG(seed, 5))
		crashes := 0
		for range max(1, count(10)) {
			for _, point := range []string{
				"before accept", "after accept", "before intent", "before send", "after send",
				"after ack", "before count", "before settle", "before done", "before save", "after save",
			} {
				before := s.status()
				s.fault("kill %d %s", random.IntN(8), point)
				after := s.next(before)
				crashes++
				if after.Adopted != before.Adopted+1 {
					t.Fatalf("%s: adopted %d times, before %d", point, after.Adopted, before.Adopted)
				}
				s.same(point)
			}
			for _, point := range []string{"before adoption", "before ready"} {
				before := s.status()
				s.WriteFile(faultPlan, 0o644, "kill 0 "+point+"\n\n")
				s.Must("kill", "-KILL", strconv.Itoa(before.PID))
				s.Await("app.service", func(p map[string]string) bool {
					return p["ActiveState"] == "active" && p["NRestarts"] == strconv.Itoa(crashes+2)
				}, "ActiveState", "NRestarts")
				crashes += 2
				s.same(point)
			}
		}
		s.endLosing(fmt.Sprintf("%d crashes at points", crashes))
		s.ticks()
	})
}

// TestMasterHeldUpInAHandoffLosesNothing has it wait where a connection is half handed
// over.
func TestMasterHeldUpInAHandoffLosesNothing(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.withFaults()
		s := h.survive()
		random := rand.New(rand.NewPCG(seed, 7))
		before := s.status()
		for _, point := range []string{"before intent", "before send", "after send", "before settle"} {
			s.fault("300ms %d %s", random.IntN(8), point)
			s.passed()
			s.same("a wait " + point)
		}
		if st := s.status(); st.PID != before.PID || st.Counters.ClosedUndelivered+st.Counters.Ambiguous > 0 {
			t.Errorf("a master that waits is replaced or loses connections: before %+v, now %+v", before, st)
		}
		s.end("waits in handoffs")
		s.ticks()
	})
}

// TestMasterStoppedInAHandoffLosesOnlyWhatIsCounted has it stop at a point, for the
// watchdog to end it: at one, or at each of several in a soak. SIGABRT wakes the master
// before it ends it, so it may have accepted what it does not hand over.
func TestMasterStoppedInAHandoffLosesOnlyWhatIsCounted(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("watchdog")
		h.Expect("watchdog result")
		h.expectFound()
		h.Allow("accepted ones lost")
		h.Allow("unsent ones lost")
		h.withFaults()
		h.WriteFile("/etc/systemd/system/app.service.d/watchdog.conf", 0o644, "[Service]\nWatchdogSec=2s\n")
		s := h.survive()
		random := rand.New(rand.NewPCG(seed, 9))
		points := []string{"after send"}
		if soak {
			points = append(points, "before accept", "after ack", "before count", "before save")
		}
		for _, point := range points {
			before := s.status()
			s.fault("stop %d %s", random.IntN(8), point)
			if after := s.next(before); after.Adopted != before.Adopted+1 {
				t.Errorf("adopted %d times after a stop %s, before %d", after.Adopted, point, before.Adopted)
			}
			s.same("a stop " + point)
		}
		s.endLosing(fmt.Sprintf("%d stops in handoffs, that the watchdog ended", len(points)))
		s.ticks()
	})
}

// TestCrashDuringAReloadEndsWithOneGeneration has the master killed at each of its
// steps, or at a random one of each kind when it is no soak. None of those comes between
// the accepting of a connection and its handing over, so none is lost. But what talks to
// the service manager runs beside that.
func TestCrashDuringAReloadEndsWithOneGeneration(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.expectCrashes()
		h.Allow("accepted ones lost")
		h.Allow("unsent ones lost")
		h.withFaults()
		s := h.survive()
		s.quiet()
		random := rand.New(rand.NewPCG(seed, 6))
		ended := map[string]int{}
		crash := func(point string, times int) { // that a reload comes by it, or somewhat fewer
			skips := []int{random.IntN(times)}
			if soak {
				skips = nil
				for i := range times {
					skips = append(skips, i)
				}
			}
			for _, skip := range skips {
				ended[s.crashInReload(fmt.Sprintf("kill %d %s", skip, point), "rondo", "reload", "app")]++
			}
		}
		crash("before spawn", 2)
		crash("after spawn", 2)
		crash("before line", 6)
		crash("after disconnect", 2)
		crash("before save", 20)
		crash("after save", 20)
		crash("before worker save", 8)
		crash("after worker save", 8)
		h.Expect("systemctl reload failed")
		h.Expect("reload's master ended")
		ended[s.crashInReload("kill 0 after spawn", "systemctl", "reload", "app")]++
		s.end(fmt.Sprintf("crashes in reloads, which %v", ended))
		s.load()
		clear(ended)
		crash("before barrier", 2)
		s.endLosing(fmt.Sprintf("crashes beside the handing over in reloads, which %v", ended))
	})
}

// crashInReload reloads, and gives how that ended. The command must tell the truth.
func (s *survivor) crashInReload(fault string, command ...string) string {
	t := s.t
	t.Helper()
	before := s.status()
	s.fault("%s", fault)
	reload := s.Start(machine.Command{Args: command, Dir: "/srv/app"})
	said := reload.Wait()
	if !s.unfault() {
		if said != nil {
			t.Errorf("%s did not come, and the reload failed: %v", fault, said)
		}
		return "met no crash"
	}
	s.next(before)
	after := s.whole(fault)
	if after.Adopted != before.Adopted+1 {
		t.Errorf("%s: adopted %d times, before %d", fault, after.Adopted, before.Adopted)
	}
	how, want := "were done", fmt.Sprintf("generation %d serves with 2 workers", after.Generation)
	if after.Generation == before.Generation {
		how, want = "had not begun", fmt.Sprintf("the master ended before the reload had begun, and generation %d serves on: reload again", after.Generation)
	} else if after.Reload.State != "done" {
		t.Errorf("%s: generation %d serves, before %d, and the reload is %+v", fault, after.Generation, before.Generation, after.Reload)
	}
	if command[0] == "systemctl" { // whose command cannot wait for the next master
		if said == nil {
			t.Errorf("%s: systemctl reload succeeded: %s", fault, reload.Output())
		}
		return how
	}
	got := reload.Output()
	if exit, ok := errors.AsType[*machine.ExitError](said); ok && exit.Code == 1 {
		got = exit.Stderr
	}
	if (said == nil) != (how == "were done") || !strings.Contains(got, want) && (said == nil || !strings.Contains(got, "/control.sock")) { // nobody answers there: it was not asked
		t.Errorf("%s: %v says %q, %v; the reloads %s, and it should say %q", fault, command, got, said, how, want)
	}
	return how
}

// whole waits until the workers are of one generation, and gives the status.
func (h *host) whole(when string) master.Status {
	h.t.Helper()
	for limit := time.Now().Add(patience); ; {
		st := h.ready(when)
		if len(st.Workers) == 2 {
			return st
		}
		if time.Now().After(limit) {
			h.t.Fatalf("%s: the status stays %+v", when, st)
		}
	}
}

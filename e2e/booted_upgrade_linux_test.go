//go:build linux && !portable

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

// put has another program be /usr/local/bin/rondo, as dpkg does it.
func (h *host) put(program string) {
	h.t.Helper()
	const place = "/usr/local/bin/rondo"
	h.Copy(program, place+".dpkg-new")
	h.Must("mv", place+".dpkg-new", place)
}

// putScript has a program that is none be /usr/local/bin/rondo.
func (h *host) putScript(text string) {
	h.t.Helper()
	const place = "/usr/local/bin/rondo"
	h.WriteFile(place+".dpkg-new", 0o755, text)
	h.Must("mv", place+".dpkg-new", place)
}

func (h *host) upgraded() (u upgraded) {
	h.t.Helper()
	out, err := h.rondo("status", "app", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &u)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

// upgrade runs rondo upgrade app, which must succeed.
func (s *survivor) upgrade(version string) {
	s.t.Helper()
	before := s.upgraded()
	out, err := s.rondo("upgrade", "app")
	if want := fmt.Sprintf("app: version %s serves, before %s, with the same 2 workers", version, before.Version); err != nil || out != want {
		s.t.Fatalf("rondo upgrade = %q, %v, want %q", out, err, want)
	}
	s.sameMaster(before, version)
}

// sameMaster fails the test unless the master is the process that it was, of that version.
func (s *survivor) sameMaster(before upgraded, version string) {
	s.t.Helper()
	if now := s.upgraded(); now.PID != before.PID || now.Version != version {
		s.t.Fatalf("the master is process %d of version %s, want %d of %s", now.PID, now.Version, before.PID, version)
	}
	s.same("after an upgrade")
}

// stored is how many descriptors the manager keeps for the service.
func (h *host) stored() int {
	h.t.Helper()
	n, err := strconv.Atoi(h.Show("app.service", "NFileDescriptorStore")["NFileDescriptorStore"])
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestUpgradesLoseNothing(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		release, next := rondo(t), nextBuild.path(t)
		s := h.survive()
		old := s.upgraded()
		programs := []struct{ path, version string }{{next, nextBuild.version}, {release, old.Version}}
		stored, upgrades := s.stored(), max(4, count(100))
		var back func()
		for i := range upgrades {
			h.put(programs[i%2].path)
			s.upgrade(programs[i%2].version)
			if i == 1 {
				back = h.Baseline(old.PID)
			}
		}
		s.upgradeOtherwise(next)
		s.end(fmt.Sprintf("%d upgrades", upgrades))
		back()
		if now := s.stored(); now != stored {
			t.Errorf("the manager keeps %d descriptors, before the upgrades %d", now, stored)
		}
		s.ticks()
		told := 0
		for _, e := range s.Journal(machine.Filter{Identifier: "app"}) {
			if strings.HasPrefix(e.Message, "upgraded version=") {
				told++
			}
		}
		if done := s.upgraded().Adopted; told != done || done < upgrades+3 {
			t.Errorf("the journal tells of %d upgrades, want the %d that there were", told, done)
		}
	})
}

// holding is of a program that has more to do when it has no connection any more, and
// its channel is closed, until a file is gone.
const holding = `
process.on('disconnect', () => {
  const { existsSync } = require('fs');
  console.log('closed ' + process.pid);
  const hold = setInterval(() => existsSync('/srv/app/hold') || clearInterval(hold), 20);
});
`

// What old workers hold ends them, or drain-timeout does, also after an upgrade.
func TestUpgradesKeepWorkersThatDrain(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.program(holding + surviving(t, "3000"))
		h.install("--listen", "8080=3000", "--workers", "2", "--drain-timeout", "60s")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		before := h.status()
		h.Must("touch", "/srv/app/hold")
		open := []*echo{h.openEcho(), h.openEcho(), h.openEcho(), h.openEcho()}
		old := h.reloads()
		h.upgradesWith("with open WebSockets", nextBuild.path(t), old)
		for _, e := range open {
			e.end(t)
		}
		h.closed(old)
		h.upgradesWith("with closed channels", rondo(t), old)
		h.Must("rm", "/srv/app/hold")
		h.nobodyIsLeft(before.PID)

		h.Must("sed", "--in-place", "s/^drain-timeout.*/drain-timeout = \"2s\"/", "/etc/rondo/app.toml")
		h.reloads() // now workers have that drain-timeout
		h.nobodyIsLeft(before.PID)
		h.Must("touch", "/srv/app/hold")
		h.closed(h.reloads())
		h.upgradesWith("before drain-timeout", nextBuild.path(t), nil)
		h.nobodyIsLeft(before.PID)
		h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool {
			return strings.HasPrefix(e.Message, "drain ended by drain-timeout ")
		})
	})
}

// reloads replaces the workers, and gives those that were.
func (h *host) reloads() []master.Worker {
	h.t.Helper()
	old := h.status().Workers
	if out, err := h.rondo("reload", "app"); err != nil {
		h.t.Fatalf("rondo reload = %q, %v", out, err)
	}
	return old
}

// closed waits until those workers have closed their channels.
func (h *host) closed(workers []master.Worker) {
	h.t.Helper()
	for _, w := range workers {
		h.AwaitEntry(machine.Filter{Identifier: "app/" + strconv.Itoa(w.Slot)}, func(e machine.Entry) bool {
			return e.Message == fmt.Sprintf("closed %d", w.PID)
		})
	}
}

// upgradesWith upgrades, and the workers must drain on.
func (h *host) upgradesWith(what, program string, workers []master.Worker) {
	h.t.Helper()
	h.put(program)
	if out, err := h.rondo("upgrade", "app"); err != nil {
		h.t.Fatalf("%s: rondo upgrade = %q, %v", what, out, err)
	}
	st := h.status()
	for _, w := range workers {
		if !slices.ContainsFunc(st.Workers, func(now master.Worker) bool { return now.ID == w.ID && now.PID == w.PID && now.State == "draining" }) {
			h.t.Fatalf("%s: worker %d, process %d, is not one that drains: %+v", what, w.ID, w.PID, st.Workers)
		}
	}
}

// nobodyIsLeft waits until all but two workers have ended, of whom nothing may be left.
func (h *host) nobodyIsLeft(pid int) {
	h.t.Helper()
	st := h.until("rid of the old workers", func(st master.Status) bool { return len(st.Workers) == 2 })
	if st.PID != pid {
		h.t.Errorf("the master is process %d, before %d", st.PID, pid)
	}
	if n := len(strings.Fields(h.Must("pgrep", "-P", strconv.Itoa(pid)))); n != 2 {
		h.t.Errorf("the master has %d children, want the 2 workers:\n%s", n, h.Must("ps", "-eo", "pid,ppid,stat,args"))
	}
	h.Await("app.service", func(p map[string]string) bool { return p["NFileDescriptorStore"] == "7" }, "NFileDescriptorStore")
}

// upgradeOtherwise upgrades by --all, by a signal, and by several at once.
func (s *survivor) upgradeOtherwise(next string) {
	s.t.Helper()
	before := s.upgraded()
	s.put(next)
	if out, err := s.rondo("upgrade", "--all"); err != nil || !strings.HasPrefix(out, "app: version "+nextBuild.version+" serves") {
		s.t.Errorf("upgrade --all = %q, %v", out, err)
	}
	s.put(rondo(s.t))
	s.Must("kill", "-USR2", strconv.Itoa(before.PID))
	s.until("upgraded by SIGUSR2", func(st master.Status) bool { return st.Version == before.Version })
	s.put(next)
	for line := range strings.Lines(s.Must("sh", "-c", "for i in 1 2 3 4; do rondo upgrade app 2>&1 & done; wait")) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "app: version "+nextBuild.version+" serves, before "):
		case strings.HasPrefix(line, "rondo: app: upgrade: another one is in progress; version "):
		case strings.HasPrefix(line, "rondo: upgrade: nobody answers on "), strings.HasPrefix(line, "rondo: no rondo \"app\" is running"): // it is being upgraded
		default:
			s.t.Errorf("an upgrade of several at once: %s", line)
		}
	}
	s.sameMaster(before, nextBuild.version)
}

// looksForFaults has the service look for faults.
func (h *host) looksForFaults() {
	h.t.Helper()
	h.WriteFile("/etc/systemd/system/app.service.d/faults.conf", 0o644, "[Service]\nEnvironment=RONDO_FAULT_FILE="+faultFile+"\n")
}

func TestUpgradesThatFailLeaveTheOldOneServing(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		release, next := rondo(t), nextBuild.path(t)
		h.Copy(next, "/root/rondo")
		h.looksForFaults()
		s := h.survive()
		before := s.upgraded()
		for _, bad := range []struct {
			name string // of allowed.go
			put  func()
			why  string
		}{
			{"upgrade to one that exits", func() { s.putScript("#!/bin/sh\necho no >&2; exit 3\n") }, "/usr/local/bin/rondo does not start: exit status 3: no"},
			{"upgrade to no rondo", func() { s.putScript("#!/bin/sh\necho no\n") }, `/usr/local/bin/rondo is no rondo that can take over: it said "no\n"`},
			{"upgrade to nothing", func() { s.Must("rm", "/usr/local/bin/rondo") }, "/usr/local/bin/rondo does not start: fork/exec /usr/local/bin/rondo: no such file or directory"},
			{"upgrade to another format", func() { s.put(futureBuild.path(t)) },
				"version 3.0.0-future keeps its state in format 2, this one (" + before.Version + ") in format 1: restart the service instead"},
		} {
			s.Expect(bad.name)
			bad.put()
			s.failsToUpgrade(before, "upgrade: "+bad.why, bad.why, func() { s.put(release) })
		}
		for _, point := range []string{"after exec", "before adoption", "before ready"} {
			s.Expect("upgrade that panics " + point)
			s.put(next)
			s.fault("panic 0 %s", point)
			why := "version " + nextBuild.version + " gave up: panic: fault: at " + point
			s.failsToUpgrade(before, "upgrade: "+why, why, func() {})
		}
		s.put(next)
		s.upgrade(nextBuild.version)
		if u := s.upgraded().Upgrade; u == nil || u.Error != nil || u.From != before.Version {
			t.Errorf("status tells of the upgrade %+v, want one from %s", u, before.Version)
		}
		s.killsInUpgrades()
		s.end("upgrades that fail")
		s.ticks()
	})
}

// failsToUpgrade runs rondo upgrade, which must say why and change nothing.
func (s *survivor) failsToUpgrade(before upgraded, said, why string, repair func()) {
	s.t.Helper()
	_, err := s.Run("/root/rondo", "upgrade", "app")
	exit, ok := errors.AsType[*machine.ExitError](err)
	if want := "rondo: app: " + said + "; version " + before.Version + " serves on\n"; !ok || exit.Code != 1 || exit.Stderr != want {
		s.t.Errorf("rondo upgrade: %v, want exit code 1 and %q", err, want)
	}
	repair()
	s.sameMaster(before, before.Version)
	if u := s.upgraded().Upgrade; u == nil || u.Error == nil || *u.Error != why {
		s.t.Errorf("status tells of the upgrade %+v, want the error %q", u, why)
	}
	if out, err := s.rondo("status", "app"); err != nil || !strings.Contains(out, "\nupgrade: failed: "+why) {
		s.t.Errorf("rondo status = %q, %v, want the failed upgrade", out, err)
	}
}

// killsInUpgrades has the process of the master end in an upgrade, at each point.
func (s *survivor) killsInUpgrades() {
	s.t.Helper()
	s.Expect("main process killed")
	s.Expect("killed result")
	s.Expect("service starts in vain")
	s.expectFound()
	for _, fault := range []string{"kill 0 before exec", "kill 0 after exec", "kill 0 before adoption", "kill 0 before ready", "exit 0 before ready"} {
		before := s.upgraded()
		s.fault("%s", fault)
		out, err := s.rondo("upgrade", "app")
		if !strings.Contains(out, "but the process of the master ended in the upgrade, and process ") || err != nil {
			s.t.Errorf("%s: rondo upgrade = %q, %v", fault, out, err)
		}
		if now := s.upgraded(); now.PID == before.PID || now.Adopted <= before.Adopted || now.Version != before.Version {
			s.t.Errorf("%s: the master is %+v, before %+v", fault, now.Status, before.Status)
		}
		s.same(fault)
	}
}

// TestUpgradesInAReloadGoOnWithIt upgrades while new workers do not get ready yet.
func TestUpgradesInAReloadGoOnWithIt(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		programs := []string{nextBuild.path(t), rondo(t)}
		r := h.restarting()
		h.program(strings.Replace(ending+surviving(t, "3000"), "server.listen(3000);",
			"(function begin() { require('fs').existsSync('/srv/app/hold') ? setTimeout(begin, 20) : server.listen(3000); })();", 1))
		h.Must("systemctl", "reload", "app.service")
		stop := h.loads()
		for i, command := range [][]string{{"rondo", "reload", "app"}, {"systemctl", "reload", "app.service"}} {
			before := h.status()
			h.Must("touch", "/srv/app/hold")
			reload := h.Start(machine.Command{Args: command})
			h.until("reloading", func(st master.Status) bool { return st.State == "reloading" && len(st.Workers) > 2 })
			h.put(programs[i])
			if out, err := h.rondo("upgrade", "app"); err != nil {
				t.Errorf("an upgrade in %v: %q, %v", command, out, err)
			}
			st := h.status()
			if st.PID != before.PID || st.Version == before.Version || st.State != "reloading" || st.Generation != before.Generation {
				t.Errorf("after an upgrade in %v: %+v, before %+v", command, st, before)
			}
			h.Must("rm", "/srv/app/hold")
			if err := reload.Wait(); err != nil {
				t.Errorf("%v, with an upgrade in it: %v", command, err)
			}
			if st = h.status(); st.Generation != before.Generation+1 || st.Reload.State != "done" {
				t.Errorf("after %v, with an upgrade in it: %+v", command, st)
			}
		}
		sum := stop()
		told(t, "2 upgrades in reloads: %d requests, %d answered, %d lost, %d closed-idle", sum.Requests, sum.Answered, sum.Lost, sum.ClosedIdle)
		h.is("app.service", "active")
		r.stopsInAnUpgrade()
	})
}

// stopsInAnUpgrade stops the service while one program takes the place of another, again
// and again: it drains, and the next connection starts it.
func (r *restarting) stopsInAnUpgrade() {
	r.t.Helper()
	r.Allow("upgrade after a stop")
	for i := range max(3, count(30)) {
		stop := r.loads()
		upgrade := r.Start(machine.Command{Args: []string{"rondo", "upgrade", "app"}})
		for range i % 8 {
			r.get("tcp", "127.0.0.1:8080")
		}
		r.Must("systemctl", "stop", "app.service")
		r.started() // by the next connection
		stop()
		_ = upgrade.Wait() // which may have met nobody
	}
}

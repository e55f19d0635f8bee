//go:build linux && !portable

package e2e

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

// stamps are of the files and links of the app: a file that was written again has
// another one, also with the same content.
func (h *host) stamps() map[string]string {
	h.t.Helper()
	stamps := make(map[string]string)
	for line := range strings.Lines(h.Must("find", "/etc/rondo", "/etc/systemd/system", "-name", "app.*", "-printf", "%p %i %T@ %C@\n")) {
		path, stamp, _ := strings.Cut(line, " ")
		stamps[path] = stamp
	}
	return stamps
}

// written fails the test unless just these files were written since the stamps.
func (h *host) written(before map[string]string, want ...string) {
	h.t.Helper()
	now := h.stamps()
	maps.DeleteFunc(now, func(path, stamp string) bool { return before[path] == stamp })
	if got := slices.Sorted(maps.Keys(now)); !slices.Equal(got, want) {
		h.t.Errorf("written were %q, want %q", got, want)
	}
}

// untouched fails the test unless the master and its workers are those of before.
func (h *host) untouched(before master.Status) {
	h.t.Helper()
	now := h.status()
	same := now.PID == before.PID && slices.EqualFunc(now.Workers, before.Workers, func(a, b master.Worker) bool { return a.PID == b.PID })
	if !same {
		h.t.Errorf("the service is %+v, was %+v", now, before)
	}
}

// says fails the test unless text has each of the parts.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("it says\n%s\nand not %q", text, part)
		}
	}
}

// follow does what an install says that brings its change to the service, and waits
// until all workers are of that generation.
func (h *host) follow(out string, generation int) {
	h.t.Helper()
	_, rest, _ := strings.Cut(out, "app.service runs as before until: sudo ")
	command, _, ok := strings.Cut(rest, " (")
	if !ok {
		h.t.Fatalf("it says no command to come:\n%s", out)
	}
	h.Must(strings.Fields(command)...)
	h.rolled(generation)
}

// rolled waits until all workers are of that generation: a restart returns before.
func (h *host) rolled(generation int) {
	h.t.Helper()
	h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool {
		return strings.HasPrefix(e.Message, fmt.Sprintf("reload done generation=%d", generation))
	})
}

func TestInstallAgainChangesWhatDiffersAndNoMore(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.expectFound() // at a restart
		h.program(`require('http').createServer((q, r) => r.end(process.env.A + ' ' + process.env.B)).listen(3000)`)
		h.install("--listen", "8080=3000", "--workers", "2")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		stamps, running := h.stamps(), h.status()
		if out, want := h.install("--listen", "8080=3000", "--workers", "2"), "app is installed like this already: nothing was changed"; out != want {
			t.Errorf("the same again says %q, want %q", out, want)
		}
		h.written(stamps)
		h.untouched(running)

		out := h.install("--listen", "8080=3000", "--workers", "3")
		says(t, out, "/etc/rondo/app.toml\n  - workers = 2\n  + workers = 3\n")
		h.written(stamps, "/etc/rondo/app.toml")
		h.untouched(running)
		h.follow(out, 2)
		st := h.until("three workers, and the old ones gone", func(st master.Status) bool { return st.Generation == 2 && len(st.Workers) == 3 })
		if st.PID != running.PID {
			t.Errorf("after what it says for another number of workers: %+v", st)
		}

		stamps, running = h.stamps(), h.status()
		out = h.install("--listen", "8080=3000", "--workers", "3", "--env", "A=a")
		says(t, out, "/etc/systemd/system/app.service\n  + Environment=A=a\n")
		h.written(stamps, "/etc/systemd/system/app.service")
		h.untouched(running)
		h.follow(out, 3)
		if got := h.get("tcp", "127.0.0.1:8080"); got != "a undefined" {
			t.Errorf("after what it says for another environment the worker has %q", got)
		}

		const dropIn = "/etc/systemd/system/app.service.d/x.conf"
		h.WriteFile(dropIn, 0o644, "[Service]\nEnvironment=B=b\n")
		h.Must("systemctl", "daemon-reload")
		stamps = h.stamps()
		for _, workers := range []string{"3", "2"} {
			says(t, h.install("--listen", "8080=3000", "--workers", workers, "--env", "A=a"), dropIn+" stays, and changes what the units say")
		}
		h.written(stamps, "/etc/rondo/app.toml")
		h.Must("systemctl", "restart", "app.service")
		h.rolled(4)
		if got := h.get("tcp", "127.0.0.1:8080"); got != "a b" {
			t.Errorf("with a drop-in the worker has %q", got)
		}
		says(t, h.Must("rondo", "uninstall", "app"), "kept "+dropIn+", which is not rondo's")
		h.Must("ls", dropIn)
	})
}

// older makes a unit what another rondo, which did not know that line, wrote.
func (h *host) older(unit, line string) {
	h.t.Helper()
	path := "/etc/systemd/system/" + unit
	text, err := h.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	_, body, _ := strings.Cut(text, "\n")
	if !strings.Contains(body, line+"\n") {
		h.t.Fatalf("%s has no %s:\n%s", path, line, text)
	}
	body = strings.Replace(body, line+"\n", "", 1)
	h.WriteFile(path, 0o644, fmt.Sprintf("# rondo 0.0.1 sha256=%x\n%s", sha256.Sum256([]byte(body)), body))
}

// edit replaces text in a unit, as a person would.
func (h *host) edit(unit, old, new string) {
	h.t.Helper()
	h.Must("sed", "--in-place", "s/^"+old+"$/"+new+"/", "/etc/systemd/system/"+unit)
}

// doctor is what rondo doctor finds wrong.
func (h *host) doctor() string {
	h.t.Helper()
	out, err := h.rondo("doctor", "app")
	if wrong := !strings.Contains(out, "nothing is wrong"); wrong != (err != nil) {
		h.t.Errorf("rondo doctor exits with %v and says\n%s", err, out)
	}
	return out
}

func TestRefreshWritesAnewWhatNobodyEdited(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		const socket, service = "/etc/systemd/system/app.socket", "/etc/systemd/system/app.service"
		h.expectFound() // at a restart
		h.program(`require('http').createServer((q, r) => r.end('hello')).listen(3000)`)
		h.install("--listen", "8080=3000", "--workers", "1")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		running := h.status()
		h.older("app.socket", "Description=app sockets (rondo)")
		h.older("app.service", "WatchdogSec=30s")
		h.Must("systemctl", "daemon-reload")
		says(t, h.doctor(), socket+" is outdated: rondo 0.0.1 wrote it", service+" is outdated: rondo 0.0.1 wrote it", "sudo rondo install --refresh app\n")
		out := h.Must("rondo", "install", "--refresh")
		says(t, out, socket+"\n  + Description=app sockets (rondo)\n", service+"\n  + WatchdogSec=30s\n")
		says(t, h.doctor(), "app: nothing is wrong")
		h.untouched(running)
		h.follow(out, 2)
		if got := h.Show("app.service", "WatchdogUSec")["WatchdogUSec"]; got != "30s" {
			t.Errorf("the service has a watchdog of %s", got)
		}

		h.edit("app.socket", "Backlog=4096", "Backlog=77")
		h.older("app.service", "WatchdogSec=30s")
		h.Must("systemctl", "daemon-reload")
		says(t, h.doctor(), socket+" was edited: rondo does not bring it up to date", service+" is outdated")
		stamps := h.stamps()
		says(t, h.Must("rondo", "install", "--refresh", "app"), socket+" was edited, and stays so")
		h.written(stamps, service)

		// An edit of what must change: nothing is written, and a word says so.
		h.older("app.service", "WatchdogSec=30s")
		h.edit("app.service", "OOMPolicy=continue", "OOMPolicy=stop")
		h.Must("systemctl", "daemon-reload")
		says(t, h.doctor(), socket+" was edited", service+" was edited", "sudo rondo install --refresh --overwrite --apply-sockets app")
		stamps = h.stamps()
		_, err := h.rondo("install", "--refresh", "app")
		if err == nil {
			t.Fatal("a refresh of what was edited succeeded")
		}
		says(t, err.Error(), "rondo: install: "+service+" was edited, and would lose that: put the edit into a drop-in (sudo systemctl edit app.service), or give it up with --overwrite")
		h.written(stamps)
		out = h.Must("rondo", "install", "--refresh", "--overwrite", "--apply-sockets", "app")
		says(t, out, "  - Backlog=77\n  + Backlog=4096\n", "  - OOMPolicy=stop\n", "  + OOMPolicy=continue\n", "the sockets were opened anew")
		says(t, h.doctor(), "app: nothing is wrong")
		if got := h.get("tcp", "127.0.0.1:8080"); got != "hello" {
			t.Errorf("answer %q, want hello", got)
		}
	})
}

// The second install waits for the first, which waits for the program; then it
// finds what the first one wrote.
func TestInstallsAtOnceFollowEachOther(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.program(`(function again() {
  if (!require('fs').existsSync('/srv/app/go')) return setTimeout(again, 20);
  require('http').createServer((q, r) => r.end('hello')).listen(3000);
})()`)
		install := func(workers string) *machine.Background {
			return h.Start(machine.Command{Dir: "/srv/app", Args: []string{"sh", "-c",
				`exec rondo install --name app --bind --workers "$1" -- node server.js 2>&1`, "sh", workers}})
		}
		first := install("1") // without a socket, so that it starts the service
		h.Await("app.service", func(p map[string]string) bool { return p["ActiveState"] == "activating" }, "ActiveState")
		second := install("2")
		waits := second.Line(func(line string) bool { return strings.HasPrefix(line, "rondo: ") })
		if want := fmt.Sprintf("rondo: waiting for another rondo (pid %d), which changes this machine", first.PID()); waits != want {
			t.Errorf("the second says %q, want %q", waits, want)
		}
		h.WriteFile("/srv/app/go", 0o644, "")
		if err := first.Wait(); err != nil {
			t.Errorf("the first: %v", err)
		}
		second.Line(func(line string) bool { return line == "  + workers = 2" })
		if err := second.Wait(); err != nil {
			t.Errorf("the second: %v", err)
		}
		says(t, h.doctor(), "app: nothing is wrong")
		if out, err := h.Run("ls", "/run/rondo-install.lock"); err == nil {
			t.Errorf("left behind: %s", out)
		}
	})
}

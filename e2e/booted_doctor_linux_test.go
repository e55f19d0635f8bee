//go:build linux && !portable

package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
)

const serves = `require('http').createServer((q, r) => r.end('serves')).listen(3000)`

// finding is one thing that doctor says is wrong, and the command below it.
type finding struct{ what, mend string }

// examined runs doctor, which must exit as it is documented to.
func (h *host) examined() (found []finding, notes []string) {
	h.t.Helper()
	out, err := h.rondo("doctor", "app")
	well := false
	for line := range strings.Lines(out + "\n") {
		line = strings.TrimSuffix(line, "\n")
		what, told := strings.CutPrefix(line, "app: ")
		note, noted := strings.CutPrefix(what, "note: ")
		mend, mends := strings.CutPrefix(line, "    ")
		switch {
		case noted:
			notes = append(notes, note)
		case told && what == "nothing is wrong":
			well = true
		case told:
			found = append(found, finding{what: what})
		case mends && len(found) > 0 && found[len(found)-1].mend == "":
			found[len(found)-1].mend = mend
		default:
			h.t.Errorf("doctor says %q", line)
		}
	}
	for _, f := range found {
		h.t.Logf("%s\n    %s", f.what, f.mend)
		if f.mend == "" {
			h.t.Errorf("no command mends %q", f.what)
		}
	}
	code, end := 0, ""
	if exit, ok := errors.AsType[*machine.ExitError](err); ok {
		code, end = exit.Code, exit.Stderr
	}
	want := ""
	if len(found) > 0 {
		want = fmt.Sprintf("rondo: doctor: found %d: each is followed by the command that mends it\n", len(found))
	}
	if well != (code == 0) || end != want || code != min(len(found), 1) {
		h.t.Errorf("doctor exits with %d and %q, having found %d; %v", code, end, len(found), err)
	}
	return found, notes
}

// finds fails the test unless doctor finds just what matches the patterns.
func (h *host) finds(patterns ...string) []finding {
	h.t.Helper()
	found, _ := h.examined()
	for i, f := range found {
		if i >= len(patterns) || !regexp.MustCompile("^(?:"+patterns[i]+")$").MatchString(f.what) {
			h.t.Errorf("doctor finds %q, want %q", f.what, patterns)
		}
	}
	if len(found) != len(patterns) {
		h.t.Fatalf("doctor finds %q, want %q", found, patterns)
	}
	return found
}

// obey runs the commands just as doctor prints them, where a person's editor would
// do what sed does by edit.
func (h *host) obey(edit string, found ...finding) (shown string) {
	h.t.Helper()
	for name, script := range map[string]string{"sudo": `exec "$@"`, "sudoedit": `exec sed --in-place "$EDIT" "$@"`} {
		h.WriteFile("/usr/local/bin/"+name, 0o755, "#!/bin/sh\n"+script+"\n")
	}
	for _, f := range found {
		out, err := h.RunIn(machine.Command{Args: []string{"sh", "-c", f.mend}, Env: []string{"EDIT=" + edit}})
		if err != nil {
			h.t.Errorf("%s: %v", f.mend, err)
		}
		shown += out
	}
	return shown
}

// mended has doctor find what matches the patterns, obeys, and has it find nothing.
func (h *host) mended(edit string, patterns ...string) {
	h.t.Helper()
	h.obey(edit, h.finds(patterns...)...)
	h.finds()
}

func TestDoctorFreesAPortAndHasTheSocketListen(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		for _, name := range []string{"port in use", "socket not received", "socket fails for it", "socket fails", "socket does not listen", "restart with its socket drains"} {
			h.Expect(name)
		}
		h.program(serves)
		h.install("--listen", "8080=3000", "--workers", "1")
		h.finds()
		h.Must("systemctl", "stop", "app.socket")
		h.mended("", `app\.socket is enabled and does not listen`)
		h.Must("systemctl", "disable", "--now", "app.socket")
		h.mended("", `app\.socket neither listens nor is enabled to`)
		h.Must("systemctl", "disable", "app.socket")
		h.mended("", `app\.socket listens, and will not after a reboot: it is not enabled`)

		const program = `require('net').createServer().listen(8080, () => console.log('listens'))`
		h.WriteFile("/srv/other.js", 0o644, program)
		h.WriteFile("/etc/systemd/system/other.socket", 0o644, "[Socket]\nListenStream=8080\n[Install]\nWantedBy=sockets.target\n")
		h.WriteFile("/etc/systemd/system/other.service", 0o644, "[Service]\nExecStart=true\n")
		var process *machine.Background
		for _, other := range []struct {
			take, gone func()
			who        string
		}{
			{func() {
				process = h.Start(machine.Command{Args: []string{"node", "/srv/other.js"}})
				process.Line(func(line string) bool { return line == "listens" })
			}, func() {
				if err := process.Wait(); err == nil {
					t.Error("the other process has ended by itself")
				}
			}, `node \(pid \d+\)`},
			{func() {
				h.Must("systemd-run", "--unit=taker", "--property=Type=exec", "node", "/srv/other.js")
				h.AwaitEntry(machine.Filter{Unit: "taker.service"}, func(e machine.Entry) bool { return e.Message == "listens" })
			}, func() { h.is("taker.service", "inactive") }, `node \(pid \d+\)`},
			{func() { h.Must("systemctl", "start", "other.socket") }, func() { h.is("other.socket", "inactive") }, `other\.socket, which is of other\.service`},
		} {
			h.Must("systemctl", "stop", "app.socket")
			other.take()
			taken := `8080=3000: the port is taken by ` + other.who
			h.finds(`app\.socket is enabled and does not listen: ` + taken)
			if out, err := h.Systemctl("start", "app.socket"); err == nil {
				t.Fatalf("app.socket listens: %s", out)
			}
			h.mended("", `app\.socket failed: `+taken)
			other.gone()
			if got := h.get("tcp", "127.0.0.1:8080"); got != "serves" {
				t.Errorf("answer %q, want serves", got)
			}
		}

		// A socket that is gone while the service runs, which then must be started anew.
		h.started()
		h.Must("systemctl", "stop", "--job-mode=ignore-dependencies", "app.socket")
		h.is("app.service", "active")
		h.mended("", `app\.socket is enabled and does not listen`)
		h.get("tcp", "127.0.0.1:8080")

		// A drop-in adds an address, which the manager does not open beside the service.
		h.started()
		h.Expect("socket not opened beside the service")
		h.Expect("nobody listens on more")
		h.WriteFile("/etc/systemd/system/app.socket.d/more.conf", 0o644, "[Socket]\nListenStream=127.0.0.1:9091\n")
		h.Must("systemctl", "daemon-reload")
		h.obey("", h.finds(`app\.socket is active and does not listen on 127\.0\.0\.1:9091: .*`)...)
		h.get("tcp", "127.0.0.1:8080")
		h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool { return strings.HasPrefix(e.Message, "no worker listens on it: ") })
		h.finds(`no worker listens on 127\.0\.0\.1:9091 \(app\.socket\), .*`)
	})
}

func TestDoctorMendsUnitsAndSettings(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		for _, name := range []string{"worker cannot listen", "worker that cannot listen died", "mapping's last words", "service starts in vain", "start failed", "nobody listens"} {
			h.Expect(name)
		}
		h.program(serves)
		h.install("--listen", "8080=3000", "--workers", "1", "--backoff", "10ms..50ms")
		h.leftOut()

		h.edit("app.service", "OOMPolicy=continue", "OOMPolicy=stop")
		h.edit("app.socket", "Backlog=4096", "Backlog=77")
		h.mended("", `/etc/systemd/system/app\.socket was edited: .*`, `/etc/systemd/system/app\.service was edited: .*`,
			`the files of app\.socket changed since the manager read them; the files of app\.service changed since the manager read them`)

		// The program is gone: before the first start, and while it runs.
		h.Must("mv", "/srv/app/server.js", "/srv/app/other.js")
		h.mended("s/server.js/other.js/", `/etc/rondo/app\.toml: command: /srv/app/server\.js: file does not exist`)
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		h.program(strings.Replace(serves, "'serves'", "'anew'", 1))
		h.Must("rm", "/srv/app/other.js")
		h.mended("s/other.js/server.js/", `/etc/rondo/app\.toml: command: /srv/app/other\.js: file does not exist`)
		if got := h.get("tcp", "127.0.0.1:8080"); got != "anew" {
			t.Errorf("answer %q, want anew: the service runs another program than it should", got)
		}
		h.Must("sed", "--in-place", "s/^workers/wokers/", "/etc/rondo/app.toml")
		h.mended("s/^wokers/workers/", `/etc/rondo/app\.toml:\d+: unknown key "wokers": did you mean "workers"\?`)
		h.Must("rondo", "uninstall", "app")

		// It listens on another port than the listener is mapped to.
		h.install("--listen", "8080=3001", "--workers", "1", "--backoff", "10ms..50ms")
		got := h.connect("tcp", "127.0.0.1:8080")
		h.fails("could not listen")
		h.mended("s/3001/3000/", `app\.service does not get ready \(restarts: \d+\): its program listens on \S*:3000, `+
			`which no listener of /etc/rondo/app\.toml is mapped to: they are 8080=3001`)
		if a := <-got; a.text != "anew" {
			t.Errorf("the connection that waited: %q, %v", a.text, a.err)
		}
		h.Must("rondo", "uninstall", "app")

		// It serves one listener and not the other.
		h.install("--listen", "8080=3000", "--listen", "other@8081=3001", "--workers", "1")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		got = h.connect("tcp", "127.0.0.1:8081")
		h.mended("s/3001/3000/", `no worker listens on \[::\]:8081 \(other\), so its connections wait for ever: map it in /etc/rondo/app\.toml .*`)
		if a := <-got; a.text != "anew" {
			t.Errorf("the connection that waited: %q, %v", a.text, a.err)
		}
	})
}

// leftOut checks what doctor notes of a systemd that does not know all: that the
// units are without it; and of one that knows it, that they have it.
func (h *host) leftOut() {
	h.t.Helper()
	units := h.Must("sh", "-c", "cat /etc/systemd/system/app.*")
	found, notes := h.examined()
	if len(found) > 0 {
		h.t.Errorf("doctor finds %q", found)
	}
	what := regexp.MustCompile(`([A-Za-z]+=[a-z]*) \(so `).FindAllStringSubmatch(strings.Join(notes, "\n"), -1)
	version, _, _ := strings.Cut(strings.TrimPrefix(h.Must("systemctl", "--version"), "systemd "), " ")
	if version == "252" {
		h.t.Logf("doctor notes %q", notes)
		if len(notes) != 1 || !strings.HasPrefix(notes[0], "the units leave out what systemd 252 does not know: ") || len(what) != 2 {
			h.t.Errorf("doctor notes %q", notes)
		}
		for _, directive := range what {
			if strings.Contains(units, "\n"+directive[1]) {
				h.t.Errorf("the units have %s", directive[1])
			}
		}
		if !strings.Contains(units, "\nUser=") {
			h.t.Error("the service has no static account")
		}
		return
	}
	if len(notes) > 0 {
		h.t.Errorf("doctor notes %q", notes)
	}
	for _, directive := range []string{"PollLimitBurst=", "PrivateTmp=disconnected"} {
		if !strings.Contains(units, "\n"+directive) {
			h.t.Errorf("the units have no %s", directive)
		}
	}
}

func TestDoctorShowsWhyTheProgramDies(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		for _, name := range []string{"worker died", "worker killed", "start's last words", "service starts in vain", "start failed", "trigger limit", "trigger limit result"} {
			h.Expect(name)
		}
		const dies = `console.error('no database'); process.exit(7)`
		h.program(dies)
		h.install("--listen", "8080=3000", "--workers", "2", "--backoff", "10ms..100ms")
		why := `every worker died 3 times before it was ready; the last one exited with code 7; its last output: (?:journalctl -t app/\d -n 20)`
		shows := func(found ...finding) {
			t.Helper()
			if shown := h.obey("", found...); !strings.Contains(shown, "no database") {
				t.Errorf("%q show not why: %s", found, shown)
			}
		}
		got := h.connect("tcp", "127.0.0.1:8080")
		h.fails("exited with code 7")
		found := h.finds(`app\.service does not get ready \(restarts: \d+\): ` + why)
		shows(found...)
		shows(finding{mend: regexp.MustCompile(`journalctl -t app/\d -n 20`).FindString(found[0].what)})
		h.program(serves)
		if a := <-got; a.text != "serves" {
			t.Errorf("the connection that waited: %q, %v", a.text, a.err)
		}
		h.started()
		h.finds()

		// One worker does not come again, then none does.
		h.program(dies)
		h.killed(1)
		shows(h.finds(`app\.service has no worker in slot 1: its last one exited with code 7`)...)
		h.killed(0)
		shows(h.finds(`app\.service has no ready worker: the last one exited with code 7`)...)
		h.program(serves)
		for _, slot := range []string{" slot=0 ", " slot=1 "} {
			times := 0
			h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool {
				if strings.HasPrefix(e.Message, "worker became ready ") && strings.Contains(e.Message, slot) {
					times++
				}
				return times == 2 // at first, and now
			})
		}
		h.finds()

		// A drop-in has the socket give up with the service.
		h.Must("systemctl", "stop", "app.service")
		h.program(dies)
		const limit = "/etc/systemd/system/app.socket.d/limit.conf"
		h.WriteFile(limit, 0o644, "[Socket]\nTriggerLimitIntervalSec=1h\nTriggerLimitBurst=2\n")
		h.WriteFile("/etc/systemd/system/app.service.d/once.conf", 0o644, "[Service]\nRestart=no\n")
		h.Must("systemctl", "daemon-reload")
		got = h.connect("tcp", "127.0.0.1:8080")
		h.Await("app.socket", func(p map[string]string) bool { return p["Result"] == "trigger-limit-hit" }, "Result")
		if a := <-got; a.err == nil {
			t.Errorf("a connection to a socket that gave up: %q", a.text)
		}
		found = h.finds(`app\.socket failed: connections started the service too often, by a limit that is not rondo's \(trigger-limit-hit\): see `+regexp.QuoteMeta(limit),
			`app\.service failed: exit-code; it said last: `+why)
		h.program(serves)
		shows(found...)
		h.finds()
		h.get("tcp", "127.0.0.1:8080")
	})
}

// fails waits until the service has failed to start, with these words, and is
// started again.
func (h *host) fails(words string) {
	h.t.Helper()
	h.AwaitEntry(machine.Filter{Identifier: "app", Priority: "err"}, func(e machine.Entry) bool { return strings.Contains(e.Message, words) })
	h.Await("app.service", func(p map[string]string) bool { return p["NRestarts"] != "0" }, "NRestarts")
}

// killed kills the worker of a slot, and waits until the program has died in it.
func (h *host) killed(slot int) {
	h.t.Helper()
	for _, w := range h.status().Workers {
		if w.Slot == slot {
			h.Must("kill", "-KILL", strconv.Itoa(w.PID))
		}
	}
	kills := 0
	h.AwaitEntry(machine.Filter{Identifier: "app"}, func(e machine.Entry) bool {
		if !strings.Contains(e.Message, fmt.Sprintf(" slot=%d ", slot)) {
			return false
		}
		if strings.Contains(e.Message, "was killed by SIGKILL") {
			kills++
		}
		return kills == 1 && strings.Contains(e.Message, "exited with code 7")
	})
}

func TestDoctorDoesNotWaitForAStoppedMaster(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("stopped master")
		h.program(serves)
		h.install("--listen", "8080=3000", "--workers", "1")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		pid := h.status().PID
		h.Must("kill", "-STOP", strconv.Itoa(pid))
		h.mended("", `app\.service is active, and its master has not answered for 3s`)
		if now := h.status().PID; now == pid {
			t.Errorf("the master is %d, as before", now)
		}
		h.get("tcp", "127.0.0.1:8080")
	})
}

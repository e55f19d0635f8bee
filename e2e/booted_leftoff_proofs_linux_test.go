//go:build linux && !portable

package e2e

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/rondokit/rondo/e2e/machine"
)

// answers is of a directive with which the service starts, and its program tells
// these things otherwise, and nothing else: "name=value".
func answers(changes ...string) func(*scene, string) {
	return func(s *scene, directive string) {
		s.t.Helper()
		s.switchOn(directive)
		if err := s.restart(); err != nil {
			s.t.Errorf("with %s: %v", directive, err)
			return
		}
		want := maps.Clone(s.usual)
		for _, change := range changes {
			key, value, _ := strings.Cut(change, "=")
			if want[key] == value {
				s.t.Errorf("with %s nothing would change: %s is %s without", directive, key, value)
			}
			want[key] = value
		}
		if got := s.answer(); !maps.Equal(got, want) {
			s.t.Errorf("with %s the worker tells %v, want %v", directive, got, want)
		}
	}
}

// ends switches on a directive with which the service does not start, but ends with
// this status. It says whether that was so.
func (s *scene) ends(directive, status string) bool {
	s.t.Helper()
	s.switchOn(directive, "Restart=no")
	if s.restart() == nil {
		s.t.Errorf("with %s the service starts", directive)
		return false
	}
	s.Expect("service starts in vain")
	s.Expect("start failed")
	got := s.property("ExecMainStatus")
	if got != status {
		s.t.Errorf("with %s the service ends with %s, want %s", directive, got, status)
	}
	return got == status
}

func (s *scene) killsNodeAndNotGo(directive string) {
	s.t.Helper()
	if s.ends(directive, "1") {
		s.Expect("worker trapped")
		s.Expect("trap's last words")
	}
	s.switchOn(directive, "ExecStart=", "ExecStart=/usr/local/bin/rondo run --name app --listen 8080=3000 -- /usr/local/bin/confined")
	if err := s.restart(); err != nil {
		s.t.Errorf("a Go program with %s: %v", directive, err)
		return
	}
	if got := s.get(s.network, s.address); got != "connected" {
		s.t.Errorf("a Go program with %s tells %q, want connected", directive, got)
	}
}

func (s *scene) endsTheMaster(directive string) {
	s.t.Helper()
	if s.ends(directive, "1") {
		s.AwaitEntry(machine.Filter{Unit: "app.service"}, func(e machine.Entry) bool {
			return strings.HasSuffix(e.Message, "notify: socket for /run/systemd/notify: address family not supported by protocol")
		})
	}
}

func (s *scene) deniesBatch(directive string) {
	s.t.Helper()
	s.Expect("no SCHED_BATCH")
	answers("batch=1")(s, directive)
}

func (s *scene) hidesTheProgram(directive string) {
	s.t.Helper()
	_, directory, _ := strings.Cut(directive, "=")
	s.Must("mkdir", "-p", directory)
	if s.ends(directive, "203") && s.app.Systemd >= 257 { // EXIT_EXEC
		s.Expect("step EXEC")
	}
}

// hidesTheApp is of a directive with which rondo says this.
func hidesTheApp(message string) func(*scene, string) {
	return func(s *scene, directive string) {
		s.t.Helper()
		if s.ends(directive, "1") {
			s.Expect(message)
		}
	}
}

func (s *scene) deniesAddresses(directive string) {
	s.t.Helper()
	if s.Must("systemd-run", "--quiet", "--pipe", "--wait", "--property=IPAddressDeny=any",
		"bash", "-c", "(echo >/dev/udp/127.0.0.1/9) 2>/dev/null && echo sent || echo denied") == "sent" {
		s.t.Logf("not checked: %s: systemd denies nobody an address here, for want of BPF", directive)
		return
	}
	answers("others=EPERM", "itself=EPERM")(s, directive)
}

func (s *scene) hidesKeys(directive string) {
	s.t.Helper()
	if s.usual["keys"] != "found" {
		s.t.Logf("not checked: %s: there are no keyrings here: %s", directive, s.usual["keys"])
		return
	}
	answers("keys=no such file or directory")(s, directive)
}

func (s *scene) removesSharedMemory(directive string) {
	s.t.Helper()
	for _, with := range []string{"RemoveIPC=no", directive} {
		s.switchOn(with)
		if err := s.restart(); err != nil {
			s.t.Errorf("with %s: %v", with, err)
			return
		}
		const segment = "/dev/shm/rondo-e2e"
		s.Must("install", "--owner="+s.app.User, "/dev/null", segment)
		s.Must("systemctl", "stop", "app.service")
		if _, err := s.Run("test", "-e", segment); (err == nil) == (with == directive) {
			s.t.Errorf("with %s another's %s after a stop: %v", with, segment, err)
		}
	}
}

// endsTemporaryFiles kills the master, which the workers survive.
func (s *scene) endsTemporaryFiles(directive string) {
	s.t.Helper()
	for _, name := range []string{"main process killed", "killed result", "workers found", "left behind means"} {
		s.Expect(name)
	}
	for _, with := range []string{"", directive} {
		s.switchOn(with)
		if err := s.restart(); err != nil {
			s.t.Errorf("with %q: %v", with, err)
			return
		}
		before := s.status()
		s.Must("kill", "-KILL", strconv.Itoa(before.PID))
		s.Await("app.service", func(p map[string]string) bool {
			return p["ActiveState"] == "active" && p["MainPID"] != strconv.Itoa(before.PID)
		}, "ActiveState", "MainPID")
		want := maps.Clone(s.usual)
		if with != "" {
			want["temporary"] = "ENOENT"
		}
		if got := s.answer(); !maps.Equal(got, want) {
			s.t.Errorf("with %q a worker that has survived the master tells %v, want %v", with, got, want)
		}
		if after := s.status(); after.Workers[0].PID != before.Workers[0].PID {
			s.t.Errorf("with %q the worker did not survive the master: %+v, then %+v", with, before, after)
		}
	}
	s.switchOn()
	s.Must("systemctl", "stop", "app.service")
	// A dynamic user leaves a link, with which the service does not start for another.
	s.Must("sh", "-c", "[ ! -L /run/rondo/app ] || rm /run/rondo/app")
}

// What a user's manager makes of a directive.
const (
	passedOver    = "passes over it"
	failing       = "fails with it"
	userNamespace = "makes a user namespace for it, in which root is nobody and may not ask for the status"
)

// byUser is of a directive of which a user's manager makes this, in systemd 252 and
// in 257. The messages are what the manager says of it.
func byUser(in252, in257 string, messages ...string) func(*scene, string) {
	return func(s *scene, directive string) {
		s.t.Helper()
		want := in252
		if s.app.Systemd >= 257 {
			want = in257
		}
		if got := s.triesUser(directive); got != want {
			s.t.Errorf("of %s a user's manager %s, want: it %s", directive, got, want)
			return
		}
		for _, m := range messages {
			name, systemd, _ := strings.Cut(m, "@")
			if systemd == "" || systemd == fmt.Sprint(s.app.Systemd) {
				s.Expect(name)
			}
		}
	}
}

// triesUser gives what the user's manager makes of a directive.
func (s *scene) triesUser(directive string) string {
	s.t.Helper()
	s.switchOn(directive, "Restart=no")
	if s.restart() != nil {
		s.Expect("service starts in vain")
		s.Expect("start failed")
		status := s.property("ExecMainStatus")
		if status != "218" && status != "226" { // EXIT_CAPABILITIES, EXIT_NAMESPACE
			return "ends the service with " + status
		}
		return failing
	}
	spaces := s.namespaces()
	if spaces == s.spaces { // what it filters of system calls SystemCallFilter= does
		return passedOver
	}
	_, err := s.Run("/usr/local/bin/rondo", "status", "app")
	if err == nil || !strings.Contains(err.Error(), "uid 65534 may not use the control socket") {
		return fmt.Sprintf("makes of %s these: %s, and root is told: %v", s.spaces, spaces, err)
	}
	return userNamespace
}

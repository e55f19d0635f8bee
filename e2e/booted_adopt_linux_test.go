//go:build linux && !portable

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/master"
)

// keeping installs a service of two workers that keep files: one of Node, one of Go. It
// is of the system's manager, or of that of user.
func (h *host) keeping(user string, flags ...string) {
	h.t.Helper()
	text, err := os.ReadFile("testdata/keeps.js")
	if err != nil {
		h.t.Fatal(err)
	}
	h.program(string(text))
	h.WriteFile("/srv/app/run", 0o755, "#!/bin/sh\ncase $RONDO_SLOT in 0) exec node server.js;; *) exec keeps;; esac\n")
	if user != "" {
		flags = append(flags, "--user")
	}
	args := append([]string{"/usr/local/bin/rondo", "install", "--name", "app", "--listen", "8080=3000", "--workers", "2"}, flags...)
	if out, err := h.RunIn(machine.Command{Args: append(args, "--", "/srv/app/run"), Dir: "/srv/app", User: user}); err != nil {
		h.t.Fatal(err, out)
	}
	h.get("tcp", "127.0.0.1:8080")
	h.until("ready", func(st master.Status) bool { return st.State == "ready" })
}

// kept is what each of the two workers answers, by its pid.
func (h *host) kept() map[string]map[string]string {
	h.t.Helper()
	all := map[string]map[string]string{}
	for range 2 { // in turn
		got := make(map[string]string)
		if err := json.Unmarshal([]byte(h.get("tcp", "127.0.0.1:8080")), &got); err != nil {
			h.t.Fatal(err)
		}
		all[got["pid"]] = got
	}
	return all
}

// TestSurvivingWorkerKeepsItsFilesAndItsSandbox is of every kind of account: the one that
// rondo makes, which is dynamic from systemd 257 on, one that there is, root, and a user
// who has a manager.
func TestSurvivingWorkerKeepsItsFilesAndItsSandbox(t *testing.T) {
	program := staticProgram(t, "keeps")
	onBooted(t, func(t *testing.T, h *host) {
		h.Expect("main process killed")
		h.Expect("killed result")
		h.expectFound()
		h.Expect("Go worker found")
		h.Copy(program, "/usr/local/bin/keeps")
		h.Must("useradd", "--system", "web")
		h.Must("useradd", "--create-home", "--uid", "1000", "alice")
		h.Must("loginctl", "enable-linger", "alice")
		h.Must("systemctl", "start", "user@1000.service")
		for _, kind := range []struct {
			user  string
			flags []string
			uid   string // if it is known
			able  map[string]string
		}{
			{able: sandboxed},
			{flags: []string{"--run-as", "web"}, uid: h.Must("id", "--user", "web"), able: sandboxed},
			{flags: []string{"--run-as", "root"}, uid: "0", able: rooted},
			{user: "alice", uid: "1000", able: filtered},
		} {
			what := fmt.Sprintf("an install by %q %q", kind.user, kind.flags)
			h.keeping(kind.user, kind.flags...)
			before := h.kept()
			if len(before) != 2 {
				t.Fatalf("%s: answered by %v, want two", what, slices.Collect(maps.Keys(before)))
			}
			for pid, answers := range before {
				h.able(fmt.Sprintf("%s: worker %s", what, pid), answers, kind.able)
				if got := answers["uid"]; got != kind.uid && kind.uid != "" {
					t.Errorf("%s: worker %s runs as %s, want %s", what, pid, got, kind.uid)
				}
			}
			for i := range 2 {
				last := h.status().PID
				h.Must("kill", "-KILL", strconv.Itoa(last))
				h.until("adopted", func(st master.Status) bool { return st.PID != last && st.State == "ready" && st.Adopted == i+1 })
				after := h.kept()
				for pid, answers := range before {
					h.alike(fmt.Sprintf("%s: kill %d: worker %s", what, i+1, pid), after[pid], answers)
				}
			}
			args := []string{"rondo", "uninstall", "app"}
			if kind.user != "" {
				args = append(args, "--user")
			}
			if out, err := h.RunIn(machine.Command{Args: args, User: kind.user}); err != nil {
				t.Fatal(err, out)
			}
		}
	})
}

// able fails the test unless a worker is kept from what it must not be able to do, and
// does all else: it makes files, finds those that it made by their names, and its memory.
func (h *host) able(who string, answers, kept map[string]string) {
	h.t.Helper()
	done := 0
	for what, got := range answers {
		want, ok := kept[what]
		if !ok {
			want = "done"
		}
		if got != want && what != "pid" && what != "uid" && want != "any" {
			h.t.Errorf("%s: %s: %s, want %s", who, what, got, want)
		}
		if strings.HasPrefix(what, "create in ") || strings.HasPrefix(what, "reopen in ") {
			done++
		}
	}
	if done != 8 { // in four directories
		h.t.Errorf("%s tells of %d files, want 8: %v", who, done, answers)
	}
}

// alike fails the test unless a worker answers what it did before.
func (h *host) alike(who string, after, before map[string]string) {
	h.t.Helper()
	for what, want := range before {
		if got := after[what]; got != want {
			h.t.Errorf("%s: %s: %s, before %s", who, what, got, want)
		}
	}
}

// sandboxed is what a worker must not be able to do, and how that is told.
var sandboxed = map[string]string{
	"write /etc/x": "EROFS", "write /srv/app/x": "EROFS", "write /usr/x": "EROFS",
	"list /home": "EACCES", "see process 1": "ENOENT", "packet socket": "EAFNOSUPPORT",
	"NoNewPrivs": "1", "Seccomp": "2", "CapBnd": "0000000000000000",
}

// rooted is the same of one that runs as root, as process 1 does.
var rooted = func() map[string]string {
	m := maps.Clone(sandboxed)
	m["see process 1"] = "done"
	return m
}()

// filtered is the same of a worker of a user's manager, which sees the machine as the
// user does.
var filtered = map[string]string{
	"write /etc/x": "EACCES", "write /srv/app/x": "EACCES", "write /usr/x": "EACCES",
	"packet socket": "EAFNOSUPPORT", "NoNewPrivs": "1", "Seccomp": "2", "CapBnd": "any",
}

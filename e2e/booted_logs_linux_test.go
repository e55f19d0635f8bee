//go:build linux && !portable

package e2e

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
)

// said is what a command that failed wrote to standard error, exactly one line.
func said(t *testing.T, err error) string {
	t.Helper()
	exit, ok := errors.AsType[*machine.ExitError](err)
	if !ok || exit.Code != 1 || strings.Count(exit.Stderr, "\n") != 1 {
		t.Fatalf("%v, want exit code 1 and one line", err)
	}
	return strings.TrimSuffix(exit.Stderr, "\n")
}

func TestFailedStartEndsWithAnErrorOfTheApp(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		for _, name := range []string{"worker died", "start's last words", "settings' last words", "service starts in vain", "start failed"} {
			h.Expect(name)
		}
		h.program(`process.exit(7)`)
		h.install("--listen", "8080=3000", "--workers", "1", "--backoff", "10ms..50ms")
		failsWith := func(words string) {
			t.Helper()
			if out, err := h.Systemctl("start", "app.service"); err == nil {
				t.Fatalf("the service has started: %s", out)
			}
			h.Must("systemctl", "stop", "app.service", "app.socket")
			last := ""
			for _, e := range h.Journal(machine.Filter{Unit: "app.service"}) {
				if e.Identifier == "app" && e.Priority == 3 {
					last = e.Message
				}
				if e.Identifier == "rondo" {
					t.Errorf("in the journal: %v", e)
				}
			}
			if !strings.HasPrefix(last, words) {
				t.Errorf("the last error of app in the journal is %q, want %q", last, words)
			}
		}
		failsWith("every worker died 3 times before it was ready; the last one exited with code 7")
		h.Must("sed", "-i", "s/^workers/wokers/", "/etc/rondo/app.toml")
		const slip = `unknown key "wokers": did you mean "workers"?`
		failsWith("/etc/rondo/app.toml:")
		_, err := h.rondo("run", "--config", "/etc/rondo/app.toml")
		if got := said(t, err); !strings.HasPrefix(got, "rondo: /etc/rondo/app.toml:") || !strings.HasSuffix(got, slip) {
			t.Errorf("not under the journal it says %q", got)
		}
	})
}

func TestFailedReloadShowsItsCallerWhatTheWorkerSaid(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		for _, name := range []string{"worker died", "reload failed", "reload's last words", "systemctl reload failed"} {
			h.Expect(name)
		}
		h.Must("useradd", "--system", "web")
		h.Must("useradd", "--groups", "systemd-journal", "reader")
		h.program(`require('http').createServer((q, r) => r.end('works')).listen(3000)`)
		h.install("--listen", "8080=3000", "--workers", "1", "--run-as", "web")
		h.Must("systemctl", "start", "app.service")
		h.program(`console.error('this deploy is broken'); process.exit(7)`)

		as := func(user string) string {
			t.Helper()
			_, err := h.RunIn(machine.Command{Args: []string{"rondo", "reload", "app"}, User: user})
			return said(t, err)
		}
		const why = "rondo: reload: worker of slot 0 (generation 2) exited with code 7; its last output: "
		number := regexp.MustCompile(`generation \d+`)
		says := func(got, want string) {
			t.Helper()
			if got := number.ReplaceAllString(got, "generation 2"); got != want {
				t.Errorf("it says %q, want %q", got, want)
			}
		}
		says(as("root"), why+"this deploy is broken")
		if out, err := h.Systemctl("reload", "app.service"); err == nil { // what it said Expect has seen
			t.Errorf("systemctl reload has succeeded: %s", out)
		}

		// The account may ask for a reload, and not read the journal.
		got := as("web")
		command := regexp.MustCompile(`journalctl [^;]*$`).FindString(got)
		if command == "" {
			t.Fatalf("it says %q, want a call of journalctl", got)
		}
		says(got, why+command)
		if shown := h.Must("sh", "-c", command); !strings.Contains(shown, "this deploy is broken") {
			t.Errorf("%s shows %s", command, shown)
		}
		h.Must("usermod", "--append", "--groups", "systemd-journal", "web")
		says(as("web"), why+"this deploy is broken")

		// Others may do nothing, whatever they may read.
		got = as("reader")
		says(got, "rondo: /run/rondo/app/control.sock is another user's: sudo rondo reload app")
		_, command, _ = strings.Cut(got, "sudo ")
		_, err := h.Run("sh", "-c", command)
		says(said(t, err), why+"this deploy is broken")
		if got := h.get("tcp", "127.0.0.1:8080"); got != "works" {
			t.Errorf("answer %q, want works", got)
		}
	})
}

func TestLogsOfAUsersOwnManagerAreShown(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Must("useradd", "--create-home", "--uid", "1000", "user")
		h.Must("loginctl", "enable-linger", "user")
		h.Must("systemctl", "start", "user@1000.service")
		run := func(args ...string) string {
			t.Helper()
			out, err := h.RunIn(machine.Command{Args: args, User: "user", Dir: "/home/user/site"})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		h.WriteFile("/home/user/site/server.js", 0o644, `console.log('hello from a worker');
require('http').createServer((q, r) => r.end()).listen(3000)`)
		h.Must("chown", "-R", "user:", "/home/user/site")
		installed := run("rondo", "install", "--user", "--name", "app", "--workers", "1", "--listen", "8080=3000", "--", "node", "server.js")
		command := regexp.MustCompile(`(?m)^ *(rondo logs [a-z -]*[a-z]) +what it says$`).FindStringSubmatch(installed)
		if command == nil {
			t.Fatalf("install tells of no command for the log:\n%s", installed)
		}
		shows := func(times int) {
			t.Helper()
			run("systemctl", "--user", "stop", "app.service")
			run("systemctl", "--user", "start", "app.service")
			words := []struct{ identifier, words string }{
				{"app/0", "hello from a worker"}, {"app", "serving generation=1 workers=1"}, {"systemd", "Started app.service - app (rondo)."},
			}
			for _, w := range words {
				seen := 0
				h.AwaitEntry(machine.Filter{Identifier: w.identifier}, func(e machine.Entry) bool {
					if e.Message == w.words {
						seen++
					}
					return seen == times
				})
			}
			shown := run("sh", "-c", command[1])
			for _, w := range words {
				if got := strings.Count(shown+"\n", "]: "+w.words+"\n"); got != times {
					t.Errorf("%s shows %d times %q, want %d:\n%s", command[1], got, w.words, times, shown)
				}
			}
		}
		shows(1)
		if got := run("rondo", "logs", "--user", "app", "-n", "1"); got == "" || strings.Contains(got, "\n") {
			t.Errorf("one line is %q", got)
		}

		// One that is not on disk has no file for each user.
		h.Must("usermod", "--append", "--groups", "systemd-journal", "user")
		h.WriteFile("/etc/systemd/journald.conf.d/volatile.conf", 0o644, "[Journal]\nStorage=volatile\n")
		h.Must("systemctl", "restart", "systemd-journald.service")
		shows(2)
	})
}

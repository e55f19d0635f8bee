//go:build linux && !portable

package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
)

// traces are what an install may make on a machine: files, links, directories,
// units as the manager has them, accounts.
func (h *host) traces() string {
	h.t.Helper()
	return h.Must("sh", "-c", `find /etc /run /var/lib -name 'app' -o -name 'app.*' -o -name '*app.service*' -o -name '*rondo*' | sort
systemctl list-units --all --no-legend 'app*'; systemctl list-unit-files --no-legend 'app*'; grep rondo- /etc/passwd /etc/group; true`)
}

// refuses runs an install that must fail with one line, which has the word, and
// leave nothing.
func (h *host) refuses(want string, args ...string) {
	h.t.Helper()
	_, err := h.rondo(append([]string{"install", "--name", "app"}, args...)...)
	h.refused(err, want)
}

func (h *host) refused(err error, want string) {
	h.t.Helper()
	exit, ok := errors.AsType[*machine.ExitError](err)
	if !ok {
		h.t.Fatalf("the install ended with %v, want it to fail", err)
	}
	line := strings.TrimSuffix(exit.Stderr, "\n")
	if !strings.HasPrefix(line, "rondo: install: ") || strings.Contains(line, "\n") || !strings.Contains(line, want) || exit.Code != 1 {
		h.t.Errorf("exit code %d, and it says\n%s\nwant 1 and one line with %q", exit.Code, line, want)
	}
	if left := h.traces(); left != "" {
		h.t.Errorf("after %q it leaves\n%s", want, left)
	}
	if left := h.Left("app.service"); len(left) > 0 {
		h.t.Errorf("after %q there run %v", want, left)
	}
}

func TestRefusedInstallLeavesNothing(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Must("useradd", "--system", "web")
		h.program(`require('http').createServer((q, r) => r.end('hello')).listen(3000)`)
		h.WriteFile("/srv/app/plain", 0o644, "#!/bin/sh\n")
		h.WriteFile("/srv/app/roots.js", 0o600, "")
		h.WriteFile("/srv/app/roots", 0o700, "#!/bin/sh\n")
		h.refuses("command: /srv/app/missing: file does not exist", "--listen", "8080=3000", "--", "./missing")
		h.refuses("command: /srv/app/missing.js: file does not exist", "--listen", "8080=3000", "--", "node", "missing.js")
		h.refuses("command: /srv/app/plain is not executable: chmod +x it", "--listen", "8080=3000", "--", "./plain")
		h.refuses("command: web may not read /srv/app/roots.js (owner root, mode 0600): chmod o+r /srv/app/roots.js",
			"--listen", "8080=3000", "--run-as", "web", "--", "node", "roots.js")
		h.refuses("command: web may not execute /srv/app/roots (owner root, mode 0700): chmod o+rx /srv/app/roots",
			"--listen", "8080=3000", "--run-as", "web", "--", "./roots")
		h.refuses("may not read /srv/app/roots.js", "--listen", "8080=3000", "--", "node", "roots.js") // as an account of its own
		h.refuses(`"8080=3000" and "unix:/run/x=3000" are sockets of two kinds`, "--listen", "8080=3000", "--listen", "unix:/run/x=3000", "--", "node", "server.js")
		h.refuses("[fe80::1%lo]:8080=3000: a link-local address is of one interface", "--listen", "[fe80::1%lo]:8080=3000", "--", "node", "server.js")

		p := h.Start(machine.Command{Args: []string{"node", "-e", `require('net').createServer().listen(8080, '127.0.0.1', () => console.log('up'))`}})
		p.Line(func(line string) bool { return line == "up" })
		for _, listen := range []string{"127.0.0.1:8080=3000", "8080=3000"} {
			h.refuses(fmt.Sprintf("--listen %s: the port is taken by node (pid %d)", listen, p.PID()), "--listen", listen, "--", "node", "server.js")
		}
		if err := p.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.Wait() // it was killed

		h.refuses("--listen unix:/etc: the path is there and is no socket", "--listen", "unix:/etc=3000", "--", "node", "server.js")
		// Only the manager finds this out, when all is written.
		for _, name := range []string{"socket not opened", "socket not opened, again", "socket failed", "socket not started"} {
			h.Expect(name)
		}
		h.refuses("start app.socket: failed; app.socket: unix:/etc/passwd/app.sock=3000: listen unix /etc/passwd/app.sock: bind: not a directory: "+
			"choose a path where sockets can be; all was taken back", "--listen", "unix:/etc/passwd/app.sock=3000", "--", "node", "server.js")

		// What is left is as if none had been: an install works.
		h.install("--listen", "8080=3000")
		if got := h.get("tcp", "127.0.0.1:8080"); got != "hello" {
			t.Errorf("answer %q, want hello", got)
		}
		h.started()

		// Also of a socket whose file is gone, and which the manager has still.
		h.Expect("socket without its file")
		h.Must("rm", "/etc/systemd/system/app.socket")
		h.Must("systemctl", "daemon-reload")
		h.Must("rondo", "uninstall", "app")
		if left := h.traces(); left != "" {
			t.Errorf("an uninstall leaves\n%s", left)
		}
	})
}

func TestInterruptedInstallIsTakenBack(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.program(`setInterval(() => {}, 1000)`) // is never ready
		p := h.Start(machine.Command{Dir: "/srv/app", Args: []string{"/usr/local/bin/rondo", "install", "--name", "app", "--workers", "1", "--", "node", "server.js"}})
		h.Await("app.service", func(p map[string]string) bool { return p["ActiveState"] == "activating" }, "ActiveState")
		interrupt(t, p)
		h.refused(p.Wait(), "app: interrupted: start app.service: interrupt signal received; all was taken back")

		// A change of addresses, which waits for what is in flight, is taken back without
		// any loss: the socket has not been closed yet.
		const address = "127.0.0.1:8080"
		h.serveGap(address)
		stamps := h.stamps()
		loads := h.gapLoads(address)
		rest := h.hold(address)
		p = h.Start(machine.Command{Dir: "/srv/app", Args: []string{"/usr/local/bin/rondo", "install", "--name", "app", "--listen", "8081=3000",
			"--apply-sockets", "--", "node", "server.js"}})
		h.Await("app.service", func(p map[string]string) bool { return p["ActiveState"] == "deactivating" }, "ActiveState")
		interrupt(t, p)
		starts := regexp.MustCompile(`app\.socket +start `)
		h.Await("app.socket", func(map[string]string) bool {
			return starts.MatchString(h.Must("systemctl", "list-jobs", "--no-legend"))
		}, "Job")
		h.WriteFile("/srv/app/go", 0o644, "")
		rest()
		err := p.Wait()
		if err == nil {
			t.Fatal("an interrupted change of addresses succeeded")
		}
		says(t, err.Error(), "rondo: install: app: interrupted: stop app.socket: interrupt signal received; all was taken back")
		h.written(stamps)
		h.is("app.socket", "active")
		h.is("app.service", "active")
		h.lostNothing(loads)
		says(t, h.doctor(), "app: nothing is wrong")
	})
}

func interrupt(t *testing.T, p *machine.Background) {
	t.Helper()
	if err := p.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// An app without a socket is started by its install, which waits until it serves.
func TestInstallOfAProgramThatCrashesIsTakenBack(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		for _, name := range []string{"worker died", "start's last words", "service starts in vain", "start failed"} {
			h.Expect(name)
		}
		flags := []string{"--workers", "1", "--backoff", "10ms..50ms", "--", "node", "server.js"}
		h.program(`console.error('the database is gone'); process.exit(7)`)
		h.refuses("app: start app.service: failed; app.service said last: every worker died 3 times before it was ready; the last one exited with code 7; "+
			"its last output: the database is gone; all was taken back", flags...)
		h.program(`process.on('exit', () => process.exitCode = 7); require('./none')`)
		h.refuses("the last one exited with code 7; its last output: Error: Cannot find module './none' (the rest: journalctl -t app/0 -n 20); all was taken back", flags...)
	})
}

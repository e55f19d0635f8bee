//go:build linux && !portable

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/e2e/machine"
)

func TestOneInstallOpensEachKindOfSocket(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.Must("useradd", "--system", "web")
		h.program(`const http = require('http');
for (const [where, name] of [[3000, 'http'], [3001, 'admin'], [3002, 'ipv6'], ['/run/front/app.sock', 'unix']])
	http.createServer((q, r) => r.end(name)).listen(where);`)
		h.install(
			"--listen", "http@127.0.0.1:8080=3000", "--listen", "admin@127.0.0.1:8081=3001",
			"--listen", "[::1]:8082=3002", "--listen", "unix:/run/front/app.sock", "--workers", "2",
			"--socket-mode", "0660", "--socket-user", "web", "--socket-group", "daemon")
		if got, want := h.Must("stat", "-c", "%F %a %U %G", "/run/front/app.sock"), "socket 660 web daemon"; got != want {
			t.Errorf("the unix socket is %s, want %s", got, want)
		}
		h.is("app.service", "inactive")
		for _, s := range []struct{ network, address, want string }{
			{"unix", "/run/front/app.sock", "unix"},
			{"tcp", "127.0.0.1:8080", "http"},
			{"tcp", "127.0.0.1:8081", "admin"},
			{"tcp", "[::1]:8082", "ipv6"},
		} {
			if got := h.get(s.network, s.address); got != s.want {
				t.Errorf("answer on %s %s is %q, want %q", s.network, s.address, got, s.want)
			}
		}
		h.started()
		var names []string
		for _, l := range h.status().Listeners {
			names = append(names, l.Name+" "+l.Address)
		}
		slices.Sort(names)
		want := []string{"admin 127.0.0.1:8081", "app-3.socket [::1]:8082", "app-3.socket unix:/run/front/app.sock", "http 127.0.0.1:8080"}
		if !slices.Equal(names, want) {
			t.Errorf("listeners %q, want %q", names, want)
		}
		h.Must("systemctl", "reload", "app")
		if got := h.get("unix", "/run/front/app.sock"); got != "unix" {
			t.Errorf("answer after a reload %q, want unix", got)
		}
		h.Must("/usr/local/bin/rondo", "uninstall", "app")
		if out, err := h.Run("ls", "-A", "/run/front"); err == nil && out != "" {
			t.Errorf("left after uninstall: %s", out)
		}
	})
}

func TestUserInstallsWithoutRightsUnderALingeringManager(t *testing.T) {
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
		program := func(answer string) {
			h.WriteFile("/home/user/site/server.js", 0o644, `
for (const port of [3000, 3001]) require('http').createServer((q, r) => r.end('`+answer+`')).listen(port)`)
		}
		program("old")
		h.Must("chown", "-R", "user:", "/home/user/site")
		run("/usr/local/bin/rondo", "install", "--user", "--name", "app", "--workers", "2",
			"--listen", "8080=3000", "--listen", "local@unix:/run/user/1000/app.sock=3001", "--", "node", "server.js")
		if got := h.Must("find", "/etc", "-name", "app.*"); got != "" {
			t.Errorf("the system has %s", got)
		}
		for _, want := range []string{"old", "new"} {
			program(want)
			if want == "new" {
				run("systemctl", "--user", "start", "app.service") // which waits until every worker is ready
				run("/usr/local/bin/rondo", "reload", "app")
				program("newest")
				run("systemctl", "--user", "reload", "app.service")
				want = "newest"
			}
			for _, s := range [][2]string{{"tcp", "127.0.0.1:8080"}, {"tcp", "[::1]:8080"}, {"unix", "/run/user/1000/app.sock"}} {
				if got := h.get(s[0], s[1]); got != want {
					t.Errorf("answer on %s is %q, want %q", s[1], got, want)
				}
			}
		}

		h.Reboot()
		h.Must("systemctl", "start", "user@1000.service") // which lingering starts, not waiting
		if got := h.get("tcp", "127.0.0.1:8080"); got != "newest" {
			t.Errorf("answer after the reboot %q, want newest", got)
		}
		run("/usr/local/bin/rondo", "uninstall", "--user", "app")
		if got := run("find", "/home/user", "-path", "*app*"); strings.TrimSpace(got) != "" {
			t.Errorf("left after uninstall: %s", got)
		}
	})
}

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/launchctl/launchctltest"
)

// newMac is a home in which launchctl is a test's, and the home of who runs it.
func newMac(t *testing.T) (*home, *launchctltest.Launchd) {
	t.Helper()
	launchd := launchctltest.New(t)
	h := newHome(t)
	h.env = append(h.env, "HOME="+h.dir, "SHELL=/bin/sh")
	return h, launchd
}

// freePort is one of 127.0.0.1 on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// does runs rondo, which is to end well and to print all that is wanted, in this order.
func (h *home) does(command string, want ...string) {
	h.t.Helper()
	h.says(0, command, want...)
}

// says is does with an exit code.
func (h *home) says(code int, command string, want ...string) {
	h.t.Helper()
	r := h.rondo(strings.Fields(command)...)
	rest, ok := r.stdout, r.code == code
	for _, text := range want {
		var found bool
		_, rest, found = strings.Cut(rest, text)
		ok = ok && found
	}
	if !ok {
		h.t.Errorf("rondo %s = %d\n%s%s\nwant %d and, in this order, %q", command, r.code, r.stdout, r.stderr, code, want)
	}
}

func TestAnAppOfLaunchdFromInstallToUninstall(t *testing.T) {
	h, launchd := newMac(t)
	domain := fmt.Sprintf("gui/%d", os.Getuid())
	job := h.dir + "/Library/LaunchAgents/rondo.app.plist"
	toml, log := h.dir+"/Library/Application Support/rondo/app.toml", h.dir+"/Library/Logs/rondo-app.log"
	called := func(want ...string) {
		t.Helper()
		if got := launchd.Calls(); !slices.Equal(got, want) {
			t.Errorf("launchctl was called with %q, want %q", got, want)
		}
	}
	const of = " --init launchd --user "
	install := func(port, more string) string {
		return "install" + of + more + " --rondo /bin/sh --name app --listen 127.0.0.1:" + port + "=3000 -- /bin/cat"
	}
	port := freePort(t)

	h.does(install(port, "--dry-run"), "# "+toml+"\n", "launchctl kickstart -k "+domain+"/rondo.app", "# "+job+"\n<?xml ", "<string>rondo.app</string>",
		"\napp would run as ", log+" would be made", "\nlaunchctl bootstrap "+domain+" "+job+"\nlaunchctl print "+domain+"/rondo.app\n"+
			"nothing was changed: this was a dry run\n"+untried+"\n")
	if _, err := os.Stat(job); err == nil {
		t.Error("a dry run wrote something")
	}
	called("print " + domain + "/rondo.app")

	h.does(install(port, ""), "app is installed, and runs as ", "  wrote "+toml, "  wrote "+job, "launchd listens on 127.0.0.1:"+port+", and starts rondo.app with the first connection",
		"  launchctl print "+domain+"/rondo.app", "  rondo logs --user app", untried)
	target := domain + "/rondo.app"
	called("print "+target, "bootstrap "+domain+" "+job, "print "+target, "print "+target)

	h.does(install(port, ""), "app is installed like this already: nothing was changed\n")
	launchd.Set("rondo.app", "state", "running")
	h.does(install(port, "--workers 3"), "  + workers = 3", "rondo.app runs as before until: rondo reload app (no connection is lost)")
	launchd.Calls()
	other := freePort(t)
	r := h.rondo(strings.Fields(install(other, "--workers 3"))...)
	if want := "rondo: install: nothing was changed: the property list changes, and launchd takes that only after it has closed the sockets and given the job up; " +
		"rondo.app finishes what it holds (at most 35s), and connections that wait or come until the sockets are open again are refused; with --apply-sockets that is done\n"; r.code != 1 || r.stderr != want {
		t.Errorf("an install with another port = %d %q, want %q", r.code, r.stderr, want)
	}
	called("print " + target)
	h.does(install(other, "--workers 3 --dry-run"), job+"\n  - ", "only with --apply-sockets: rondo.app finishes", "\nlaunchctl bootout "+target+"\nlaunchctl bootstrap ")
	launchd.Drain("rondo.app", 1)
	launchd.Calls()
	h.does(install(other, "--workers 3 --apply-sockets"), "are refused\n", "launchd listens on 127.0.0.1:"+other, "the sockets were opened anew\n")
	called("print "+target, "bootout "+target, "print "+target, "print "+target, "bootstrap "+domain+" "+job, "print "+target, "print "+target)

	h.does("units verify"+of+"app", job+": as written (rondo ")
	h.does("units verify "+job, job+": as written (rondo ")
	h.does("doctor"+of, untried+"\napp: nothing is wrong\n")
	if err := os.WriteFile(log, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{"app -n 2": "two\nthree\n", "app": "one\ntwo\nthree\n", "-n all app": "one\ntwo\nthree\n"} {
		if r := h.rondo(strings.Fields("logs" + of + args)...); r.code != 0 || r.stdout != want {
			t.Errorf("rondo logs %s = %d %q %q, want %q", args, r.code, r.stdout, r.stderr, want)
		}
	}
	for want, got := range map[string][]string{"tail -F /x": tail("/x", true, ""), "tail -n 5 -F /x": tail("/x", true, "5"), "tail -n +1 -F /x": tail("/x", true, "all")} {
		if strings.Join(got, " ") != want {
			t.Errorf("the log is followed by %q, want %s", got, want)
		}
	}
	h.completes("uninstall"+of, "app")
	h.completes("install"+of+"--refresh", "app")
	h.completes("uninstall --init", "systemd launchd")
	h.does("install"+of+"--rondo /bin/sh --refresh", "app is installed like this already")
	h.fails(1, "web is not installed: rondo wrote no ", strings.Fields("logs"+of+"web")...)

	launchd.Forget("rondo.app")
	h.does(install(other, "--workers 3"), "launchd does not have rondo.app: launchctl bootstrap "+domain+" "+job)
	h.says(1, "doctor"+of+"app", "app: launchd does not have rondo.app: it neither listens nor runs\n    launchctl bootstrap "+domain+" "+job+"\n")
	h.does(install(other, "--workers 3 --apply-sockets"), "launchd listens on ")
	launchd.Set("rondo.app", "state", "running")
	launchd.Calls()
	h.does("uninstall"+of+"app", untried+"\nrondo.app finishes what it holds, at most 55s ...\n", "removed "+job, "removed "+toml, "kept "+log+", its log")
	called("print "+target, "print "+target, "bootout "+target, "print "+target)
	for _, path := range []string{job, toml} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	h.fails(1, "app is not installed", strings.Fields("units verify"+of+"app")...)
}

func TestFilesForLaunchdAreGeneratedAnywhere(t *testing.T) {
	h := newHome(t, "PATH=/usr/bin:/bin")
	r := h.rondo(strings.Fields("units generate --init launchd --name app --listen 80=3000 --run-as _www --directory /srv/app --output " + h.dir + "/out -- /no/such/node server.js")...)
	want := filepath.Join(h.dir, "out/app.toml") + "\n" + filepath.Join(h.dir, "out/rondo.app.plist") + "\n"
	if r.code != 0 || r.stdout != want || r.stderr != untried+"\n" {
		t.Fatalf("rondo units generate = %d %q %q, want %q", r.code, r.stdout, r.stderr, want)
	}
	path := filepath.Join(h.dir, "out/rondo.app.plist")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<string>/usr/local/bin/rondo</string>", "<string>/etc/rondo/app.toml</string>", "<string>_www</string>", "<string>/usr/local/var/run/rondo/app</string>"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the property list has no %q:\n%s", want, text)
		}
	}
	h.does("units verify "+path, path+": as written (rondo ")
	h.file("out/rondo.app.plist", string(text)+"\n", 0o644)
	h.says(1, "units verify "+path, path+": edited (rondo ")
	h.file("out/rondo.app.plist", "<plist></plist>", 0o644)
	h.says(1, "units verify "+path, path+": not rondo's\n")
	h.does("units generate --init launchd --user --name app -- sh", "/Library/Application Support/rondo/app.toml\n", "/Library/LaunchAgents/rondo.app.plist\n", "<key>RunAtLoad<")
}

func TestBadInputForLaunchd(t *testing.T) {
	h := newHome(t, "PATH=/usr/bin:/bin")
	for _, row := range []struct {
		args string
		code int
		want string
	}{
		{"install --init upstart -- sh", 2, `--init: "upstart" is not "systemd" or "launchd"`},
		{"install --init launchd", 2, "install: no command"},
		{"install --init launchd --rondo /bin/sh --run-as nobody -- sh", 1, "this machine has no launchd: launchctl is not in PATH"},
		{"uninstall --init launchd app", 1, "this machine has no launchd: launchctl is not in PATH"},
		{"install --init launchd --dry-run --rondo /no/such -- sh", 1, "--rondo /no/such: "},
		{"install --init launchd --refresh --dry-run --rondo /bin/sh app", 1, "install: app is not installed: rondo wrote no /Library/LaunchDaemons/rondo.app.plist"},
		{"install --init launchd --dry-run --rondo /bin/sh --name app --memory-max 1G --run-as root -- sh", 1, "install: --memory-max: launchd has nothing like it: leave it out"},
		{"units generate --init launchd --systemd 257 -- sh", 2, "units generate: --systemd says nothing to launchd"},
		{"units generate --init launchd --name app -- sh", 1, "units generate: --run-as: launchd makes no account"},
		{"units verify --init launchd app", 1, "units verify: app is not installed: rondo wrote no /Library/LaunchDaemons/rondo.app.plist"},
		{"units verify ./nowhere.plist", 1, "nowhere.plist: file does not exist"},
		{"logs --init launchd app", 1, "logs: app is not installed"},
	} {
		h.fails(row.code, row.want, strings.Fields(row.args)...)
	}
}

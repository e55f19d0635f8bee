package install

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/systemd"
	"github.com/rondokit/rondo/units"
)

// freePort is a port on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func TestAFirstInstallWritesEnablesAndStarts(t *testing.T) {
	b := newBench(t, systemd.System, 252)
	port := freePort(t)
	p := b.install(b.request("listen="+port+"=3000", "workers=2", "drain-timeout=1m"))
	if !p.First || len(p.Reopens) > 0 || p.Account != "alice, who owns "+b.dir {
		t.Errorf("the plan is %+v, want a first one that runs as alice", p)
	}
	want := []string{"daemon-reload", "enable app.socket", "daemon-reload", "start app.socket"}
	if !slices.Equal(b.manager.calls, want) {
		t.Errorf("the manager was told %q, want %q", b.manager.calls, want)
	}
	var paths []string
	for _, c := range p.Changes {
		paths = append(paths, c.Path)
		info, err := os.Stat(c.Path)
		if err != nil || info.Mode().Perm() != 0o644 || b.text(c.Path) != c.New {
			t.Errorf("%s: %v, %v", c.Path, info, err)
		}
	}
	if want := []string{b.Paths.toml("app"), b.Paths.unit("app.socket"), b.Paths.unit("app.service")}; !slices.Equal(paths, want) {
		t.Errorf("written were %q, want %q", paths, want)
	}
	s, err := settings.Sources{File: b.Paths.toml("app")}.Load()
	if err != nil || flat(s) != flat(p.Settings) {
		t.Errorf("%s has %+v, %v, want %+v", b.Paths.toml("app"), s, err, p.Settings)
	}
	service := b.text(b.Paths.unit("app.service"))
	for _, line := range []string{"User=alice", "TimeoutStopSec=75s", "WorkingDirectory=-" + b.dir, "ExecStart=" + b.Rondo + " run --config " + b.Paths.toml("app")} {
		if !strings.Contains(service, line+"\n") {
			t.Errorf("the service has no %q:\n%s", line, service)
		}
	}
	trial := b.trials[0]
	if trial.Account.Name != "alice" || trial.Program != filepath.Join(b.dir, "server.sh") || len(trial.Sockets) != 1 {
		t.Errorf("tried was %+v", trial)
	}
}

func TestTheSameInstallAgainChangesNothing(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	req := b.request("listen=" + freePort(t) + "=3000")
	b.install(req)
	b.Version = "1.2.4" // a new version alone is no change
	before := b.snapshot()
	b.manager.calls = nil
	p, err := b.Plan(t.Context(), req)
	if err != nil || len(p.Changes) > 0 || p.First || p.Reloads || p.Restarts {
		t.Errorf("a second plan is %+v, %v, want no change", p, err)
	}
	if after := b.snapshot(); after != before {
		t.Errorf("a second plan changed\n%s", changed(before, after))
	}
}

func TestASettingIsChangedAlone(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	listen := "listen=" + freePort(t) + "=3000"
	b.install(b.request(listen, "workers=2"))
	b.manager.active["app.service"] = "active"
	p := b.install(b.request(listen, "workers=3"))
	if len(p.Changes) != 1 || p.Changes[0].Path != b.Paths.toml("app") || !p.Reloads || p.Restarts {
		t.Errorf("the plan is %+v, want a change of the settings that a reload applies", p)
	}
	if got := p.Changes[0].Lines(); !slices.Equal(got, []string{"- workers = 2", "+ workers = 3"}) {
		t.Errorf("the difference is %q", got)
	}
	p = b.install(b.request(strings.Replace(listen, "3000", "4000", 1), "workers=3"))
	if !p.Restarts || p.Reloads || len(p.Reopens) > 0 {
		t.Errorf("another port of the worker: %+v, want a restart of the service alone", p)
	}
	p = b.install(b.request(strings.Replace(listen, "3000", "4000", 1), "workers=3", "drain-timeout=5m"))
	if len(p.Changes) != 2 || !p.Restarts {
		t.Errorf("another drain-timeout: %+v, want settings and service changed", p)
	}
}

func TestAddressesAreChangedOnlyByConsent(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	b.install(b.request("listen=" + freePort(t) + "=3000"))
	b.manager.active["app.service"] = "active"
	before := b.snapshot()
	req := b.request("listen="+freePort(t)+"=3000", "listen=admin@127.0.0.1:"+freePort(t))
	p, err := b.Plan(t.Context(), req)
	if err != nil || !slices.Equal(p.Reopens, []string{"app.socket"}) {
		t.Fatalf("Plan = %+v, %v, want app.socket reopened", p, err)
	}
	if _, err := b.Apply(t.Context(), p); !errors.Is(err, ErrReopen) || b.snapshot() != before {
		t.Errorf("Apply without consent = %v", err)
	}
	b.manager.calls = nil
	p.Reopen = true
	if _, err := b.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want := []string{"stop app.socket", "stop app.service", "daemon-reload", "enable app.socket", "daemon-reload", "start app.socket", "start app.service"}
	if !slices.Equal(b.manager.calls, want) {
		t.Errorf("the manager was told %q, want %q", b.manager.calls, want)
	}
	if !b.manager.enabled["app-admin.socket"] || b.manager.active["app-admin.socket"] != "active" {
		t.Errorf("the new socket unit: %s", b.manager.state())
	}
	b.install(b.request("listen=" + freePort(t)))
	if _, err := os.Stat(b.Paths.unit("app-admin.socket")); err == nil || b.manager.enabled["app-admin.socket"] || b.manager.active["app-admin.socket"] != "" {
		t.Errorf("the socket unit of a listener that is gone: %v, %s", err, b.manager.state())
	}
}

func TestSocketsThatDoNotListenChangeWithoutConsent(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	b.install(b.request("listen=" + freePort(t)))
	clear(b.manager.active) // a person stopped it,
	clear(b.manager.enabled)
	p, err := b.Plan(t.Context(), b.request("listen="+freePort(t)))
	if err != nil || len(p.Reopens) > 0 {
		t.Fatalf("Plan = %+v, %v, want nothing to reopen", p, err)
	}
	if _, err := b.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if len(b.manager.active)+len(b.manager.enabled) > 0 { // and it stays so
		t.Errorf("stopped and disabled before: %s", b.manager.state())
	}
}

func TestConsentOpensSocketsThatAKilledInstallClosed(t *testing.T) {
	one, two, three := freePort(t), freePort(t), freePort(t)
	for _, req := range []func(*bench) Request{
		func(b *bench) Request { return b.request("listen=" + one) },
		func(b *bench) Request { return b.request("listen="+two, "listen=admin@"+three) },
	} {
		b := newBench(t, systemd.System, 257)
		b.install(b.request("listen=" + one))
		b.manager.active["app.socket"] = "inactive" // it was killed after it had stopped it
		if p := b.install(req(b)); !slices.Equal(p.Shut, []string{"app.socket"}) {
			t.Errorf("closed are %q, want app.socket", p.Shut)
		}
		for _, name := range []string{"app.socket", "app-admin.socket"} {
			if _, err := os.Stat(b.Paths.unit(name)); err == nil && b.manager.active[name] != "active" {
				t.Errorf("%s does not listen: %s", name, b.manager.state())
			}
		}
	}
	faults(t, func(b *bench) Request {
		b.install(b.request("listen=" + one))
		delete(b.manager.active, "app.socket")
		return b.request("listen=" + two)
	})
}

func TestAnAppGetsAndLosesItsSockets(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	b.install(b.request())
	if !b.manager.enabled["app.service"] || b.manager.active["app.service"] != "active" {
		t.Fatalf("an app without sockets: %s", b.manager.state())
	}
	p := b.install(b.request("listen=" + freePort(t)))
	if !slices.Equal(p.Reopens, []string{"app.service"}) || b.manager.enabled["app.service"] || !b.manager.enabled["app.socket"] ||
		b.manager.active["app.socket"] != "active" || b.manager.active["app.service"] != "active" {
		t.Errorf("with its first socket: %+v, %s", p.Reopens, b.manager.state())
	}
	p = b.install(b.request())
	if !slices.Equal(p.Reopens, []string{"app.socket"}) || !b.manager.enabled["app.service"] || b.manager.enabled["app.socket"] ||
		b.manager.active["app.socket"] != "" || b.manager.active["app.service"] != "active" {
		t.Errorf("without sockets again: %+v, %s", p.Reopens, b.manager.state())
	}
}

func TestWhatAPersonEditedStays(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	listen := "listen=" + freePort(t)
	b.install(b.request(listen))
	service, config := b.Paths.unit("app.service"), b.Paths.toml("app")
	b.edit(service, "WatchdogSec=30s", "WatchdogSec=60s")
	b.edit(config, "name = ", "workers = 7\nname = ")
	p, err := b.Plan(t.Context(), b.request(listen))
	if err != nil || len(p.Changes) > 0 || len(p.Edited) != 2 || p.Edited[0].Path != config || p.Edited[1].Path != service {
		t.Fatalf("the same install: %+v, %v, want the edits left", p, err)
	}
	if got := p.Edited[0].Lines(); !slices.Equal(got, []string{"+ workers = 7"}) {
		t.Errorf("the edit is told as %q", got)
	}
	if got := p.Edited[1].Lines(); !slices.Equal(got, []string{"- WatchdogSec=30s", "+ WatchdogSec=60s"}) {
		t.Errorf("the edit of the unit is told as %q", got)
	}
	b.refuses("app.toml was edited, and would lose that: make the change there, too, and apply it (sudo rondo reload app), or give it up with --overwrite",
		b.request(listen, "workers=3"))
	req := b.request(listen, "workers=7")
	if p, err = b.Plan(t.Context(), req); err != nil || len(p.Changes) > 0 || p.Edited[0].Matters() {
		t.Errorf("an install of what the edit says: %+v, %v, want no change", p, err)
	}
	b.edit(config, "workers = 7", "workers = = 7")
	b.refuses("it was edited: mend it, or give the edit up with --overwrite", b.request(listen))
	b.edit(config, "workers = = 7", "workers = 7")
	req.RunAs = "root"
	b.refuses("app.service was edited, and would lose that: put the edit into a drop-in (sudo systemctl edit app.service)", req)
	req.Overwrite = true
	p = b.install(req)
	if text := b.text(service); !strings.Contains(text, "User=root") || !strings.Contains(text, "WatchdogSec=30s") || len(p.Changes) != 2 {
		t.Errorf("overwritten: %+v", p.Changes)
	}
}

func TestDropInsAreKeptAndShown(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	b.manager.dropIns["app.service"] = []string{"/etc/systemd/system/app.service.d/override.conf"}
	listen := "listen=" + freePort(t)
	for range 2 {
		if p := b.install(b.request(listen)); !slices.Equal(p.DropIns, b.manager.dropIns["app.service"]) {
			t.Errorf("drop-ins are %q", p.DropIns)
		}
	}
}

func TestWhatIsInTheWayIsRefusedByPath(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	port := freePort(t)
	req := b.request("listen=" + port)
	for _, path := range []string{b.Paths.unit("app.service"), b.Paths.unit("app.socket"), b.Paths.toml("app")} {
		b.write(path, "[Unit]\n", 0o644)
		b.refuses(path+" is there and is not rondo's", req)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/dev/null", b.Paths.unit("app.service")); err != nil {
		t.Fatal(err)
	}
	b.refuses("app.service is masked: sudo systemctl unmask app.service", req)
	if err := os.Remove(b.Paths.unit("app.service")); err != nil {
		t.Fatal(err)
	}
	b.manager.also["app.service"] = systemd.Unit{Load: "loaded", Fragment: "/usr/lib/systemd/system/app.service"}
	b.refuses("app.service is there as /usr/lib/systemd/system/app.service", req)
	b.manager.also["app.service"] = systemd.Unit{Load: "masked"}
	b.refuses("app.service is masked: sudo systemctl unmask app.service", req)
	delete(b.manager.also, "app.service")

	b.install(b.request("listen="+port, "listen=admin@"+freePort(t)))
	other := b.request("listen=" + freePort(t))
	other.Flags["name"] = []string{"app-admin"}
	b.refuses("app-admin.socket is of app.service", other)
}

func TestAnAddressThatIsTakenIsRefused(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	taken := "the port is taken"
	if sys.PortHolderPID("tcp", l.Addr().(*net.TCPAddr).Port) != 0 { // where the system tells
		taken += " by install.test (pid " + strconv.Itoa(os.Getpid()) + ")"
	}
	b.refuses(taken, b.request("listen=127.0.0.1:"+port))
	path := filepath.Join(b.dir, "x.sock")
	u, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	b.refuses("another process listens there", b.request("listen=unix:"+path))
	u.Close()
	b.write(path, "", 0o644)
	b.refuses("the path is there and is no socket", b.request("listen=unix:"+path))
}

func TestBadRequestsAreRefused(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	b.write(filepath.Join(b.dir, "env.js"), "#!/usr/bin/env no-such-interpreter\n", 0o755)
	b.write(filepath.Join(b.dir, "plain"), "", 0o644)
	b.write(filepath.Join(b.dir, "node"), "", 0o755)
	with := func(change func(*Request)) Request {
		req := b.request("listen=" + freePort(t))
		change(&req)
		return req
	}
	for want, change := range map[string]func(*Request){
		"nowhere: file does not exist":                          func(r *Request) { r.Command = []string{"./nowhere"} },
		"/sever.js: file does not exist":                        func(r *Request) { r.Command = []string{"./node", "sever.js"} },
		"plain is not executable":                               func(r *Request) { r.Command = []string{"./plain"} },
		`keeps the worker's channel to itself`:                  func(r *Request) { r.Command = []string{"npm", "start"} },
		"no such file or directory":                             func(r *Request) { r.Flags["directory"] = []string{"/nowhere"} },
		`--run-as: there is no account "bob"`:                   func(r *Request) { r.RunAs = "bob" },
		`--run-as: there is no group "no-such-group"`:           func(r *Request) { r.RunAs = "alice:no-such-group" },
		"--env-file: stat /nowhere":                             func(r *Request) { r.App.EnvironmentFiles = []string{"/nowhere"} },
		"--credential key: stat /nowhere":                       func(r *Request) { r.App.Credentials = map[string]string{"key": "/nowhere"} },
		"--write: stat /nowhere":                                func(r *Request) { r.App.Writes = []string{"/nowhere"} },
		`--env: "x" is not NAME=VALUE`:                          func(r *Request) { r.App.Environment = []string{"x"} },
		"has no no-such-interpreter: begin the command with it": func(r *Request) { r.Command = []string{"./env.js"} },
		"sockets of two kinds for one address of the program": func(r *Request) {
			r.Flags["listen"] = []string{"web@8080", "app@unix:/run/app", "fd:web=3000", "fd:app=3000"}
		},
		"--listen: [fe80::1%eth0]:8080: a link-local address is of one interface": func(r *Request) { r.Flags["listen"] = []string{"[fe80::1%eth0]:8080"} },
		`--socket-group: unix:/run/x: "a b" is not the name of an account`:        func(r *Request) { r.Flags["listen"], r.Socket.Group = []string{"unix:/run/x"}, "a b" },
		"are on the same address": func(r *Request) { r.Flags["listen"] = []string{"8080", "127.0.0.1:8080"} },
	} {
		b.refuses(want, with(change))
	}
	b.accounts.owner = 4711
	b.refuses("belongs to uid 4711, which is no account: say --run-as", b.request())
	b.manager.version = 249
	b.refuses("systemd 249 runs here, and rondo needs 252", b.request())

	user := newBench(t, systemd.User, 252)
	user.refuses("a user's manager runs everything as that user", func() Request { r := user.request(); r.RunAs = "alice"; return r }())
	user.refuses("--network none: a user's manager", func() Request { r := user.request(); r.App.NoNetwork = true; return r }())
}

func TestTheTrialDecides(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	if err := os.Chmod(b.Rondo, 0o644); err != nil {
		t.Fatal(err)
	}
	b.refuses("rondo: alice may not execute "+b.Rondo, b.request())
}

func TestAUsersInstall(t *testing.T) {
	b := newBench(t, systemd.User, 252)
	if err := os.RemoveAll(b.Paths.Units); err != nil { // most have none
		t.Fatal(err)
	}
	p := b.install(b.request("listen=" + freePort(t)))
	if service := b.text(b.Paths.unit("app.service")); strings.Contains(service, "User=") || p.Account != "self, whose manager it is" {
		t.Errorf("a user's service runs as %q:\n%s", p.Account, service)
	}
}

func TestSocketOptionsAreForThoseThatCanHaveThem(t *testing.T) {
	list := []settings.Listen{}
	for _, text := range []string{"80", "[::]:81", "0.0.0.0:82", "unix:/run/x", "unix:@x", "fd:http"} {
		l, err := settings.ParseListen(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	got := listeners(list, units.Listener{Mode: 0o660, User: "u", Group: "g", Backlog: 9, IPv6Only: true})
	for i, want := range []units.Listener{
		{Backlog: 9}, {Backlog: 9, IPv6Only: true}, {Backlog: 9}, {Mode: 0o660, User: "u", Group: "g", Backlog: 9}, {Backlog: 9}, {},
	} {
		want.Listen = list[i]
		if got[i] != want {
			t.Errorf("%s has %+v, want %+v", list[i], got[i], want)
		}
	}
}

// TestNoErrorNamesAField has each field of which package units may complain.
func TestNoErrorNamesAField(t *testing.T) {
	fields := regexp.MustCompile(`(?:wrong|inField|checkAccount)\("([A-Z][A-Za-z]*)"`)
	found := 0
	for _, path := range []string{"../../units/check.go", "../../units/listeners.go"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range fields.FindAllStringSubmatch(string(text), -1) {
			found++
			if flagOf[match[1]] == "" && socketFlagOf[match[1]] == "" {
				t.Errorf("%s complains of the field %s, for which no flag is known", path, match[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("%d fields were found, want more", found)
	}
}

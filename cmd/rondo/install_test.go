package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/install"
	"github.com/rondokit/rondo/internal/systemd"
	"github.com/rondokit/rondo/units"
)

func TestBadInputOfInstall(t *testing.T) {
	h := newHome(t)
	h.file("plain", "x", 0o644)
	h.file("package.json", `{"scripts": {"start": "node app.js"}}`, 0o644)
	for _, row := range []struct {
		args string
		code int
		want string
	}{
		{"install", 2, "install: no command: say what to run, as in: sudo rondo install"},
		{"install --listn 80 -- x", 2, `unknown flag "--listn": did you mean "--listen"?`},
		{"install --listen 80x -- x", 2, `--listen: LISTEN "80x"`},
		{"install --network some -- x", 2, `--network: "some" is not "host" or "none"`},
		{"install --socket-mode 888 -- x", 2, `--socket-mode: "888" is not permissions in octal, like 0660`},
		{"install --memory-max 12Q -- x", 2, `--memory-max: "12Q" is not a number above 0, like 512M or 2G`},
		{"install --memory-max 99999999999999999999G -- x", 2, `is not a number above 0`},
		{"install --memory-max 99999999999G -- x", 2, `is not a number above 0`},
		{"install --cpu-quota 0 -- x", 2, `--cpu-quota: "0" is not a number above 0, like 150%`},
		{"install --tasks-max 5% -- x", 2, `--tasks-max: "5%" is not a number above 0`},
		{"install --backlog 99999999999 -- x", 2, "--backlog: 99999999999 is more than any kernel takes"},
		{"install --credential key -- x", 2, `--credential: "key" is not NAME=FILE, like tls.key=`},
		{"install --credential a=b --credential a=c -- x", 2, "--credential: a is given twice"},
		{"install --write= -- x", 2, "--write: the path is empty"},
		{"install --env-file - -- x", 2, "--env-file: the path is empty"},
		{"install --refresh --listen 80 app", 2, "install: --refresh takes the settings from NAME.toml"},
		{"install --refresh a/b", 2, `--refresh takes names of apps: "a/b" is not a name`},
		{"install --refresh -- node server.js", 2, "install: --refresh takes names of apps and no command, like: sudo rondo install --refresh app"},
		{"install --refresh app -- node server.js", 2, `install: --refresh takes names of apps: "--" is not a name`},
		{"install --user -- x", 1, "systemd does not run here for this user"},
		{"uninstall --user app", 1, "systemd does not run here for this user"},
		{"doctor --user", 1, "systemd does not run here for this user"},
		{"uninstall", 2, "rondo uninstall takes a NAME, not 0 arguments, like: sudo rondo uninstall app"},
		{"units", 2, "units: say generate or verify"},
		{"units make", 2, `unknown command "make"`},
		{"units generate", 2, "units generate: no command, like: rondo units generate"},
		{"units generate --systemd new -- x", 2, "--systemd"},
		{"units generate -- nowhere-to-be-found", 1, `command: "nowhere-to-be-found" was not found in PATH`},
		{"units generate -- ./plain", 1, "plain is not executable"},
		{"units generate -- npm start", 1, `run "node app.js" instead`},
		{"units generate --systemd 249 -- sh", 1, "units generate: --systemd 249: rondo needs 252 or later"},
		{"units generate --env x -- sh", 1, `units generate: --env: "x" is not NAME=VALUE`},
		{"units verify", 2, "rondo units verify takes a NAME or FILE"},
		{"units verify --user app", 1, "units verify: app is not installed"},
		{"units verify ./nowhere.service", 1, "nowhere.service: file does not exist"},
		{"install-trial", 1, "what to try: EOF"},
	} {
		h.fails(row.code, row.want, strings.Fields(row.args)...)
	}
}

func TestUnitsAreGeneratedAndVerified(t *testing.T) {
	h := newHome(t, "XDG_CONFIG_HOME=/home/u/.config")
	args := strings.Fields("units generate --name app --listen http@80=3000 --listen unix:/run/app.sock --socket-mode 0660 --socket-group www-data " +
		"--directory /srv/app --run-as alice:web --network none --env A=b --env-file -/etc/default/app --credential key=/etc/key " +
		"--memory-max 512M --cpu-quota 150% --write /srv/app/data --backlog 128 --drain-timeout 1m --workers 4 --systemd 257")
	args = append(args, "--output", filepath.Join(h.dir, "out"), "--", "/opt/no/such/server", "one", "two words")
	r := h.rondo(args...)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("rondo %q = %d %q", args, r.code, r.stderr)
	}
	var all string
	for _, path := range strings.Fields(r.stdout) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	for _, want := range []string{
		"command = ['/opt/no/such/server', 'one', 'two words']", "workers = 4", "drain-timeout = '1m'", "worker = 3000", "address = 'unix:/run/app.sock'",
		"ListenStream=80", "ListenStream=/run/app.sock", "SocketMode=0660", "SocketGroup=www-data", "Backlog=128",
		"User=alice", "Group=web", "PrivateNetwork=yes", "A=b", "EnvironmentFile=-/etc/default/app", "LoadCredential=key:/etc/key",
		"MemoryMax=536870912", "CPUQuota=150%", "/srv/app/data", "TimeoutStopSec=75s", "ExecStart=/usr/bin/rondo run --config /etc/rondo/app.toml",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the generated files have no %q:\n%s", want, all)
		}
	}
	files := strings.Fields(r.stdout)
	if r := h.rondo(append([]string{"units", "verify"}, files...)...); r.code != 0 || strings.Count(r.stdout, ": as written (rondo ") != len(files) {
		t.Errorf("rondo units verify = %d %q %q", r.code, r.stdout, r.stderr)
	}
	path := filepath.Join(h.dir, "out", "app.service")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h.file("out/app.service", string(text)+"\n", 0o644)
	r = h.rondo("units", "verify", path)
	if r.code != 1 || !strings.HasPrefix(r.stdout, path+": edited (rondo ") || !strings.Contains(r.stderr, "units verify: not as rondo writes them: 1 of 1") {
		t.Errorf("of an edited unit: %d %q %q", r.code, r.stdout, r.stderr)
	}

	printed := h.rondo("units", "generate", "--user", "--name", "app", "--", "sh")
	if printed.code != 0 || !strings.HasPrefix(printed.stdout, "# /home/u/.config/rondo/app.toml\n# rondo ") ||
		!strings.Contains(printed.stdout, "\n\n# /home/u/.config/systemd/user/app.service\n") || strings.Contains(printed.stdout, "User=") {
		t.Errorf("printed for a user's manager: %d %q %q", printed.code, printed.stdout, printed.stderr)
	}
	own := h.rondo("units", "generate", "--name", "app", "--", "sh")
	if !strings.Contains(own.stdout, "u rondo-app - ") || !strings.Contains(own.stdout, "User=rondo-app") {
		t.Errorf("for an old systemd there is no rule for an account: %q", own.stdout)
	}
}

func TestWhoMayNotInstallIsToldHow(t *testing.T) {
	args := []string{"rondo", "install", "--name", "app", "--", "node", "it's.js", ""}
	want := `install changes the system, which only root may: sudo rondo install --name app -- node 'it'\''s.js' ''; or add --user for your own manager`
	if err := needsRoot(systemd.System, 1000, args); err == nil || err.Error() != want {
		t.Errorf("needsRoot = %v, want %s", err, want)
	}
	if needsRoot(systemd.System, 0, args) != nil || needsRoot(systemd.User, 1000, args) != nil {
		t.Error("root, and a user of his own manager, are refused")
	}
}

func TestTheReportOfAnInstall(t *testing.T) {
	p := &install.Plan{App: units.App{Name: "app"}, First: true, Account: "alice, who owns /srv", Primary: "app.socket",
		Changes: []install.Change{{Path: "/etc/rondo/app.toml", New: "x = 1\n"}}, Notes: []string{"a note"}, DropIns: []string{"/etc/d.conf"}}
	listening := []systemd.Unit{{Name: "app.socket", Active: "active", Listen: []systemd.Listen{{Kind: "Stream", Address: "[::]:80"}, {Kind: "Stream", Address: "/run/x"}}}}
	for _, row := range []struct {
		scope  systemd.Scope
		change func(*install.Plan)
		tell   func(report)
		want   string
	}{
		{systemd.System, func(*install.Plan) {}, func(r report) { r.done(listening) },
			"app is installed, and runs as alice, who owns /srv\n  wrote /etc/rondo/app.toml\n/etc/d.conf stays, and changes what the units say\n" +
				"app.socket listens on [::]:80, /run/x\na note\napp.service starts with the first connection\nnext:\n" +
				"  systemctl status app.socket app.service        how the units are\n  sudo rondo status app "},
		{systemd.User, func(*install.Plan) {}, func(r report) { r.done(nil) },
			"app.service runs\nnext:\n  systemctl --user status app.socket app.service how the units are\n  rondo status app "},
		{systemd.User, func(*install.Plan) {}, func(r report) { r.machine.Paths.Linger = "/nowhere/alice"; r.done(nil) },
			"it ends when you log out, unless: sudo loginctl enable-linger alice\n"},
		{systemd.System, func(p *install.Plan) { p.First, p.Reloads = false, true }, func(r report) { r.done(listening) },
			"app.service runs as before until: sudo rondo reload app (no connection is lost)\n"},
		{systemd.System, func(p *install.Plan) { p.First, p.Restarts = false, true }, func(r report) { r.done(listening) },
			"app.service runs as before until: sudo systemctl restart app (no connection is lost)\n"},
		{systemd.System, func(p *install.Plan) { p.First = false }, func(r report) { r.done([]systemd.Unit{{Name: "app.socket", Active: "inactive"}}) },
			"app.socket does not listen: sudo systemctl start app.socket\n"},
		{systemd.System, func(p *install.Plan) { p.First = false }, func(r report) {
			r.machine.Closed = func(systemd.Unit) []string { return []string{"/run/x"} }
			r.done(listening)
		}, "app.socket listens on [::]:80\napp.socket does not listen on /run/x: sudo systemctl restart app.socket\n"},
		{systemd.System, func(*install.Plan) {}, func(r report) { r.dryRun() },
			"# /etc/rondo/app.toml\nx = 1\n\n/etc/d.conf stays, and changes what the units say\napp would run as alice, who owns /srv\na note\nnothing was changed: this was a dry run\n"},
		{systemd.System, func(p *install.Plan) {
			p.First = false
			p.Changes = []install.Change{{Path: "/a", Old: "x = 1\ny = 2\n", New: "x = 3\ny = 2\n"}, {Path: "/b", Old: "z"}}
		}, func(r report) { r.differences(r.Changes) }, "/a\n  - x = 1\n  + x = 3\n/b goes\n"},
		{systemd.System, func(p *install.Plan) {
			p.Edited = []install.Change{{Path: "/e", Old: "x = 1\n", New: "# mine\nx = 1\n"}}
		}, func(r report) { r.unchanged() },
			"app is installed like this already: nothing was changed\n/e was edited, and stays so\n/etc/d.conf stays"},
		{systemd.System, func(p *install.Plan) { p.Shut = []string{"app.socket"} }, func(r report) { r.unchanged() },
			"nothing was changed\napp.socket does not listen: sudo systemctl start app.socket\n"},
		{systemd.System, func(p *install.Plan) { p.Edited = []install.Change{{Path: "/e", Old: "x = 1\n", New: "x = 9\n"}} }, func(r report) { r.unchanged() },
			"nothing was changed: app was edited since, and differs from what you say\n" +
				"/e was edited, and stays so (--overwrite gives it up):\n  - x = 1\n  + x = 9\n/etc/d.conf stays"},
	} {
		var out strings.Builder
		plan := *p
		row.change(&plan)
		row.tell(report{printer{&out}, &install.Machine{Scope: row.scope, Closed: func(systemd.Unit) []string { return nil }}, &plan})
		if !strings.Contains(out.String(), row.want) {
			t.Errorf("the report is\n%s\nwant\n%s", out.String(), row.want)
		}
	}
}

package install

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

func TestWhomAnAppRunsAs(t *testing.T) {
	for _, row := range []struct {
		what    string
		version int
		change  func(*bench, *Request)
		want    string // in the unit; and whom it is tried as
		account string
		create  bool
	}{
		{"the owner of the directory", 252, func(*bench, *Request) {}, "alice", "alice", false},
		{"--run-as", 257, func(_ *bench, r *Request) { r.RunAs = "root" }, "root", "root", false},
		{"--run-as a number", 257, func(_ *bench, r *Request) { r.RunAs = "1000" }, "1000", "alice", false},
		{"root's directory", 252, func(b *bench, _ *Request) { b.accounts.owner = 0 }, "rondo-app", anybody.Name, true},
		{"a sandbox that no dynamic user has", 257, func(b *bench, r *Request) { b.accounts.owner, r.App.Unconfined = 0, true }, "rondo-app", anybody.Name, true},
		{"an account of that name, which is not ours", 252, func(b *bench, _ *Request) {
			b.accounts.owner, b.accounts.byName["rondo-app"] = 0, Account{Name: "rondo-app", UID: 7}
		}, "rondo-app", "rondo-app", false},
		{"an account that was made before", 257, func(b *bench, _ *Request) {
			b.accounts.owner, b.accounts.byName["rondo-app"] = 0, Account{Name: "rondo-app", UID: 7}
			b.write(b.Paths.sysusers("app"), sealed("1", sysusersText("app", "rondo-app")), 0o644)
		}, "rondo-app", "rondo-app", true},
	} {
		b := newBench(t, systemd.System, row.version)
		req := b.request()
		row.change(b, &req)
		p, err := b.propose(req, row.version)
		if err != nil || p.app.User != row.want || p.identity.account.Name != row.account || p.identity.create != row.create {
			t.Errorf("%s: %+v, %v, want %s", row.what, p, err, row.want)
		}
	}
}

func TestADynamicUserWhereThereCanBeOne(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	b.Rondo, b.Paths.Config = "/usr/bin/rondo", "/etc/rondo" // not in /tmp
	files, err := b.Generate(Request{Flags: map[string][]string{"name": {"app"}, "directory": {"/srv"}}, Command: []string{"/bin/sh"}}, 257)
	if err != nil || len(files) != 2 || !strings.Contains(files[1].New, "\nDynamicUser=yes\n") {
		t.Errorf("of root's directory on 257: %+v, %v, want a dynamic user", files, err)
	}
}

func TestNamesOfAccounts(t *testing.T) {
	seen := make(map[string]string)
	for app, want := range map[string]string{
		"app": "rondo-app", "a_b-1": "rondo-a_b-1", "1": "rondo-1", strings.Repeat("x", 25): "rondo-" + strings.Repeat("x", 25),
		"a.b": "rondo-a-b-", "A-b": "rondo---b-", "a-B": "rondo-a---", strings.Repeat("x", 26): "rondo-" + strings.Repeat("x", 18) + "-", strings.Repeat("x", 64): "rondo-" + strings.Repeat("x", 18) + "-",
	} {
		got := accountName(app)
		if !strings.HasPrefix(got, want) || len(got) > 31 || strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			t.Errorf("accountName(%q) = %q, want %s...", app, got, want)
		}
		if other, twice := seen[got]; twice {
			t.Errorf("%q and %q have the same account %q", app, other, got)
		}
		seen[got] = app
	}
}

func TestTheMachinesAccounts(t *testing.T) {
	accounts := OSAccounts()
	uid := strconv.Itoa(os.Getuid())
	self, err := accounts.Lookup(uid)
	if err != nil || self.UID != os.Getuid() || self.Name == "" {
		t.Fatalf("Lookup(%s) = %+v, %v", uid, self, err)
	}
	if again, err := accounts.Lookup(self.Name); err != nil || again.UID != self.UID {
		t.Errorf("Lookup(%s) = %+v, %v", self.Name, again, err)
	}
	if _, err := accounts.Lookup("no such account"); err == nil {
		t.Error("an account that is not there was found")
	}
	if owner, err := accounts.Owner(t.TempDir()); err != nil || owner != os.Getuid() {
		t.Errorf("Owner = %d, %v", owner, err)
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("no /proc: the processes of an account were not looked for")
	}
	found := false
	for _, pid := range accounts.Processes(self) {
		found = found || pid == os.Getpid()
	}
	if !found {
		t.Error("this process does not run as its account")
	}
}

func TestAProgramOfTheSystemThatFailsIsQuoted(t *testing.T) {
	if err := run(t.Context(), "sh", "-c", "echo no >&2; exit 3"); err == nil || !strings.HasSuffix(err.Error(), "exit status 3: no") {
		t.Errorf("run = %v", err)
	}
	if err := run(t.Context(), "no-such-program"); err == nil {
		t.Error("a program that is not there ran")
	}
}

func TestRondosPlace(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	for path, want := range map[string]string{
		b.Rondo:          "which does not last: install it (sudo install -m 755 ",
		b.Rondo + "-not": "--rondo " + b.Rondo + "-not: no such file or directory",
	} {
		for _, scope := range []systemd.Scope{systemd.System, systemd.User} {
			if err := CheckRondo(path, scope); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("CheckRondo(%s, %s) = %v, want %s", path, scope, err, want)
			}
		}
	}
	if err := CheckRondo("/bin/sh", systemd.System); err != nil { // a program of the system
		t.Errorf("CheckRondo = %v", err)
	}
}

func TestNobodyIsGivenASocket(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	req := b.request("listen=unix:" + filepath.Join(b.dir, "app.sock") + "=3000")
	req.Socket.User = "nobody-at-all"
	b.refuses(`--socket-user: there is no account "nobody-at-all": make one (sudo useradd --system nobody-at-all), or leave --socket-user out`, req)
	req.Socket.User, req.Socket.Group = "alice", "nobody-at-all"
	b.refuses(`--socket-group: there is no group "nobody-at-all": make one (sudo groupadd --system nobody-at-all), or leave --socket-group out`, req)
	req.Socket.Group = "0"
	if _, err := b.Plan(t.Context(), req); err != nil {
		t.Error(err)
	}
	req.Socket.Group = "nobody-at-all"
	if _, err := b.Generate(req, 257); err != nil {
		t.Errorf("for another machine: %v", err)
	}
}

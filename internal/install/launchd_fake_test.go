package install

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/launchctl"
	"github.com/rondokit/rondo/internal/launchctl/launchctltest"
)

// ownedAccounts are accounts to whom files belong by path, and else to whom the test says.
type ownedAccounts struct {
	*fakeAccounts
	of map[string]int
}

func (o ownedAccounts) Owner(path string) (int, error) {
	if _, err := os.Lstat(path); err != nil {
		return 0, err
	}
	if uid, ok := o.of[path]; ok {
		return uid, nil
	}
	return o.owner, nil
}

// A mac is a Launchd on temporary directories, with a program to run. All of it belongs
// to whom the test runs as, as do the apps.
type mac struct {
	t *testing.T
	*Launchd
	launchctl *launchctltest.Launchd
	accounts  ownedAccounts
	root      string
	dir       string // the working directory, with server.sh
}

func newMac(t *testing.T, domain launchctl.Domain) *mac {
	t.Helper()
	root, err := os.MkdirTemp("", "rondo") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	m := &mac{t: t, launchctl: launchctltest.New(t), root: root, dir: filepath.Join(root, "srv")}
	m.accounts = ownedAccounts{&fakeAccounts{owner: os.Getuid(), byName: map[string]Account{
		"self": {Name: "self", UID: os.Getuid(), GID: os.Getgid()},
	}}, make(map[string]int)}
	m.Launchd = &Launchd{
		Domain: domain, Accounts: m.accounts, Version: "1.2.3", Rondo: filepath.Join(root, "rondo"),
		Paths: LaunchdPaths{Jobs: filepath.Join(root, "Library", "Jobs"), Config: filepath.Join(root, "rondo.d"),
			Logs: filepath.Join(root, "Logs"), Run: filepath.Join(root, "var", "run", "rondo"), Lock: root},
		Try: func(_ context.Context, trial Trial) error { return trial.Attempt(check) },
	}
	m.accounts.of[m.Paths.job("app")] = 0
	if m.user() {
		m.accounts.of[m.Paths.job("app")] = os.Getuid()
	}
	m.write(m.Rondo, "#!/bin/sh\n", 0o755)
	m.write(filepath.Join(m.dir, "server.sh"), "#!/bin/sh\n", 0o755)
	return m
}

func (m *mac) write(path, text string, mode fs.FileMode) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mac) text(path string) string {
	m.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

// edit replaces old by new in a file, as a person would.
func (m *mac) edit(path, old, new string) {
	m.t.Helper()
	text := m.text(path)
	if !strings.Contains(text, old) {
		m.t.Fatalf("%s has no %q:\n%s", path, old, text)
	}
	m.write(path, strings.Replace(text, old, new, 1), 0o644)
}

// request is rondo install --name app with more flags; of the system as self.
func (m *mac) request(flags ...string) Request {
	req := Request{Flags: map[string][]string{"name": {"app"}, "directory": {m.dir}}, Command: []string{"./server.sh", "web"}}
	if !m.user() {
		req.RunAs = "self"
	}
	for _, flag := range flags {
		name, value, _ := strings.Cut(flag, "=")
		req.Flags[name] = append(req.Flags[name], value)
	}
	return req
}

// install is Plan and Apply, neither of which may fail.
func (m *mac) install(req Request) *LaunchdPlan {
	m.t.Helper()
	p := m.plan(req)
	p.Reopen = true
	if _, err := m.Apply(m.t.Context(), p); err != nil {
		m.t.Fatal(err)
	}
	return p
}

func (m *mac) plan(req Request) *LaunchdPlan {
	m.t.Helper()
	p, err := m.Plan(m.t.Context(), req)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

// refuses is a Plan that must fail with want, and change nothing.
func (m *mac) refuses(want string, req Request) {
	m.t.Helper()
	before := m.snapshot()
	if _, err := m.Plan(m.t.Context(), req); err == nil || !strings.Contains(err.Error(), want) {
		m.t.Errorf("Plan = %v, want %q", err, want)
	}
	m.isAs(before, "a Plan")
}

// called fails the test unless launchctl was called with want since the last time.
func (m *mac) called(want ...string) {
	m.t.Helper()
	if got := m.launchctl.Calls(); !slices.Equal(got, want) {
		m.t.Errorf("launchctl was called with %q, want %q", got, want)
	}
}

// snapshot is all that Apply could have changed.
func (m *mac) snapshot() string {
	m.t.Helper()
	var list []string
	err := filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v %s", path, info.Mode(), ownerName(info))
		if info.Mode().IsRegular() {
			line += "\n" + m.text(path)
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Join(list, "\n") + "\n" + m.launchctl.Jobs()
}

// isAs fails the test unless all is as it was.
func (m *mac) isAs(before, what string) {
	m.t.Helper()
	if after := m.snapshot(); after != before {
		m.t.Errorf("%s left\n%s", what, changed(before, after))
	}
}

// domains are both, each with a target of its job and what root's commands begin with.
var domains = []launchctl.Domain{launchctl.System, launchctl.GUI(501)}

package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/systemd"
	"github.com/rondokit/rondo/master"
)

// A fakeManager is a service manager that starts nothing. It reads the units in
// its directory when it is told to, like the real one.
type fakeManager struct {
	version int
	dir     string
	loaded  map[string]string // path by name, as of the last Reload
	texts   map[string]string // what they said
	enabled map[string]bool
	active  map[string]string       // state by unit; none is inactive
	also    map[string]systemd.Unit // units of others, and what overrides a unit of ours
	dropIns map[string][]string
	unitOf  string // of every process
	stale   bool   // what is enabled has changed since the last Reload

	calls []string         // that change something
	fail  map[string]error // by call, like "start app.socket"
	after int              // the number of calls until one fails; 0 means none does
}

var errPlanted = errors.New("planted")

func newFakeManager(dir string, version int) *fakeManager {
	return &fakeManager{version: version, dir: dir, loaded: map[string]string{}, texts: map[string]string{}, enabled: map[string]bool{},
		active: map[string]string{}, also: map[string]systemd.Unit{}, dropIns: map[string][]string{}, fail: map[string]error{}}
}

func (f *fakeManager) call(words ...string) error {
	call := strings.Join(words, " ")
	f.calls = append(f.calls, call)
	if f.after > 0 {
		if f.after--; f.after == 0 {
			return fmt.Errorf("%s: %w", call, errPlanted)
		}
	}
	return f.fail[call]
}

func (f *fakeManager) Version() (int, error) { return f.version, nil }

func (f *fakeManager) Reload(context.Context) error {
	if err := f.call("daemon-reload"); err != nil {
		return err
	}
	f.stale = false
	clear(f.loaded)
	clear(f.texts)
	paths, _ := filepath.Glob(filepath.Join(f.dir, "*"))
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil {
			f.loaded[filepath.Base(path)], f.texts[filepath.Base(path)] = path, string(text)
		}
	}
	return nil
}

// unitsWith are units, and those that their key names.
func (f *fakeManager) unitsWith(key string, units []string) []string {
	for _, unit := range units {
		for line := range strings.Lines(f.texts[unit]) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
				units = append(units, strings.Fields(v)...)
			}
		}
	}
	return units
}

func (f *fakeManager) Enable(_ context.Context, units ...string) error {
	if err := f.call(append([]string{"enable"}, units...)...); err != nil {
		return err
	}
	for _, unit := range f.unitsWith("Also", units) {
		f.stale = f.stale || !f.enabled[unit]
		f.enabled[unit] = true
	}
	return nil
}

func (f *fakeManager) Disable(_ context.Context, units ...string) error {
	if err := f.call(append([]string{"disable"}, units...)...); err != nil {
		return err
	}
	for _, unit := range f.unitsWith("Also", units) {
		f.stale = f.stale || f.enabled[unit]
		delete(f.enabled, unit)
	}
	return nil
}

func (f *fakeManager) Start(_ context.Context, unit string) error {
	if err := f.call("start", unit); err != nil {
		f.active[unit] = "failed"
		return err
	}
	if f.loaded[unit] == "" {
		return fmt.Errorf("start %s: no such unit", unit)
	}
	for _, name := range f.unitsWith("Requires", []string{unit}) {
		f.active[name] = "active"
	}
	return nil
}

func (f *fakeManager) Stop(_ context.Context, unit string) error {
	if err := f.call("stop", unit); err != nil {
		return err
	}
	delete(f.active, unit)
	for name, text := range f.texts { // who requires it stops, too
		if strings.Contains(text, "Requires="+unit) || strings.Contains(text, "PartOf="+unit) {
			delete(f.active, name)
		}
	}
	return nil
}

func (f *fakeManager) ResetFailed(_ context.Context, unit string) error {
	if err := f.call("reset-failed", unit); err != nil {
		return err
	}
	if f.active[unit] == "failed" {
		delete(f.active, unit)
	}
	return nil
}

func (f *fakeManager) Unit(_ context.Context, name string) (systemd.Unit, error) {
	if u, ok := f.also[name]; ok {
		u.Name = name
		return u, nil
	}
	u := systemd.Unit{Name: name, Load: "not-found", Active: "inactive", DropIns: f.dropIns[name]}
	if path := f.loaded[name]; path != "" {
		u.Load, u.Fragment, u.FileState, u.FDName = "loaded", path, "disabled", name
		text, err := os.ReadFile(path)
		u.NeedsReload = err != nil || string(text) != f.texts[name]
	}
	if f.enabled[name] {
		u.FileState = "enabled"
	}
	if state := f.active[name]; state != "" {
		u.Active = state
	}
	for line := range strings.Lines(f.texts[name]) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "ListenStream="); ok {
			if strings.Trim(v, "0123456789") == "" {
				v = "[::]:" + v
			}
			u.Listen = append(u.Listen, systemd.Listen{Kind: "Stream", Address: v})
		}
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "FileDescriptorName="); ok {
			u.FDName = v
		}
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "FileDescriptorStoreMax="); ok {
			u.StoreMax, _ = strconv.Atoi(v)
			u.Stored = u.StoreMax
		}
	}
	return u, nil
}

func (f *fakeManager) Listening(ctx context.Context) ([]systemd.Unit, error) {
	var list []systemd.Unit
	for _, name := range slices.Sorted(maps.Keys(f.also)) {
		if u, err := f.Unit(ctx, name); err == nil && u.Active == "active" && filepath.Ext(name) == ".socket" {
			list = append(list, u)
		}
	}
	return list, nil
}

func (f *fakeManager) UnitOf(context.Context, int) (string, error) { return f.unitOf, nil }

// state is all that a roll-back must restore.
func (f *fakeManager) state() string {
	return fmt.Sprintf("loaded %v\nenabled %v\nactive %v\nstale %v", f.loaded, f.enabled, f.active, f.stale)
}

// fakeAccounts are accounts by name. Each file is of the account owner.
type fakeAccounts struct {
	byName  map[string]Account
	owner   int
	running map[string][]int
	fail    error // of Create and Remove
}

func (f *fakeAccounts) Lookup(name string) (Account, error) {
	if a, ok := f.byName[name]; ok {
		return a, nil
	}
	for _, a := range f.byName {
		if fmt.Sprint(a.UID) == name {
			return a, nil
		}
	}
	return Account{}, fmt.Errorf("no account %s", name)
}

func (f *fakeAccounts) Owner(string) (int, error) { return f.owner, nil }

func (f *fakeAccounts) Create(_ context.Context, path string) error {
	rule, err := read(path)
	if err != nil {
		return err
	}
	name := strings.Fields(lastLine(rule))[1]
	f.byName[name] = Account{Name: name, UID: 990, GID: 990}
	return f.fail
}

func (f *fakeAccounts) Remove(_ context.Context, a Account) error {
	if f.fail != nil {
		return f.fail
	}
	delete(f.byName, a.Name)
	return nil
}

func (f *fakeAccounts) Processes(a Account) []int { return f.running[a.Name] }

// A bench is a Machine on temporary directories, with a program to run.
type bench struct {
	t *testing.T
	*Machine
	manager  *fakeManager
	accounts *fakeAccounts
	dir      string // the working directory, with server.sh
	trials   []Trial
	said     map[string]string   // the last words of the service, by invocation, or under none
	closed   map[string][]string // addresses, by socket unit
}

func newBench(t *testing.T, scope systemd.Scope, version int) *bench {
	t.Helper()
	root, err := os.MkdirTemp("", "rondo") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	b := &bench{t: t, dir: filepath.Join(root, "srv")}
	units := filepath.Join(root, "systemd", "system")
	for _, dir := range []string{b.dir, units} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.manager = newFakeManager(units, version)
	b.accounts = &fakeAccounts{owner: 1000, running: map[string][]int{}, byName: map[string]Account{
		"root": {Name: "root"}, "alice": {Name: "alice", UID: 1000, GID: 1000, Groups: []int{4}},
		"self": {Name: "self", UID: os.Getuid(), GID: os.Getgid()},
	}}
	b.Machine = &Machine{
		Scope: scope, Manager: b.manager, Accounts: b.accounts, Version: "1.2.3", Rondo: filepath.Join(root, "rondo"),
		Paths: Paths{Units: units, Config: filepath.Join(root, "rondo.d"), Sysusers: filepath.Join(root, "sysusers.d"), Run: filepath.Join(root, "run")},
		Try: func(_ context.Context, trial Trial) error {
			b.trials = append(b.trials, trial)
			return trial.Attempt(check)
		},
		Check:     check,
		Closed:    func(u systemd.Unit) []string { return b.closed[u.Name] },
		LastWords: func(_ context.Context, _, invocation string, _ time.Time) string { return b.said[invocation] },
	}
	if scope == systemd.User {
		b.Paths.Sysusers, b.Paths.Linger = "", filepath.Join(root, "linger", "self")
		delete(b.accounts.byName, "root")
	}
	b.write(b.Rondo, "#!/bin/sh\n", 0o755)
	b.write(filepath.Join(b.dir, "server.sh"), "#!/bin/sh\n", 0o755)
	return b
}

func check(s settings.Settings, sockets []activation.Socket) error {
	return master.Check(master.Config{Settings: s, Sockets: sockets})
}

func (b *bench) write(path, text string, mode fs.FileMode) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) text(path string) string {
	b.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// edit replaces old by new in a file, as a person would.
func (b *bench) edit(path, old, new string) {
	b.t.Helper()
	text := b.text(path)
	if !strings.Contains(text, old) {
		b.t.Fatalf("%s has no %q:\n%s", path, old, text)
	}
	b.write(path, strings.Replace(text, old, new, 1), 0o644)
}

// request is rondo install --name app with more flags.
func (b *bench) request(flags ...string) Request {
	req := Request{Flags: map[string][]string{"name": {"app"}, "directory": {b.dir}}, Command: []string{"./server.sh", "web"}}
	for _, flag := range flags {
		name, value, _ := strings.Cut(flag, "=")
		req.Flags[name] = append(req.Flags[name], value)
	}
	return req
}

// install is Plan and Apply, neither of which may fail.
func (b *bench) install(req Request) *Plan {
	b.t.Helper()
	p, err := b.Plan(b.t.Context(), req)
	if err != nil {
		b.t.Fatal(err)
	}
	p.Reopen = true
	if _, err := b.Apply(b.t.Context(), p); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// refuses is a Plan that must fail with want, and change nothing.
func (b *bench) refuses(want string, req Request) {
	b.t.Helper()
	before, calls := b.snapshot(), len(b.manager.calls)
	if _, err := b.Plan(b.t.Context(), req); err == nil || !strings.Contains(err.Error(), want) {
		b.t.Errorf("Plan = %v, want %q", err, want)
	}
	if after := b.snapshot(); after != before || len(b.manager.calls) != calls {
		b.t.Errorf("a Plan changed something: %q\n%s", b.manager.calls[calls:], changed(before, after))
	}
}

// snapshot is all that Apply could have changed.
func (b *bench) snapshot() string {
	var list []string
	root := filepath.Dir(b.dir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := path + " " + info.Mode().String()
		if info.Mode().IsRegular() {
			line += "\n" + b.text(path)
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	var accounts []string
	for name := range b.accounts.byName {
		accounts = append(accounts, name)
	}
	slices.Sort(accounts)
	return strings.Join(list, "\n") + "\n" + b.manager.state() + fmt.Sprint(accounts)
}

// changed is what differs between two snapshots.
func changed(before, after string) string {
	return strings.Join(difference(strings.Split(before, "\n"), strings.Split(after, "\n")), "\n")
}

package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

// age makes the units of app those of an older rondo, which wrote them otherwise.
func (b *bench) age() {
	b.t.Helper()
	for _, name := range []string{"app.socket", "app.service"} {
		path := b.Paths.unit(name)
		_, body, _ := strings.Cut(b.text(path), "\n")
		b.write(path, sealed("1.0.0", strings.Replace(body, "[Unit]", "# Of an older rondo.\n[Unit]", 1)), 0o644)
	}
	if err := b.manager.Reload(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// verdicts are the states of app's files, in short.
func (b *bench) verdicts() string {
	b.t.Helper()
	list, err := b.VerifyApp("app")
	if err != nil {
		b.t.Fatal(err)
	}
	var words []string
	for _, v := range list {
		words = append(words, filepath.Base(v.Path)+" "+string(v.State))
	}
	return strings.Join(words, ", ")
}

func TestStatesOfFiles(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	b.install(b.request("listen=" + freePort(t)))
	if got := b.verdicts(); got != "app.socket as written, app.service as written" {
		t.Errorf("after an install: %s", got)
	}
	b.Version = "9.9.9" // which changes no unit
	if got := b.verdicts(); strings.Contains(got, "outdated") {
		t.Errorf("with another version: %s", got)
	}
	b.age()
	b.edit(b.Paths.toml("app"), "\nname = ", "\nworkers = 2\nname = ")
	if v, err := b.VerifyFile(b.Paths.toml("app")); err != nil || v.State != Edited {
		t.Errorf("of edited settings: %+v, %v", v, err)
	}
	if got := b.verdicts(); got != "app.socket outdated, app.service outdated" {
		t.Errorf("of an older rondo: %s", got)
	}
	v, err := b.VerifyFile(b.Paths.unit("app.socket"))
	if err != nil || v.State != Outdated || v.Version != "1.0.0" || v.Why != "written by rondo 1.0.0, and 9.9.9 would write it otherwise" {
		t.Errorf("VerifyFile = %+v, %v", v, err)
	}
	if err := os.Remove(b.Paths.unit("app.service")); err != nil {
		t.Fatal(err)
	}
	if v, err = b.VerifyFile(b.Paths.unit("app.socket")); err != nil || v.State != AsWritten || v.Why == "" {
		t.Errorf("VerifyFile without its service = %+v, %v", v, err)
	}
	other := filepath.Join(b.dir, "x.service")
	b.write(other, "[Service]\n", 0o644)
	if v, err = b.VerifyFile(other); err != nil || v.State != NotOurs {
		t.Errorf("VerifyFile of another's = %+v, %v", v, err)
	}
	if _, err := b.VerifyApp("app"); err == nil || !strings.Contains(err.Error(), "app is not installed") {
		t.Errorf("VerifyApp = %v", err)
	}
}

// refreshed is a Refresh of app and its Apply.
func (b *bench) refreshed(overwrite bool) *Plan {
	b.t.Helper()
	p, err := b.Refresh(b.t.Context(), "app", overwrite)
	if err != nil {
		b.t.Fatal(err)
	}
	p.Reopen = true
	if _, err := b.Apply(b.t.Context(), p); err != nil {
		b.t.Fatal(err)
	}
	return p
}

func TestRefreshBringsUnitsUpToDate(t *testing.T) {
	b := newBench(t, systemd.System, 252)
	b.install(b.request("listen=" + freePort(t)))
	if p := b.refreshed(false); len(p.Changes) > 0 {
		t.Errorf("units that are up to date changed: %+v", p.Changes)
	}
	b.age()
	b.manager.calls = nil
	p := b.refreshed(false)
	if got := b.verdicts(); strings.Contains(got, "outdated") || len(p.Changes) != 2 {
		t.Errorf("refreshed: %s, %+v", got, p.Changes)
	}
	if !slices.Equal(b.manager.calls, []string{"daemon-reload"}) {
		t.Errorf("the manager was told %q", b.manager.calls)
	}
	b.manager.active["app.service"] = "active"
	b.manager.version = 257
	p = b.refreshed(false)
	if len(p.Changes) != 2 || !slices.Equal(p.Reopens, []string{"app.socket"}) || !p.Restarts || !strings.Contains(b.text(b.Paths.unit("app.socket")), "PollLimitBurst") {
		t.Errorf("for another systemd: %+v", p)
	}
	b.edit(b.Paths.toml("app"), "\nname = ", "\ndrain-timeout = '5m'\nname = ")
	p = b.refreshed(false)
	if len(p.Changes) != 1 || !strings.Contains(b.text(b.Paths.unit("app.service")), "TimeoutStopSec=315s") || !strings.Contains(b.text(b.Paths.toml("app")), "5m") {
		t.Errorf("for other settings: %+v", p.Changes)
	}
}

func TestRefreshLeavesWhatWasEdited(t *testing.T) {
	b := newBench(t, systemd.System, 252)
	b.install(b.request("listen=" + freePort(t)))
	b.edit(b.Paths.unit("app.service"), "WatchdogSec=30s", "WatchdogSec=31s")
	if p := b.refreshed(false); len(p.Changes) > 0 || len(p.Edited) != 1 {
		t.Errorf("an edit of what is up to date: %+v", p)
	}
	b.edit(b.Paths.toml("app"), "\nname = ", "\ndrain-timeout = '5m'\nname = ")
	if _, err := b.Refresh(t.Context(), "app", false); err == nil || !strings.Contains(err.Error(), "app.service was edited, and would lose that") {
		t.Errorf("Refresh = %v", err)
	}
	b.refreshed(true)
	if text := b.text(b.Paths.unit("app.service")); strings.Contains(text, "31s") || !strings.Contains(text, "315s") {
		t.Errorf("overwritten it is\n%s", text)
	}
}

func TestRefreshOfWhatCannotBe(t *testing.T) {
	b := newBench(t, systemd.System, 252)
	refuses := func(want string) {
		t.Helper()
		if _, err := b.Refresh(t.Context(), "app", true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Refresh = %v, want %q", err, want)
		}
	}
	refuses("app is not installed")
	b.install(b.request())
	service, config := b.Paths.unit("app.service"), b.Paths.toml("app")
	whole, text := b.text(service), b.text(config)
	b.edit(config, "'app'", "'other'")
	refuses(`the name is "other", and its units are called app: change it back`)
	b.write(config, "x = 1\n", 0o644)
	refuses(config + ":1: unknown key")
	b.write(config, text, 0o644)
	b.edit(service, "App={", "App={{")
	refuses("install it again, with all its flags")
	b.write(service, strings.Replace(whole, `"Name":"app"`, `"Name":"web"`, 1), 0o644)
	refuses(`is of the app "web": was it copied?`)
	b.write(service, whole, 0o644)
	if err := os.Remove(filepath.Join(b.dir, "server.sh")); err != nil {
		t.Fatal(err)
	}
	refuses("server.sh: file does not exist")
}

func TestNamesOfWhatIsInstalled(t *testing.T) {
	b := newBench(t, systemd.System, 252)
	if names, err := b.Names(); err != nil || len(names) > 0 {
		t.Errorf("Names = %q, %v", names, err)
	}
	for _, name := range []string{"web", "app", "app-x"} {
		req := b.request("listen=" + freePort(t))
		req.Flags["name"] = []string{name}
		b.install(req)
	}
	b.write(b.Paths.unit("mine.service"), "[Service]\n", 0o644)
	names, err := b.Names()
	if err != nil || !slices.Equal(names, []string{"app-x", "app", "web"}) {
		t.Errorf("Names = %q, %v", names, err)
	}
	if err := os.RemoveAll(b.Paths.Units); err != nil {
		t.Fatal(err)
	}
	if names, err := b.Names(); err != nil || len(names) > 0 {
		t.Errorf("Names of no directory = %q, %v", names, err)
	}
}

func TestAnAccountInThePlaceOfADynamicUserRemovesItsLink(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	b.install(b.request())
	// As it would be of a directory that is not in /tmp.
	path := b.Paths.unit("app.service")
	_, body, _ := strings.Cut(b.text(path), "\n")
	b.write(path, sealed("1.2.3", strings.Replace(body, `"User":"alice",`, "", 1)), 0o644)
	if app, err := (&present{name: "app", service: &file{path: path, text: b.text(path)}}).app(); err != nil || app.User != "" {
		t.Fatalf("the record is %+v, %v", app, err)
	}
	link := filepath.Join(b.Paths.Run, "rondo", "app")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../private/rondo/app", link); err != nil {
		t.Fatal(err)
	}
	before := b.snapshot()
	p, err := b.Plan(t.Context(), b.request())
	if err != nil {
		t.Fatal(err)
	}
	b.manager.also["app.service"] = systemd.Unit{Load: "bad-setting"}
	if _, err := b.Apply(t.Context(), p); err == nil || b.snapshot() != before {
		t.Errorf("Apply = %v; %s", err, changed(before, b.snapshot()))
	}
	delete(b.manager.also, "app.service")
	if _, err := b.Apply(t.Context(), p); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(link); err == nil {
		t.Error("the link is there still")
	}
}

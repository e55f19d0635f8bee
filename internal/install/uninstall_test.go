package install

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

func TestUninstallLeavesNothing(t *testing.T) {
	for _, scope := range []systemd.Scope{systemd.System, systemd.User} {
		b := newBench(t, scope, 252)
		b.accounts.owner = 0
		before := b.snapshot()
		if scope == systemd.User { // whose directories rondo may make, and then removes
			config := filepath.Join(filepath.Dir(b.dir), ".config")
			b.Paths.Units, b.Paths.Config = filepath.Join(config, "systemd", "user"), filepath.Join(config, "rondo")
			b.manager.dir = b.Paths.Units
			if err := os.RemoveAll(filepath.Join(filepath.Dir(b.dir), "systemd")); err != nil {
				t.Fatal(err)
			}
			before = b.snapshot()
		}
		b.install(b.request("listen="+freePort(t), "listen=admin@"+freePort(t)))
		if scope == systemd.User {
			for dir := b.Paths.Units; dir != filepath.Dir(b.dir); dir = filepath.Dir(dir) {
				if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
					t.Errorf("%s was made as %v, %v, want a mode of 0700", dir, info, err)
				}
			}
		}
		b.manager.active["app.service"] = "active"
		if err := os.MkdirAll(filepath.Join(b.Paths.Run, "rondo"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../private/rondo/app", filepath.Join(b.Paths.Run, "rondo", "app")); err != nil {
			t.Fatal(err)
		}
		b.manager.calls = nil
		r, err := b.Uninstall(t.Context(), "app")
		if err != nil || len(r.Kept)+len(r.Edited) > 0 || len(r.Removed) < 5 {
			t.Errorf("Uninstall = %+v, %v", r, err)
		}
		if err := os.Remove(b.Paths.Run); err != nil {
			t.Errorf("of the runtime directory is left: %v", err)
		}
		if after := b.snapshot(); after != before {
			t.Errorf("uninstall left\n%s", changed(before, after))
		}
		if want := []string{"stop app.socket", "stop app-admin.socket", "stop app.service", "disable app.socket app-admin.socket app.service", "daemon-reload",
			"reset-failed app.socket", "reset-failed app-admin.socket", "reset-failed app.service"}; !slices.Equal(b.manager.calls, want) {
			t.Errorf("the manager was told %q, want %q", b.manager.calls, want)
		}
		if _, err := b.Uninstall(t.Context(), "app"); err == nil || !strings.Contains(err.Error(), "app is not installed: rondo wrote no ") {
			t.Errorf("a second uninstall: %v", err)
		}
	}
}

func TestUninstallWaitsForAServiceThatRuns(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	drains := func(when, want string) {
		t.Helper()
		runs, atMost, err := b.Drains(t.Context(), "app")
		if got := fmt.Sprintf("%v %v", runs, atMost); err != nil || got != want {
			t.Errorf("%s: Drains = %s, %v, want %s", when, got, err, want)
		}
	}
	b.manager.active["app.service"] = "active"
	drains("another's service", "false 0s")
	delete(b.manager.active, "app.service")
	b.install(b.request("listen="+freePort(t), "drain-timeout=10s", "kill-timeout=2s"))
	drains("nobody has connected", "false 0s")
	for _, state := range []string{"active", "activating", "deactivating"} {
		b.manager.active["app.service"] = state
		drains(state, "true 12s")
	}
	b.manager.active["app.service"] = "failed"
	drains("failed", "false 0s")
	b.manager.active["app.service"] = "active"
	b.edit(b.Paths.toml("app"), "10s", "1m")
	drains("edited", "true 1m2s")
	b.gone(b.Paths.toml("app"))
	drains("without settings", "true 0s")
}

func TestUninstallGoesOnWhereItStopped(t *testing.T) {
	for step := 1; ; step++ {
		b := newBench(t, systemd.System, 252)
		b.accounts.owner = 0
		before := b.snapshot()
		b.install(b.request("listen=" + freePort(t)))
		b.manager.after = step
		if _, err := b.Uninstall(t.Context(), "app"); err == nil {
			break
		}
		_, err := b.Uninstall(t.Context(), "app")
		if err != nil && !strings.Contains(err.Error(), "app is not installed") {
			t.Errorf("after step %d failed: %v", step, err)
		}
		if err := b.manager.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := b.snapshot(); after != before {
			t.Errorf("after step %d failed, a second call left\n%s", step, changed(before, after))
		}
	}
}

func TestUninstallStopsASocketWhoseFileIsGone(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	before := b.snapshot()
	req := b.request("listen=" + freePort(t))
	b.install(req)
	b.gone(b.Paths.unit("app.socket"))
	b.reload()
	if _, err := b.Uninstall(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	if after := b.snapshot(); after != before {
		t.Errorf("uninstall left\n%s", changed(before, after))
	}
	b.manager.active["app.socket"] = "active" // as one that nobody told the manager to stop
	b.manager.calls = nil
	b.install(req)
	if want := "stop app.socket"; b.manager.calls[0] != want {
		t.Errorf("the manager was told %q, want at first %q", b.manager.calls, want)
	}
	b.write(b.Paths.unit("app.socket"), "[Socket]\n", 0o644) // somebody else's
	b.reload()
	b.manager.calls = nil
	if _, err := b.Uninstall(t.Context(), "app"); err != nil || slices.Contains(b.manager.calls, "stop app.socket") {
		t.Errorf("the manager was told %q, %v, want another's socket left alone", b.manager.calls, err)
	}
}

func TestUninstallKeepsWhatIsNotItsOwn(t *testing.T) {
	b := newBench(t, systemd.System, 252)
	b.accounts.owner = 0
	b.install(b.request("listen=" + freePort(t)))
	b.manager.dropIns["app.service"] = []string{"/etc/systemd/system/app.service.d/x.conf"}
	b.accounts.running["rondo-app"] = []int{42}
	b.write(b.Paths.toml("app"), "command = ['mine']\n", 0o644)
	b.edit(b.Paths.unit("app.service"), "WatchdogSec=30s", "WatchdogSec=31s")
	r, err := b.Uninstall(t.Context(), "app")
	want := []string{
		"/etc/systemd/system/app.service.d/x.conf, which is not rondo's",
		b.Paths.sysusers("app") + " and the account rondo-app, as which process 42 runs: end it, and uninstall again",
		b.Paths.toml("app") + ", which is not rondo's",
	}
	if err != nil || !slices.Equal(r.Kept, want) || !slices.Equal(r.Edited, []string{b.Paths.unit("app.service")}) {
		t.Errorf("Uninstall = %+v, %v, want kept %q", r, err, want)
	}
	delete(b.accounts.running, "rondo-app")
	if r, err = b.Uninstall(t.Context(), "app"); err != nil || !slices.Contains(r.Removed, "the account rondo-app") {
		t.Errorf("a second uninstall = %+v, %v, want the account removed", r, err)
	}
	b.write(b.Paths.unit("mine.service"), "[Service]\n", 0o644)
	if _, err := b.Uninstall(t.Context(), "mine"); err == nil || !strings.Contains(err.Error(), "mine.service is not rondo's: it is left alone") {
		t.Errorf("Uninstall of another's = %v", err)
	}
	if _, err := b.Uninstall(t.Context(), "../x"); err == nil || !strings.Contains(err.Error(), "is not a name") {
		t.Errorf("Uninstall of a path = %v", err)
	}
}

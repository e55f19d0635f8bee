package install

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/launchctl"
)

func TestUninstallOfAJobLeavesTheLogAlone(t *testing.T) {
	for _, domain := range domains {
		m := newMac(t, domain)
		log := filepath.Join(m.Paths.Logs, "rondo-app.log")
		m.write(log, "", logMode)
		for _, dir := range []string{m.Paths.Jobs, filepath.Dir(m.Paths.Run)} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		before := m.snapshot()
		m.install(m.request("listen=" + freePort(t)))
		want := []string{m.Paths.job("app"), m.Paths.toml("app")}
		if !m.user() {
			m.write(m.Paths.control("app")+".lock", "", 0o600)
			want = append(want, filepath.Join(m.Paths.Run, "app"))
		}
		want = append(want, m.Paths.Config)
		m.launchctl.Drain("rondo.app", 1)
		m.launchctl.Calls()
		r, err := m.Uninstall(t.Context(), "app")
		if err != nil || !slices.Equal(r.Removed, want) || len(r.Edited) > 0 || !slices.Equal(r.Kept, []string{log + ", its log: remove it when nobody needs it"}) {
			t.Errorf("%s: Uninstall = %+v, %v, want %q", domain, r, err, want)
		}
		target := string(domain) + "/rondo.app"
		m.called("print "+target, "bootout "+target, "print "+target, "print "+target)
		m.isAs(before, "uninstall")
		if _, err := m.Uninstall(t.Context(), "app"); err == nil || !strings.Contains(err.Error(), "app is not installed: rondo wrote no ") {
			t.Errorf("a second uninstall: %v", err)
		}
	}
}

func TestUninstallOfAJobWaitsForWhatRuns(t *testing.T) {
	m := newMac(t, launchctl.System)
	drains := func(when string, runs bool, atMost time.Duration) {
		t.Helper()
		if got, most, err := m.Drains(t.Context(), "app"); err != nil || got != runs || most != atMost {
			t.Errorf("%s: Drains = %v, %v, %v, want %v, %v", when, got, most, err, runs, atMost)
		}
	}
	drains("not installed", false, 0)
	m.install(m.request("listen="+freePort(t), "drain-timeout=10s", "kill-timeout=2s"))
	drains("nobody has connected", false, 0)
	m.launchctl.Set("rondo.app", "state", "running")
	drains("it runs", true, 10*time.Second+2*time.Second+10*time.Second+exitGrace)
	m.edit(m.Paths.job("app"), "<integer>22<", "<integer>none<")
	drains("it tells no time", true, usualExit+exitGrace)

	before := m.snapshot()
	m.launchctl.Drain("rondo.app", 1<<30)
	ctx, cancel := context.WithCancel(t.Context())
	printed := m.launchctl.Watch("print")
	ended := make(chan error, 1)
	go func() { // ended by cancel
		_, err := m.Uninstall(ctx, "app")
		ended <- err
	}()
	printed() // before the bootout
	printed() // after it
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("Uninstall = %v", err)
	}
	m.launchctl.Unwatch("print")
	for _, path := range []string{m.Paths.job("app"), m.Paths.toml("app")} {
		if !strings.Contains(before, path) || m.text(path) == "" {
			t.Errorf("%s is gone, and its job drains", path)
		}
	}
	m.launchctl.Drain("rondo.app", 0)
	if r, err := m.Uninstall(t.Context(), "app"); err != nil || !slices.Contains(r.Edited, m.Paths.job("app")) {
		t.Errorf("another uninstall = %+v, %v", r, err)
	}
}

func TestUninstallOfAJobTakesOnlyWhatIsRondos(t *testing.T) {
	m := newMac(t, launchctl.System)
	other := filepath.Join(m.root, "other.plist")
	m.write(m.Paths.job("app"), "<plist></plist>", 0o644)
	m.write(other, "<plist></plist>", 0o644)
	before := m.snapshot()
	if _, err := m.Uninstall(t.Context(), "app"); err == nil || err.Error() != m.Paths.job("app")+" is not rondo's: it is left alone" {
		t.Errorf("Uninstall = %v", err)
	}
	m.isAs(before, "a refusal")
	m.called()
	m.remove(m.Paths.job("app"))

	m.install(m.request("listen=" + freePort(t)))
	m.launchctl.Set("rondo.app", "path", other)
	before = m.snapshot()
	want := "launchd has rondo.app from " + other + ", which is not rondo's: sudo launchctl bootout system/rondo.app"
	if _, err := m.Uninstall(t.Context(), "app"); err == nil || err.Error() != want {
		t.Errorf("Uninstall = %v, want %s", err, want)
	}
	m.isAs(before, "a refusal")
	m.launchctl.Set("rondo.app", "path", m.Paths.job("app"))
	text := m.text(m.Paths.job("app"))
	m.write(m.Paths.job("app"), "<plist></plist>", 0o644)
	before = m.snapshot()
	if _, err := m.Uninstall(t.Context(), "app"); err == nil || err.Error() != m.Paths.job("app")+" is not rondo's: it is left alone" {
		t.Errorf("Uninstall beside a NAME.toml of rondo's = %v", err)
	}
	m.isAs(before, "a refusal")
	m.write(m.Paths.job("app"), text, 0o644)
	m.launchctl.Fail("bootout", 1, "Operation not permitted")
	before = m.snapshot()
	if _, err := m.Uninstall(t.Context(), "app"); err == nil || !strings.Contains(err.Error(), "Operation not permitted") {
		t.Errorf("Uninstall = %v", err)
	}
	m.isAs(before, "a refusal")
	m.launchctl.Mend("bootout")

	m.write(m.Paths.toml("app"), "name = 'app'\n", 0o644) // as of a person
	l, err := net.Listen("unix", m.Paths.control("app"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := m.Uninstall(t.Context(), "app")
	kept := []string{filepath.Join(m.Paths.Run, "app") + ", where another master runs", m.Paths.toml("app") + ", which is not rondo's",
		filepath.Join(m.Paths.Logs, "rondo-app.log") + ", its log: remove it when nobody needs it"}
	if err != nil || !slices.Equal(r.Kept, kept) || !slices.Equal(r.Removed, []string{m.Paths.job("app")}) {
		t.Errorf("Uninstall = %+v, %v, want kept %q", r, err, kept)
	}
}

func TestAJobIsRefreshedAndVerified(t *testing.T) {
	m := newMac(t, launchctl.System)
	m.install(m.request("listen=" + freePort(t)))
	job := m.Paths.job("app")
	verdict := func(want State) {
		t.Helper()
		list, err := m.VerifyApp("app")
		if err != nil || len(list) != 1 || list[0].State != want || list[0].Path != job {
			t.Errorf("VerifyApp = %+v, %v, want %s", list, err, want)
		}
		if one, err := m.VerifyFile(job); err != nil || one != list[0] {
			t.Errorf("VerifyFile = %+v, %v, want %+v", one, err, list[0])
		}
	}
	verdict(AsWritten)
	refreshed := func(overwrite bool) *LaunchdPlan {
		t.Helper()
		p, err := m.Refresh(t.Context(), "app", overwrite)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := refreshed(false); len(p.Changes) > 0 {
		t.Errorf("a refresh of what is up to date is %+v", p)
	}
	toml := m.Paths.toml("app")
	m.edit(toml, "name = ", "drain-timeout = '1m'\nname = ")
	edited := m.text(toml)
	p := refreshed(false)
	if len(p.Changes) != 1 || p.Changes[0].Path != job || !p.Reopens {
		t.Errorf("a refresh after an edit of NAME.toml is %+v", p)
	}
	p.Reopen = true
	if _, err := m.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.text(job), "<integer>75<") || m.text(toml) != edited {
		t.Error("the property list has not the time of NAME.toml, or that was written")
	}
	verdict(AsWritten)
	m.edit(job, "<integer>75<", "<integer>99<")
	verdict(Edited)
	m.edit(toml, "'1m'", "'2m'")
	if _, err := m.Refresh(t.Context(), "app", false); err == nil || !strings.Contains(err.Error(), job+" was edited, and would lose that") {
		t.Errorf("Refresh = %v", err)
	}
	if p := refreshed(true); len(p.Changes) != 1 {
		t.Errorf("a refresh that overwrites is %+v", p)
	}
	m.edit(job, "<!-- rondo ", "<!-- ")
	if v, err := m.VerifyFile(job); err != nil || v.State != NotOurs {
		t.Errorf("VerifyFile = %+v, %v", v, err)
	}
	for _, err := range []error{second(m.VerifyApp("app")), second(m.Refresh(t.Context(), "app", false)), second(m.LogFile("app"))} {
		if err == nil || !strings.Contains(err.Error(), "is not rondo's") {
			t.Errorf("of what is not rondo's: %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

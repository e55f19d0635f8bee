package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/launchctl"
)

func TestLaunchdTakesAJob(t *testing.T) {
	for _, domain := range domains {
		m := newMac(t, domain)
		port := freePort(t)
		p := m.install(m.request("listen=" + port + "=3000"))
		job := m.Paths.job("app")
		if !p.First || p.Loaded || p.Reopens || len(p.Changes) != 2 || p.Changes[1].Path != job {
			t.Errorf("%s: the plan is %+v", domain, p)
		}
		target := string(domain) + "/rondo.app"
		m.called("print "+target, "bootstrap "+string(domain)+" "+job, "print "+target, "print "+target)
		toml := m.text(m.Paths.toml("app"))
		restart := "sudo launchctl kickstart -k system/rondo.app."
		if m.user() {
			restart = ": launchctl kickstart -k gui/501/rondo.app."
		}
		if !strings.Contains(toml, restart) {
			t.Errorf("%s: NAME.toml does not tell %q:\n%s", domain, restart, toml)
		}
		for path, mode := range map[string]os.FileMode{job: 0o644, m.Paths.toml("app"): 0o644, filepath.Join(m.Paths.Logs, "rondo-app.log"): 0o640} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %s is %v, %v, want a mode of %04o", domain, path, info, err, mode)
			}
		}
		text, run := m.text(job), filepath.Join(m.Paths.Run, "app")
		info, err := os.Stat(run)
		if m.user() {
			if err == nil || strings.Contains(text, "RUNTIME_DIRECTORY") {
				t.Errorf("%s: it has a runtime directory: %v\n%s", domain, info, text)
			}
		} else if err != nil || info.Mode().Perm() != 0o755 || !strings.Contains(text, "<key>RUNTIME_DIRECTORY</key>\n\t\t\t<string>"+run+"</string>") {
			t.Errorf("%s: the runtime directory is %v, %v\n%s", domain, info, err, text)
		}
		if names, err := m.Names(); err != nil || !slices.Equal(names, []string{"app"}) {
			t.Errorf("%s: Names = %q, %v", domain, names, err)
		}
	}
}

// TestTheLogAndTheRuntimeDirectoryAreTheAccounts needs root, to give anything away.
func TestTheLogAndTheRuntimeDirectoryAreTheAccounts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not checked that files are given to the account: only root can")
	}
	m := newMac(t, launchctl.System)
	m.accounts.byName["alice"] = Account{Name: "alice", UID: 4711, GID: 4712}
	m.Try = func(context.Context, Trial) error { return nil }
	log := filepath.Join(m.Paths.Logs, "rondo-app.log")
	m.write(log, "of before\n", 0o600)
	before := m.snapshot()
	req := m.request()
	req.RunAs = "alice"
	m.launchctl.Fail("bootstrap", 5, "Bootstrap failed: 5: Input/output error")
	if _, err := m.Apply(t.Context(), m.plan(req)); err == nil {
		t.Error("a bootstrap that fails is none")
	}
	m.isAs(before, "an install that failed")
	m.launchctl.Mend("bootstrap")
	m.install(req)
	for _, path := range []string{log, filepath.Join(m.Paths.Run, "app")} {
		info, err := os.Stat(path)
		if err != nil || ownerName(info) != "4711" {
			t.Errorf("%s is of %s, %v, want 4711", path, ownerName(info), err)
		}
	}
	if m.text(log) != "of before\n" {
		t.Error("the log of before is gone")
	}
}

func TestNothingIsGivenAwayThroughALink(t *testing.T) {
	m := newMac(t, launchctl.System)
	secret := filepath.Join(m.root, "secret")
	m.write(secret, "", 0o600)
	if err := os.MkdirAll(m.Paths.Logs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(m.Paths.Logs, "rondo-app.log")); err != nil {
		t.Fatal(err)
	}
	before := m.snapshot()
	if _, err := m.Apply(t.Context(), m.plan(m.request())); err == nil || !strings.Contains(err.Error(), "too many levels of symbolic links; all was taken back") {
		t.Errorf("Apply = %v", err)
	}
	m.isAs(before, "an install that failed")
}

func TestALaunchdInstallThatFailsIsTakenBack(t *testing.T) {
	for _, domain := range domains {
		m := newMac(t, domain)
		before := m.snapshot()
		m.launchctl.Fail("bootstrap", 5, "Bootstrap failed: 5: Input/output error")
		p := m.plan(m.request("listen=" + freePort(t)))
		want := fmt.Sprintf("launchctl bootstrap %s %s: Bootstrap failed: 5: Input/output error (exit code 5); all was taken back", domain, m.Paths.job("app"))
		if _, err := m.Apply(t.Context(), p); err == nil || err.Error() != want {
			t.Errorf("Apply = %v, want %s", err, want)
		}
		m.isAs(before, "an install that failed")
		target := string(domain) + "/rondo.app"
		m.called("print "+target, "bootstrap "+string(domain)+" "+m.Paths.job("app"), "bootout "+target, "print "+target)
	}
}

func TestAJobThatLaunchdDoesNotKeepIsTakenBack(t *testing.T) {
	m := newMac(t, launchctl.System)
	before := m.snapshot()
	p := m.plan(m.request())
	m.launchctl.Fail("print", 1, "Operation not permitted")
	if _, err := m.Apply(t.Context(), p); err == nil || !strings.Contains(err.Error(), "Operation not permitted") {
		t.Errorf("Apply = %v", err)
	}
	m.launchctl.Mend("print")
	m.isAs(before, "an install that failed")
	m.launchctl.FailOnce("bootstrap", 0, "and it does not") // exit code 0
	want := "launchd took " + m.Paths.job("app") + " and does not have rondo.app; all was taken back"
	if _, err := m.Apply(t.Context(), m.plan(m.request())); err == nil || err.Error() != want {
		t.Errorf("Apply = %v, want %s", err, want)
	}
	m.isAs(before, "an install that failed")
	m.Try = func(context.Context, Trial) error { return &TrialError{What: "it may not"} }
	m.refuses("it may not", m.request())
	m.Try = func(context.Context, Trial) error { return ErrNotTried }
	if p := m.plan(m.request()); !slices.Contains(p.Notes, "whether self may read all was not tried: only root can") {
		t.Errorf("the notes are %q", p.Notes)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	planted := errors.New("planted")
	p = m.plan(m.request())
	cancel(planted)
	if _, err := m.Apply(ctx, p); !errors.Is(err, planted) {
		t.Errorf("Apply = %v, want %v", err, planted)
	}
	m.isAs(before, "an install that was interrupted")
}

func TestWhatAMasterLeftGoesWithAnInstallThatFails(t *testing.T) {
	m := newMac(t, launchctl.System)
	before := m.snapshot()
	p := m.plan(m.request())
	m.launchctl.FailOnce("print", 1, "Operation not permitted")
	begun, printed := m.launchctl.Watch("bootstrap"), m.launchctl.Watch("print")
	ended := make(chan error, 1)
	go func() { // ends after two looks at the job
		_, err := m.Apply(t.Context(), p)
		ended <- err
	}()
	begun()
	m.write(m.Paths.control("app")+".lock", "", 0o600)
	printed() // which fails
	printed() // after the bootout
	m.launchctl.Unwatch("print")
	m.launchctl.Unwatch("bootstrap")
	if err := <-ended; err == nil || !strings.HasSuffix(err.Error(), "all was taken back") {
		t.Errorf("Apply = %v", err)
	}
	m.isAs(before, "an install that failed")
}

func TestAnAppThatIsInstalledIsNotInstalledAgain(t *testing.T) {
	m := newMac(t, launchctl.System)
	req := m.request("listen=" + freePort(t))
	m.install(req)
	before := m.snapshot()
	m.launchctl.Calls()
	m.Version = "1.2.4" // which alone is no change
	p := m.install(req)
	if p.First || !p.Loaded || len(p.Changes) > 0 || p.Reopens || p.Restarts || p.Reloads {
		t.Errorf("the second plan is %+v", p)
	}
	m.called("print system/rondo.app", "print system/rondo.app")
	m.isAs(before, "a second install")
}

func TestWhatNamedTomlHasIsReloaded(t *testing.T) {
	m := newMac(t, launchctl.System)
	listen := "listen=" + freePort(t)
	m.install(m.request(listen))
	m.launchctl.Set("rondo.app", "state", "running")
	job := m.text(m.Paths.job("app"))
	m.launchctl.Calls()
	p := m.plan(m.request(listen, "workers=3", "start-timeout=10s"))
	if len(p.Changes) != 1 || p.Changes[0].Path != m.Paths.toml("app") || p.Reopens || p.Restarts || !p.Reloads {
		t.Errorf("the plan is %+v", p)
	}
	if _, err := m.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	m.called("print system/rondo.app", "print system/rondo.app")
	if !strings.Contains(m.text(m.Paths.toml("app")), "workers = 3") || m.text(m.Paths.job("app")) != job {
		t.Error("NAME.toml does not have the change, or the property list changed")
	}
	if p := m.plan(m.request(listen, "schedule=none")); !p.Restarts || p.Reloads || p.Reopens {
		t.Errorf("of what is fixed the plan is %+v", p)
	}
	command := m.request(listen, "workers=3", "start-timeout=10s")
	command.Command = append(command.Command, "more") // which launchd does not start
	if p := m.plan(command); len(p.Changes) != 2 || p.Reopens || !p.Reloads || p.Restarts {
		t.Errorf("of another command the plan is %+v", p)
	}
	m.launchctl.Set("rondo.app", "state", "not running")
	if p := m.plan(command); p.Reloads || p.Restarts {
		t.Errorf("of a job that does not run the plan is %+v", p)
	}
}

func TestAPropertyListIsTakenAnewOnlyWhenAsked(t *testing.T) {
	m := newMac(t, launchctl.System)
	m.install(m.request("listen=" + freePort(t)))
	m.launchctl.Drain("rondo.app", 2)
	before := m.snapshot()
	m.launchctl.Calls()
	req := m.request("listen="+freePort(t), "workers=3")
	p := m.plan(req)
	if _, err := m.Apply(t.Context(), p); !errors.Is(err, ErrAnew) || !p.Reopens {
		t.Errorf("Apply = %v, want %v", err, ErrAnew)
	}
	m.called("print system/rondo.app")
	m.isAs(before, "a refusal")
	job := m.Paths.job("app")
	if got, want := m.Commands(p), []string{"launchctl bootout system/rondo.app", "launchctl bootstrap system " + job, "launchctl print system/rondo.app"}; !slices.Equal(got, want) {
		t.Errorf("Commands = %q, want %q", got, want)
	}
	p.Reopen = true
	if _, err := m.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	m.called("bootout system/rondo.app", "print system/rondo.app", "print system/rondo.app", "print system/rondo.app", // 36, and until it has drained
		"bootstrap system "+job, "print system/rondo.app", "print system/rondo.app")
	if p := m.plan(req); len(p.Changes) > 0 {
		t.Errorf("after that there are changes: %+v", p.Changes)
	}
}

func TestAPropertyListThatIsNotTakenIsTheOldOneAgain(t *testing.T) {
	m := newMac(t, launchctl.System)
	m.install(m.request("listen=" + freePort(t)))
	before := m.snapshot()
	p := m.plan(m.request("listen=" + freePort(t)))
	p.Reopen = true
	m.launchctl.FailOnce("bootstrap", 5, "Bootstrap failed: 5: Input/output error")
	if _, err := m.Apply(t.Context(), p); err == nil || !strings.HasSuffix(err.Error(), "(exit code 5); all was taken back") {
		t.Errorf("Apply = %v", err)
	}
	m.isAs(before, "a change that failed")
	m.launchctl.Fail("bootout", 1, "Operation not permitted")
	if _, err := m.Apply(t.Context(), p); err == nil || err.Error() != "launchctl bootout system/rondo.app: Operation not permitted (exit code 1)" {
		t.Errorf("Apply = %v", err)
	}
	m.isAs(before, "a bootout that failed")
}

func TestAJobThatDoesNotEndInTimeIsWaitedForAndTakenBack(t *testing.T) {
	m := newMac(t, launchctl.System)
	m.install(m.request("listen=" + freePort(t)))
	before := m.snapshot()
	m.launchctl.Drain("rondo.app", 1<<30)
	p := m.plan(m.request("listen=" + freePort(t)))
	p.Reopen = true
	printed := m.launchctl.Watch("print")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { // ends when the job has
		_, err := m.Apply(ctx, p)
		ended <- err
	}()
	printed()
	m.launchctl.Unwatch("print")
	cancel()
	m.launchctl.Drain("rondo.app", 0)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "all was taken back") {
		t.Errorf("Apply = %v", err)
	}
	m.isAs(before, "an install that was interrupted")
}

func TestABootoutThatIsInterruptedIsTakenBack(t *testing.T) {
	m := newMac(t, launchctl.System)
	m.install(m.request("listen=" + freePort(t)))
	before := m.snapshot()
	p := m.plan(m.request("listen=" + freePort(t)))
	p.Reopen = true
	begun := m.launchctl.Watch("bootout")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { // ended by cancel
		_, err := m.Apply(ctx, p)
		ended <- err
	}()
	begun()
	m.launchctl.Unwatch("bootout")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || !strings.HasSuffix(err.Error(), "all was taken back") {
		t.Errorf("Apply = %v", err)
	}
	m.isAs(before, "a bootout that was interrupted")
}

func TestAJobThatLaunchdLostIsTakenAgain(t *testing.T) {
	m := newMac(t, launchctl.System)
	req := m.request("listen=" + freePort(t))
	m.install(req)
	before := m.snapshot()
	m.launchctl.Forget("rondo.app")
	p := m.plan(req)
	if p.Loaded || len(p.Changes) > 0 {
		t.Errorf("the plan is %+v", p)
	}
	p.Reopen = true
	if got, want := m.Commands(p), []string{"launchctl bootstrap system " + m.Paths.job("app"), "launchctl print system/rondo.app"}; !slices.Equal(got, want) {
		t.Errorf("Commands = %q, want %q", got, want)
	}
	if _, err := m.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	m.isAs(before, "taking the job again")
}

func TestAJobWithoutItsPropertyListMakesPlace(t *testing.T) {
	m := newMac(t, launchctl.System)
	m.launchctl.Set("rondo.app", "path", m.Paths.job("app"))
	m.install(m.request("listen=" + freePort(t)))
	job := m.Paths.job("app")
	m.called("print system/rondo.app", "bootout system/rondo.app", "print system/rondo.app", "bootstrap system "+job, "print system/rondo.app", "print system/rondo.app")
}

func TestWhatIsNotRondosStaysFromLaunchd(t *testing.T) {
	m := newMac(t, launchctl.System)
	other := filepath.Join(m.root, "other.plist")
	m.write(other, "x", 0o644)
	m.launchctl.Set("rondo.app", "path", other)
	m.refuses("launchd has rondo.app from "+other+", which is not of rondo install: choose another --name", m.request())
	m.launchctl.Forget("rondo.app")
	for _, path := range []string{m.Paths.job("app"), m.Paths.toml("app")} {
		m.write(path, "<plist></plist>\n", 0o644)
		m.refuses(path+" is there and is not rondo's", m.request())
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnEditedPropertyListIsAPersons(t *testing.T) {
	m := newMac(t, launchctl.System)
	listen := "listen=" + freePort(t)
	m.install(m.request(listen))
	job := m.Paths.job("app")
	m.edit(job, "<string>Interactive</string>", "<string>Adaptive</string>")
	p := m.plan(m.request(listen)) // which rondo wrote before the edit
	if len(p.Changes) > 0 || len(p.Edited) != 1 || !p.Edited[0].Matters() {
		t.Errorf("the plan is %+v", p)
	}
	other := m.request("listen=" + freePort(t))
	m.refuses(job+" was edited, and would lose that: say by flags what it is for, or give it up with --overwrite", other)
	other.Overwrite = true
	m.install(other)
	if strings.Contains(m.text(job), "Adaptive") {
		t.Error("the edit is not given up")
	}
	m.edit(m.Paths.toml("app"), "name = ", "workers = 9\nname = ")
	m.refuses(m.Paths.toml("app")+" was edited, and would lose that: make the change there, too, and apply it (sudo rondo reload app)", m.request("workers=4"))
}

func TestWhatLaunchdCannotDoIsToldByFlags(t *testing.T) {
	for _, row := range []struct {
		want   string
		domain launchctl.Domain
		change func(*Request)
	}{
		{"--run-as: a job of a user's runs as that user", launchctl.GUI(501), func(r *Request) { r.RunAs = "self" }},
		{`--run-as: there is no account "bob": launchd makes none`, launchctl.System, func(r *Request) { r.RunAs = "bob" }},
		{`--run-as: there is no group "no such"`, launchctl.System, func(r *Request) { r.RunAs = "self:no such" }},
		{"--env-file: launchd reads none", launchctl.System, func(r *Request) { r.App.EnvironmentFiles = []string{"/no/such"} }},
		{"--credential: launchd has nothing like it", launchctl.System, func(r *Request) { r.App.Credentials = map[string]string{"a": "/no/such"} }},
		{"--memory-max: launchd has nothing like it", launchctl.System, func(r *Request) { r.App.MemoryMax = 1 }},
		{"--tasks-max: launchd has nothing like it", launchctl.System, func(r *Request) { r.App.TasksMax = 1 }},
		{"--cpu-quota: launchd has nothing like it", launchctl.System, func(r *Request) { r.App.CPUQuota = 1 }},
		{"--network none: launchd has nothing like it", launchctl.System, func(r *Request) { r.App.NoNetwork = true }},
		{"--backlog: 80: launchd chooses it", launchctl.System, func(r *Request) { r.Flags["listen"], r.Socket.Backlog = []string{"80"}, 5 }},
		{"--socket-user: unix:/run/x: launchd gives the socket to", launchctl.System, func(r *Request) { r.Flags["listen"], r.Socket.User = []string{"unix:/run/x"}, "www" }},
		{"--socket-group: unix:/run/x: launchd gives the socket to", launchctl.System, func(r *Request) { r.Flags["listen"], r.Socket.Group = []string{"unix:/run/x"}, "www" }},
		{"--name: the control socket would be ", launchctl.System, func(r *Request) { r.Flags["name"] = []string{strings.Repeat("a", 64)} }},
		{"directory: ", launchctl.System, func(r *Request) { r.Flags["directory"] = []string{"/no/such"} }},
	} {
		m := newMac(t, row.domain)
		m.Paths.Run = filepath.Join(m.root, "a/longer/directory/than/that/of/macos")
		req := m.request()
		row.change(&req)
		m.refuses(row.want, req)
	}
	m := newMac(t, launchctl.System)
	m.accounts.byName["root"], m.accounts.of[m.dir] = Account{Name: "root"}, 0
	req := m.request()
	req.RunAs = ""
	m.refuses("--run-as: launchd makes no account, and without one the app is root's: name one", req)
	m.accounts.of[m.dir] = os.Getuid()
	if os.Getuid() != 0 {
		if p := m.plan(req); p.App.User != "self" {
			t.Errorf("an app in a directory of self's runs as %q", p.App.User)
		}
	}
	port := freePort(t)
	(&bench{t: t}).takes(port)
	m.refuses("--listen 127.0.0.1:"+port+": the port is taken", m.request("listen=127.0.0.1:"+port))
	m.write(filepath.Join(m.dir, "server.sh"), "#!/usr/bin/env no-such-program\n", 0o755)
	m.refuses("a service's PATH (/usr/bin:/bin:/usr/sbin:/sbin) has no no-such-program", m.request())
}

func TestWithoutLaunchctlThereIsOnlyAPlan(t *testing.T) {
	m := newMac(t, launchctl.GUI(501))
	t.Setenv("PATH", "/nowhere")
	before := m.snapshot()
	p := m.plan(m.request())
	want := []string{"launchctl bootstrap gui/501 " + m.Paths.job("app"), "launchctl print gui/501/rondo.app"}
	if got := m.Commands(p); !slices.Equal(got, want) {
		t.Errorf("Commands = %q, want %q", got, want)
	}
	if _, err := m.Apply(t.Context(), p); !errors.Is(err, launchctl.ErrAbsent) {
		t.Errorf("Apply = %v, want %v", err, launchctl.ErrAbsent)
	}
	m.isAs(before, "a machine without launchd")
}

func TestLaunchdsFilesAreGeneratedForAnotherMachine(t *testing.T) {
	m := newMac(t, launchctl.System)
	m.Paths, _ = LaunchdPathsOf(launchctl.System)
	req := m.request("listen=80=3000", "directory=/srv/app")
	req.RunAs, req.Command = "nobody-here", []string{"/no/such/node"}
	list, err := m.Generate(req)
	if err != nil || len(list) != 2 || list[0].Path != "/etc/rondo/app.toml" || list[1].Path != "/Library/LaunchDaemons/rondo.app.plist" {
		t.Fatalf("Generate = %v, %v", list, err)
	}
	for _, want := range []string{"<string>nobody-here</string>", "/Library/Logs/rondo-app.log", "/usr/local/var/run/rondo/app<"} {
		if !strings.Contains(list[1].New, want) {
			t.Errorf("the property list has no %q:\n%s", want, list[1].New)
		}
	}
	if _, err := exec.LookPath("plistutil"); err == nil {
		out := filepath.Join(t.TempDir(), "out")
		in := filepath.Join(m.root, "in.plist")
		m.write(in, list[1].New, 0o644)
		if said, err := exec.Command("plistutil", "-i", in, "-o", out).CombinedOutput(); err != nil {
			t.Errorf("plistutil: %v: %s", err, said)
		}
	}
	m.called()
	req.RunAs = ""
	if _, err := m.Generate(req); err == nil || !strings.HasPrefix(err.Error(), "--run-as: launchd makes no account") {
		t.Errorf("Generate = %v", err)
	}
}

func TestLaunchdsPlacesAreThoseOfMacOS(t *testing.T) {
	t.Setenv("HOME", "/Users/alice")
	t.Setenv("TMPDIR", "/var/folders/x/T/")
	uid := fmt.Sprint(os.Getuid())
	for domain, want := range map[launchctl.Domain]LaunchdPaths{
		launchctl.System: {"/Library/LaunchDaemons", "/etc/rondo", "/Library/Logs", "/usr/local/var/run/rondo", "/var/run"},
		launchctl.GUI(501): {"/Users/alice/Library/LaunchAgents", "/Users/alice/Library/Application Support/rondo", "/Users/alice/Library/Logs",
			"/var/folders/x/T/rondo-" + uid, "/var/folders/x/T/"},
	} {
		if got, err := LaunchdPathsOf(domain); err != nil || got != want {
			t.Errorf("LaunchdPathsOf(%s) = %+v, %v, want %+v", domain, got, err, want)
		}
	}
}

func TestAPropertyListNamesARondoThatLasts(t *testing.T) {
	for path, want := range map[string]string{"/bin/sh": "", "/no/such": "file does not exist"} {
		if err := CheckLastingRondo(path); (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("CheckLastingRondo(%s) = %v, want %q", path, err, want)
		}
	}
	if err := CheckLastingRondo(newMac(t, launchctl.System).Rondo); err == nil || !strings.Contains(err.Error(), "which does not last") {
		t.Errorf("of a rondo below /tmp: %v", err)
	}
}

package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/launchctl"
)

// doctor is what is wrong with app: each line is what, and the command. Facts are left
// out, or are all that is in it.
func (m *mac) doctor(facts bool) string {
	m.t.Helper()
	list, err := m.Doctor(m.t.Context(), "app")
	if err != nil {
		m.t.Fatal(err)
	}
	var lines []string
	for _, f := range list {
		if (f.Mend == "") == facts {
			lines = append(lines, f.What+" -> "+f.Mend)
		}
	}
	return strings.Join(lines, "\n")
}

func TestDoctorFindsNothingOfAJob(t *testing.T) {
	for _, domain := range domains {
		m := newMac(t, domain)
		m.install(m.request("listen="+freePort(t)+"=3000", "listen=admin@unix:/run/no/such.sock=3001", "workers=2"))
		before := m.snapshot()
		if got := m.doctor(false) + m.doctor(true); got != "" {
			t.Errorf("%s: doctor says %s", domain, got)
		}
		m.isAs(before, "doctor")
	}
}

func TestDoctorFindsEachFaultOfAJob(t *testing.T) {
	const (
		refresh = "sudo rondo install --refresh --apply-sockets app"
		editor  = "sudo ${EDITOR:-vi} ETC/app.toml"
	)
	for _, row := range []struct {
		what string
		do   func(m *mac)
		want string // JOB, ETC, LOG, RUN and ROOT stand for theirs
	}{
		{"edited", func(m *mac) { m.edit(m.Paths.job("app"), "<string>Interactive<", "<string>Adaptive<") },
			"JOB was edited: rondo does not bring it up to date -> sudo rondo install --refresh --overwrite --apply-sockets app"},
		{"outdated", func(m *mac) {
			text := m.text(m.Paths.job("app"))
			body := strings.Replace((&file{text: text}).body(), "Interactive", "Standard", 1)
			head, _, _ := strings.Cut(text, "<!-- rondo ")
			comment, _, _ := strings.Cut(sealed("1.0.0", body), "\n")
			m.write(m.Paths.job("app"), head+"<!--"+strings.TrimPrefix(comment, "#")+" -->\n"+body, 0o644)
		}, "JOB is outdated: written by rondo 1.0.0, and 1.2.3 would write it otherwise -> " + refresh},
		{"not as the settings", func(m *mac) { m.edit(m.Paths.toml("app"), "name = ", "drain-timeout = '1m'\nname = ") },
			"JOB is not as ETC/app.toml has it by now -> " + refresh},
		{"no longer with launchd, and not as the settings", func(m *mac) {
			m.edit(m.Paths.toml("app"), "name = ", "drain-timeout = '1m'\nname = ")
			m.launchctl.Forget("rondo.app")
		}, "JOB is not as ETC/app.toml has it by now -> sudo rondo install --refresh app\n" +
			"launchd does not have rondo.app: it neither listens nor runs -> sudo launchctl bootstrap system JOB"},
		{"of another app", func(m *mac) { m.edit(m.Paths.job("app"), `{"Name":"app"`, `{"Name":"web"`) },
			`JOB is of the app "web": was it copied?: only an install with all its flags writes it anew -> sudo rondo install --name app ...`},
		{"missing", func(m *mac) { m.remove(m.Paths.job("app")) },
			"JOB is missing: only an install with all its flags writes it anew -> sudo rondo install --name app ..."},
		{"not bootstrapped", func(m *mac) { m.launchctl.Forget("rondo.app") },
			"launchd does not have rondo.app: it neither listens nor runs -> sudo launchctl bootstrap system JOB"},
		{"exited", func(m *mac) {
			m.launchctl.Set("rondo.app", "code", "78: EX_CONFIG")
			m.launchctl.Set("rondo.app", "runs", "2")
		}, "rondo.app does not run, and ended with 78: EX_CONFIG (starts: 2) -> sudo rondo logs app"},
		{"rondo gone", func(m *mac) {
			m.remove(m.Rondo)
			m.Rondo = filepath.Join(m.dir, "server.sh")
		}, "rondo is not at ROOT/rondo any more, where launchd looks for it -> " + refresh},
		{"settings", func(m *mac) { m.edit(m.Paths.toml("app"), "name = ", "wokers = 1\nname = ") },
			`ETC/app.toml:5: unknown key "wokers": did you mean "workers"? -> ` + editor},
		{"settings of a job that runs", func(m *mac) {
			m.edit(m.Paths.toml("app"), "name = ", "wokers = 1\nname = ")
			m.launchctl.Set("rondo.app", "state", "running")
		}, `ETC/app.toml:5: unknown key "wokers": did you mean "workers"? -> ` + editor + " && sudo rondo reload app\n" +
			"rondo.app runs, and its master does not answer: nobody answers on RUN/app/control.sock: connect: no such file or directory -> sudo launchctl kickstart -k system/rondo.app"},
		{"program", func(m *mac) { m.remove(filepath.Join(m.dir, "server.sh")) },
			"ETC/app.toml: command: ROOT/srv/server.sh: file does not exist -> " + editor},
		{"interpreter", func(m *mac) { m.write(filepath.Join(m.dir, "server.sh"), "#!/usr/bin/env nono\n", 0o755) },
			"ETC/app.toml: command: ROOT/srv/server.sh begins with #!/usr/bin/env nono, and a service's PATH (/usr/bin:/bin:/usr/sbin:/sbin) has no nono: " +
				"begin the command with it: the path of nono ROOT/srv/server.sh web -> " + editor},
		{"socket", func(m *mac) { m.edit(m.Paths.toml("app"), "address = '", "address = '127.0.0.1:9'\n# '") },
			"ETC/app.toml: --listen 127.0.0.1:9=3000: no such socket was passed; passed are: Listeners@[::]:PORT -> " + editor},
		{"account", func(m *mac) { delete(m.accounts.byName, "self") },
			"the account that it runs as is not there: no account self -> sudo rondo install --name app --run-as ACCOUNT ..."},
		{"owner", func(m *mac) { m.accounts.of[m.Paths.job("app")] = 501 },
			"JOB belongs to OWNER, and launchd refuses it: Path had bad ownership/permissions -> sudo chown root:wheel JOB"},
		{"rights", func(m *mac) { m.chmod(m.Paths.job("app"), 0o664) },
			"JOB is writable for others (mode 0664), and launchd refuses it: Path had bad ownership/permissions -> sudo chmod 644 JOB"},
		{"other file", func(m *mac) { m.launchctl.Set("rondo.app", "path", "/other.plist") },
			"launchd has rondo.app from /other.plist, and not from JOB -> sudo launchctl bootout system/rondo.app && sudo launchctl bootstrap system JOB"},
		{"no log", func(m *mac) { m.remove(filepath.Join(m.Paths.Logs, "rondo-app.log")) },
			"LOG is not there, or not of self, as whom launchd opens it -> sudo touch LOG && sudo chown self LOG"},
		{"log of another", func(m *mac) { m.accounts.of[filepath.Join(m.Paths.Logs, "rondo-app.log")] = 501 },
			"LOG is not there, or not of self, as whom launchd opens it -> sudo touch LOG && sudo chown self LOG"},
		{"no runtime directory", func(m *mac) { m.remove(filepath.Join(m.Paths.Run, "app")) },
			"RUN/app is not there, or not of self, who has the control socket there -> sudo install -d -m 755 -o self RUN/app"},
		{"may not be entered", func(m *mac) {
			m.Try = func(context.Context, Trial) error {
				return &TrialError{What: "self may not enter /x", At: "/x", Mend: "chmod o+x /x", Advice: "move it"}
			}
		}, "self may not enter /x: chmod o+x /x, or move it -> sudo chmod o+x /x"},
		{"may not be looked at", func(m *mac) {
			m.Try = func(context.Context, Trial) error { return &TrialError{What: "self may not enter /x", At: "/x"} }
		}, "self may not enter /x -> sudo ls -ld /x"},
		{"not tried", func(m *mac) { m.Try = func(context.Context, Trial) error { return ErrNotTried } }, ""},
	} {
		m := newMac(t, launchctl.System)
		port := freePort(t)
		m.install(m.request("listen=" + port + "=3000"))
		row.do(m)
		info, err := os.Stat(m.root)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.NewReplacer("JOB", m.Paths.job("app"), "ETC", m.Paths.Config, "LOG", filepath.Join(m.Paths.Logs, "rondo-app.log"),
			"RUN", m.Paths.Run, "ROOT", m.root, "PORT", port, "OWNER", ownerName(info)).Replace(row.want)
		if got := m.doctor(false); got != want {
			t.Errorf("%s: doctor says\n%s\nwant\n%s", row.what, got, want)
		}
	}
}

func (m *mac) remove(path string) {
	m.t.Helper()
	if err := os.Remove(path); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mac) chmod(path string, mode os.FileMode) {
	m.t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		m.t.Fatal(err)
	}
}

func TestDoctorOfAJobNotesWhatIsNoFault(t *testing.T) {
	m := newMac(t, launchctl.System)
	m.install(m.request())
	m.launchctl.Set("rondo.app", "state", "not running")
	m.Try = func(context.Context, Trial) error { return ErrNotTried }
	m.edit(m.Paths.toml("app"), "name = ", "drain-timeout = '1m'\nname = ")
	want := "to bring its property list up to date launchd must give the job up: connections that wait, or come meanwhile, are refused -> \n" +
		"what self may read was not looked at: only root can -> "
	if got := m.doctor(true); got != want {
		t.Errorf("doctor notes %s, want %s", got, want)
	}
	for name, want := range map[string]string{"web": "web is not installed: rondo wrote no ", "a/b": `"a/b" is not a name`} {
		if _, err := m.Doctor(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Doctor(%s) = %v, want %q", name, err, want)
		}
	}
	m.write(m.Paths.job("app"), "<plist></plist>", 0o644)
	if _, err := m.Doctor(t.Context(), "app"); err == nil || !strings.Contains(err.Error(), m.Paths.job("app")+" is not rondo's: it is left alone") {
		t.Errorf("Doctor = %v", err)
	}
	t.Setenv("PATH", "/nowhere")
	m.remove(m.Paths.job("app"))
	if _, err := m.Doctor(t.Context(), "app"); !errors.Is(err, launchctl.ErrAbsent) {
		t.Errorf("Doctor = %v, want %v", err, launchctl.ErrAbsent)
	}
}

func TestDoctorOfAUsersJobLooksAtTheUser(t *testing.T) {
	m := newMac(t, launchctl.GUI(501))
	m.install(m.request())
	job := m.Paths.job("app")
	m.accounts.of[job] = 4711
	m.chmod(job, 0o666)
	info, err := os.Stat(job)
	if err != nil {
		t.Fatal(err)
	}
	master := "rondo.app runs, and its master does not answer: nobody answers on " + m.Paths.control("app") + ": connect: no such file or directory -> launchctl kickstart -k gui/501/rondo.app"
	if got, want := m.doctor(false), job+" belongs to "+ownerName(info)+", and launchd refuses it: Path had bad ownership/permissions -> sudo chown $(id -un) "+job+"\n"+master; got != want {
		t.Errorf("doctor says %s, want %s", got, want)
	}
	m.accounts.of[job] = 0
	if got, want := m.doctor(false), job+" is writable for others (mode 0666), and launchd refuses it: Path had bad ownership/permissions -> chmod 644 "+job+"\n"+master; got != want {
		t.Errorf("doctor says %s, want %s", got, want)
	}
}

func TestDoctorAsksTheMasterOfAJob(t *testing.T) {
	type object = map[string]any
	ready := object{"slot": 0, "state": "ready"}
	m := newMac(t, launchctl.System)
	m.install(m.request("listen=" + freePort(t)))
	m.launchctl.Set("rondo.app", "state", "running")
	for _, row := range []struct {
		status      object
		want, facts string
	}{
		{object{"workers": []object{ready}}, "", ""},
		{object{"workers": []object{{"slot": 0, "state": "starting", "last_exit": object{"reason": "exited with code 1"}}}},
			"rondo.app has no ready worker: the last one exited with code 1 -> sudo rondo logs app", ""},
		{object{"workers": []object{ready, {"slot": 1, "state": "exited", "last_exit": object{"reason": "was killed by SIGSEGV"}}}},
			"rondo.app has no worker in slot 1: its last one was killed by SIGSEGV -> sudo rondo logs app", ""},
		{object{"workers": []object{ready}, "listeners": []object{{"name": "web", "address": "[::]:80", "passed": true, "asked": false}}},
			"no worker listens on [::]:80 (web), so its connections wait for ever: map it in ETC/app.toml to what the program listens on, or take it out -> " +
				"sudo ${EDITOR:-vi} ETC/app.toml && sudo rondo reload app", ""},
		{object{"workers": []object{ready}, "reload": object{"state": "failed", "error": "exited with code 7"}},
			"the last reload of rondo.app failed, and its workers are the ones of before: exited with code 7 -> sudo rondo logs app && sudo rondo reload app", ""},
		{object{"workers": []object{{"slot": 2, "state": "ready", "opened": []string{"[::]:9"}}}}, "",
			"the worker in slot 2 listens by itself on [::]:9 (exclusive, or reusePort): nothing is handed over there, and a reload does not keep that open -> "},
	} {
		row.status["name"], row.status["state"] = "app", "ready"
		l, err := control.Listen(t.Context(), m.Paths.control("app"))
		if err != nil {
			t.Fatal(err)
		}
		server := &control.Server{Listener: l, Backend: backend{status: row.status}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- server.Run(ctx) }() // ended by cancel
		if got, want := m.doctor(false), strings.ReplaceAll(row.want, "ETC", m.Paths.Config); got != want {
			t.Errorf("of %v doctor says %s, want %s", row.status, got, want)
		}
		if got := m.doctor(true); got != row.facts {
			t.Errorf("of %v doctor notes %s, want %s", row.status, got, row.facts)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

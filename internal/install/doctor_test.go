package install

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/systemd"
)

// doctor is what is wrong with app: each line is what, and the command. Facts are
// left out, or are all that is in it.
func (b *bench) doctor(facts bool) string {
	b.t.Helper()
	list, err := b.Doctor(b.t.Context(), "app")
	if err != nil {
		b.t.Fatal(err)
	}
	var lines []string
	for _, f := range list {
		if (f.Mend == "") == facts {
			lines = append(lines, f.What+" -> "+f.Mend)
		}
	}
	return strings.Join(lines, "\n")
}

func TestDoctorFindsNothing(t *testing.T) {
	for _, scope := range []systemd.Scope{systemd.System, systemd.User} {
		b := newBench(t, scope, 257)
		b.write(filepath.Join(filepath.Dir(b.dir), "linger", "self"), "", 0o644)
		b.install(b.request("listen="+freePort(t)+"=3000", "listen=admin@unix:/run/no/such.sock=3001", "listen=127.0.0.1:"+freePort(t)))
		if got := b.doctor(false); got != "" {
			t.Errorf("%s: doctor says %s", scope, got)
		}
		if got := b.doctor(true); got != "" {
			t.Errorf("%s: doctor notes %s", scope, got)
		}
	}
}

// A fault is what is wrong with an app, and what doctor says of it.
type fault struct {
	what string
	do   func(b *bench)
	want string // DIR, UNITS, CONFIG and ROOT stand for theirs
}

// finds has doctor look at an app that listens on port, with each fault alone.
func finds(t *testing.T, port string, faults []fault) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.what, func(t *testing.T) {
			b := newBench(t, systemd.System, 257)
			b.install(b.request("listen=127.0.0.1:" + port + "=3000"))
			f.do(b)
			root := filepath.Dir(b.dir)
			want := strings.NewReplacer("UNITS", b.Paths.Units, "CONFIG", b.Paths.Config, "DIR", b.dir, "ROOT", root).Replace(f.want)
			if got := b.doctor(false); got != want {
				t.Errorf("doctor says\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestDoctorFindsEachFault(t *testing.T) {
	port := freePort(t)
	finds(t, port, []fault{
		{"socket stopped", func(b *bench) { delete(b.manager.active, "app.socket") },
			"app.socket is enabled and does not listen -> sudo systemctl start app.socket"},
		{"socket disabled", func(b *bench) { delete(b.manager.enabled, "app.socket") },
			"app.socket listens, and will not after a reboot: it is not enabled -> sudo systemctl enable app.socket"},
		{"address added", func(b *bench) { b.closed = map[string][]string{"app.socket": {"[::]:1", "[::]:2"}} },
			"app.socket is active and does not listen on [::]:1, [::]:2: its addresses changed since it was started -> sudo systemctl restart app.socket"},
		{"both", func(b *bench) { clear(b.manager.active); clear(b.manager.enabled) },
			"app.socket neither listens nor is enabled to -> sudo systemctl enable --now app.socket"},
		{"socket in a limit", func(b *bench) { b.fails("app.socket", "trigger-limit-hit", "") },
			"app.socket failed: connections started the service too often, by a limit that is not rondo's (trigger-limit-hit) -> sudo systemctl restart app.socket"},
		{"service in a limit", func(b *bench) { b.fails("app.socket", "service-start-limit-hit", "") },
			"app.socket failed: it was started too often, by a limit that is not rondo's (service-start-limit-hit) -> sudo systemctl restart app.socket"},
		{"socket in a drop-in's limit", func(b *bench) {
			b.manager.dropIns["app.socket"] = []string{"/a.conf", "/b.conf"}
			b.fails("app.socket", "trigger-limit-hit", "")
		}, "app.socket failed: connections started the service too often, by a limit that is not rondo's (trigger-limit-hit): see /a.conf, /b.conf -> sudo systemctl restart app.socket"},
		{"socket stopped beside the service", func(b *bench) { delete(b.manager.active, "app.socket"); b.activates("") },
			"app.socket is enabled and does not listen -> sudo systemctl restart app.socket"},
		{"port of the service itself", func(b *bench) {
			b.takes(port)
			delete(b.manager.active, "app.socket")
			b.activates("")
			b.manager.unitOf = "app.service"
		}, "app.socket is enabled and does not listen -> sudo systemctl restart app.socket"},
		{"both beside the service", func(b *bench) { clear(b.manager.active); clear(b.manager.enabled); b.activates("") },
			"app.socket neither listens nor is enabled to -> sudo systemctl enable app.socket && sudo systemctl restart app.socket"},
		{"service failed", func(b *bench) { b.fails("app.service", "exit-code", "every worker died") },
			"app.service failed: exit-code; it said last: every worker died -> sudo journalctl -n 50 -u app.service && sudo systemctl restart app.service"},
		{"service between two starts", func(b *bench) {
			b.activates("auto-restart")
			b.says("this", "every worker died")
			b.says("", "of another")
		},
			"app.service does not get ready: every worker died -> sudo journalctl -n 50 -u app.service"},
		{"service about to be started again", func(b *bench) { b.fails("app.service", "exit-code", "x"); b.again("failed-before-auto-restart", 3) },
			"app.service does not get ready (restarts: 3): x -> sudo journalctl -n 50 -u app.service"},
		{"start after another", func(b *bench) { b.activates("start"); b.again("start", 1); b.says("", "of the one before") },
			"app.service does not get ready (restarts: 1): of the one before -> sudo journalctl -n 50 -u app.service"},
		{"start without words", func(b *bench) {
			b.fails("app.service", "resources", "")
			b.again("auto-restart", 3)
			b.says("", "of another")
		},
			"app.service does not get ready (restarts: 3): resources, as systemd says -> sudo journalctl -n 50 -u app.service"},
		{"program listens elsewhere", func(b *bench) {
			b.activates("auto-restart")
			b.says("this", "every worker died; the last one could not listen on 0.0.0.0:4000: the init system passed no socket for it; passed are: x; exited with code 1")
		}, "app.service does not get ready: its program listens on 0.0.0.0:4000, which no listener of CONFIG/app.toml is mapped to: they are 127.0.0.1:" + port +
			"=3000 -> sudoedit CONFIG/app.toml && sudo systemctl stop app.service && sudo systemctl start app.service"},
		{"service does not get ready", func(b *bench) {
			u, _ := b.manager.Unit(context.Background(), "app.service")
			u.Active, u.Status = "activating", "0/2 ready"
			b.manager.also["app.service"] = u
		}, "app.service does not get ready: 0/2 ready -> sudo journalctl -n 50 -u app.service"},
		{"unit edited", func(b *bench) {
			b.edit(b.Paths.unit("app.service"), "WatchdogSec=30s", "WatchdogSec=31s")
			b.reload()
		}, "UNITS/app.service was edited: rondo does not bring it up to date; a drop-in (sudo systemctl edit app.service) would be kept -> sudo rondo install --refresh --overwrite app"},
		{"socket edited", func(b *bench) { b.edit(b.Paths.unit("app.socket"), "Backlog=4096", "Backlog=7"); b.reload() },
			"UNITS/app.socket was edited: rondo does not bring it up to date; a drop-in (sudo systemctl edit app.socket) would be kept -> sudo rondo install --refresh --overwrite --apply-sockets app"},
		{"units outdated", func(b *bench) { b.age() },
			"UNITS/app.socket is outdated: rondo 1.0.0 wrote it for systemd 257; these are 1.2.3 and 257 -> sudo rondo install --refresh app\n" +
				"UNITS/app.service is outdated: rondo 1.0.0 wrote it for systemd 257; these are 1.2.3 and 257 -> sudo rondo install --refresh app"},
		{"settings newer than units", func(b *bench) { b.edit(b.Paths.toml("app"), "\nname = ", "\ndrain-timeout = '5m'\nname = ") },
			"UNITS/app.service is not as CONFIG/app.toml has it by now -> sudo rondo install --refresh app"},
		{"file changed", func(b *bench) { b.manager.texts["app.socket"] += "#" },
			"the files of app.socket changed since the manager read them -> sudo systemctl daemon-reload"},
		{"files changed", func(b *bench) { b.manager.texts["app.socket"] += "#"; b.manager.texts["app.service"] += "#" },
			"the files of app.socket changed since the manager read them; the files of app.service changed since the manager read them -> sudo systemctl daemon-reload"},
		{"manager knows no unit", func(b *bench) { delete(b.manager.loaded, "app.service") },
			"app.service is not known to the manager -> sudo systemctl daemon-reload"},
		{"masked", func(b *bench) { b.manager.also["app.service"] = systemd.Unit{Load: "masked"} },
			"app.service is masked -> sudo systemctl unmask app.service"},
		{"bad unit", func(b *bench) { b.manager.also["app.service"] = systemd.Unit{Load: "bad-setting", LoadError: "no"} },
			"app.service cannot be used (bad-setting): no -> systemctl status app.service"},
		{"hidden by another file", func(b *bench) { b.manager.also["app.service"] = systemd.Unit{Load: "loaded", Fragment: "/run/x"} },
			"app.service is taken from /run/x, and not from UNITS/app.service -> systemctl cat app.service"},
		{"socket unit gone", func(b *bench) { b.gone(b.Paths.unit("app.socket")) },
			"UNITS/app.socket is missing -> sudo rondo install --refresh app\n" +
				"app.service does not run, and no socket starts it -> sudo systemctl start app.service"},
		{"settings broken", func(b *bench) { b.write(b.Paths.toml("app"), "\nworkes = 2\n", 0o644) },
			"CONFIG/app.toml:2: unknown key \"workes\": did you mean \"workers\"? -> sudoedit CONFIG/app.toml"},
		{"settings gone", func(b *bench) { b.gone(b.Paths.toml("app")) },
			"config: open CONFIG/app.toml: no such file or directory -> sudoedit CONFIG/app.toml"},
		{"command gone", func(b *bench) { b.gone(filepath.Join(b.dir, "server.sh")) },
			"CONFIG/app.toml: command: DIR/server.sh: file does not exist -> sudoedit CONFIG/app.toml"},
		{"script gone", func(b *bench) {
			b.write(filepath.Join(b.dir, "node"), "", 0o755)
			b.edit(b.Paths.toml("app"), "server.sh", "node")
		}, "CONFIG/app.toml: command: DIR/web: file does not exist -> sudoedit CONFIG/app.toml"},
		{"mapping of nothing", func(b *bench) { b.edit(b.Paths.toml("app"), port, "1") },
			"CONFIG/app.toml: --listen 127.0.0.1:1=3000: no such socket was passed; passed are: app.socket@127.0.0.1:" + port + " -> sudoedit CONFIG/app.toml"},
		{"rondo gone", func(b *bench) { b.gone(b.Rondo); b.Rondo = b.dir + "/server.sh" },
			"rondo is not at ROOT/rondo any more, where the service looks for it -> sudo rondo install --refresh app\n" +
				"UNITS/app.service is not as CONFIG/app.toml has it by now -> sudo rondo install --refresh app"},
		{"account gone", func(b *bench) { delete(b.accounts.byName, "alice") },
			"the account that it runs as is not there: no account alice -> sudo rondo install --refresh app"},
		{"directory closed", func(b *bench) {
			b.tells(TrialError{What: "no", At: "/srv/x", Mend: "chmod o+x /srv/x", Advice: "run it as the owner"})
		}, "no: chmod o+x /srv/x, or run it as the owner -> sudo chmod o+x /srv/x"},
		{"file closed", func(b *bench) { b.tells(TrialError{What: "no", At: "/srv/x", Mend: "chmod u+r /srv/x"}) },
			"no -> sudo chmod u+r /srv/x"},
		{"home closed", func(b *bench) { b.tells(TrialError{What: "no", At: "/root", Advice: "homes stay closed"}) },
			"no: homes stay closed -> sudo ls -ld /root"},
		{"record broken", func(b *bench) { b.edit(b.Paths.unit("app.service"), "App={", "App={{"); b.reload() },
			"app.service: [X-Rondo] App=: invalid character '{' looking for beginning of object key string: only an install with all its flags writes it anew -> sudo rondo install --name app ..."},
	})
}

func TestDoctorMissesWhatTheServiceNames(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	file := func(name string) string {
		path := filepath.Join(filepath.Dir(b.dir), name)
		b.write(path, "", 0o600)
		return path
	}
	env, key, data, maybe := file("env"), file("key"), file("data"), file("maybe")
	req := b.request("listen=" + freePort(t))
	req.App.EnvironmentFiles, req.App.Credentials, req.App.Writes = []string{env, "-" + maybe}, map[string]string{"key": key}, []string{data}
	b.install(req)
	b.gone(maybe)
	for _, row := range []struct {
		do   func()
		want string
	}{
		{func() {}, ""},
		{func() { b.gone(data) }, "--write: stat DATA: no such file or directory: make it, as what the app may write to must exist -> sudo mkdir -p DATA"},
		{func() { b.gone(key) }, "--credential key: stat KEY: no such file or directory -> sudoedit KEY"},
		{func() { b.gone(env) }, "--env-file: stat ENV: no such file or directory: make it, or write -ENV if it may be missing -> sudoedit ENV"},
		{func() { b.write(filepath.Join(env, "x"), "", 0o600) }, "--env-file: ENV is not a regular file -> sudo ls -ld ENV"},
	} {
		row.do()
		want := strings.NewReplacer("DATA", data, "KEY", key, "ENV", env).Replace(row.want)
		if got := b.doctor(false); got != want {
			t.Errorf("doctor says\n%s\nwant\n%s", got, want)
		}
	}
	req.Flags["name"] = []string{"other"}
	b.refuses("--env-file: "+env+" is not a regular file", req)
}

// tells has each trial end so.
func (b *bench) tells(wrong TrialError) {
	b.Try = func(context.Context, Trial) error { return &wrong }
}

// takes has this process listen on a port until the end of the test.
func (b *bench) takes(port string) {
	b.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { l.Close() })
}

// activates has the service be starting, in a substate.
func (b *bench) activates(sub string) {
	b.t.Helper()
	u, err := b.manager.Unit(b.t.Context(), "app.service")
	if err != nil {
		b.t.Fatal(err)
	}
	u.Active, u.Sub, u.Since = "activating", sub, time.Now()
	b.manager.also["app.service"] = u
}

// says has the service have said last words in an invocation; this is the current one.
func (b *bench) says(invocation, words string) {
	u := b.manager.also["app.service"]
	u.Invocation = "this"
	b.manager.also["app.service"] = u
	if b.said == nil {
		b.said = make(map[string]string)
	}
	b.said[invocation] = words
}

// again has the service be in a substate after restarts.
func (b *bench) again(sub string, restarts int) {
	u := b.manager.also["app.service"]
	u.Sub, u.Restarts = sub, restarts
	b.manager.also["app.service"] = u
}

func (b *bench) fails(unit, result, status string) {
	b.t.Helper()
	u, err := b.manager.Unit(b.t.Context(), unit)
	if err != nil {
		b.t.Fatal(err)
	}
	u.Active, u.Result, u.Status = "failed", result, status
	b.manager.also[unit] = u
}

func (b *bench) reload() {
	b.t.Helper()
	if err := b.manager.Reload(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) gone(path string) {
	b.t.Helper()
	if err := os.Remove(path); err != nil {
		b.t.Fatal(err)
	}
}

func TestDoctorOfAServiceWithoutSockets(t *testing.T) {
	b := newBench(t, systemd.System, 257)
	b.install(b.request())
	delete(b.manager.active, "app.service")
	if got := b.doctor(false); got != "app.service does not run, and no socket starts it -> sudo systemctl start app.service" {
		t.Errorf("stopped: %s", got)
	}
}

func TestDoctorNotesWhatIsNoFault(t *testing.T) {
	b := newBench(t, systemd.System, 252)
	b.install(b.request("listen=" + freePort(t)))
	b.manager.dropIns["app.socket"] = []string{"/etc/x.conf"}
	want := "the units leave out what systemd 252 does not know: " +
		"PollLimitBurst= (so a service that fails at every start is started for each connection), PrivateTmp=disconnected (so it has a static account) -> \n" +
		"app.socket is changed by /etc/x.conf -> "
	if got := b.doctor(true); got != want {
		t.Errorf("doctor notes\n%s\nwant\n%s", got, want)
	}
	starting, err := b.manager.Unit(t.Context(), "app.service")
	if err != nil {
		t.Fatal(err)
	}
	starting.Active, starting.Status, starting.Since = "activating", "0/2 ready", time.Now()
	b.manager.also["app.service"] = starting
	if got := b.doctor(true); !strings.Contains(got, "app.service is starting: 0/2 ready") || b.doctor(false) != "" {
		t.Errorf("of a start doctor notes %s, and says %s", got, b.doctor(false))
	}
	starting.Restarts = 1
	b.manager.also["app.service"] = starting
	if got := b.doctor(false); !strings.Contains(got, "app.service does not get ready (restarts: 1): 0/2 ready") {
		t.Errorf("of a start after another doctor says %s", got)
	}
	delete(b.manager.also, "app.service")
	b.Try = func(context.Context, Trial) error { return ErrNotTried }
	if got := b.doctor(true); !strings.Contains(got, "what alice may read was not looked at: only root can") {
		t.Errorf("without rights doctor notes %s", got)
	}
	user := newBench(t, systemd.User, 252)
	user.install(user.request())
	user.manager.active["app.service"] = ""
	if got := user.doctor(false); !strings.Contains(got, "the app ends when self logs out -> sudo loginctl enable-linger self") {
		t.Errorf("of a user who does not linger doctor says %s", got)
	}
	if _, err := b.Doctor(t.Context(), "web"); err == nil || !strings.Contains(err.Error(), "web is not installed") {
		t.Errorf("Doctor = %v", err)
	}
}

// A backend is a master that only tells its status.
type backend struct {
	control.Backend
	status any
}

func (b backend) Status(context.Context) (any, error) { return b.status, nil }

func TestDoctorAsksTheMaster(t *testing.T) {
	type exit struct {
		Reason string `json:"reason"`
	}
	type worker struct {
		Slot  int    `json:"slot"`
		State string `json:"state"`
		Last  *exit  `json:"last_exit"`
	}
	type listener struct {
		Name    string `json:"name"`
		Address string `json:"address"`
		Passed  bool   `json:"passed"`
		Asked   any    `json:"asked"`
	}
	type reload struct {
		State string `json:"state"`
		Error any    `json:"error"`
	}
	serves := []worker{{State: "ready"}}
	b := newBench(t, systemd.User, 257)
	b.write(b.Paths.Linger, "", 0o644)
	b.install(b.request("listen=" + freePort(t)))
	b.manager.active["app.service"] = "active"
	if got := b.doctor(false); !strings.HasPrefix(got, "app.service is active and does not answer: nobody answers on ") || !strings.HasSuffix(got, " -> systemctl --user restart app.service") {
		t.Errorf("of a master that is not there doctor says %s", got)
	}
	for _, row := range []struct {
		state     string
		listeners []listener
		workers   []worker
		want      string
		reload    *reload
	}{
		{"ready", nil, []worker{{State: "starting", Last: &exit{"exited with code 1"}}, {State: "ready"}}, "", nil},
		{"ready", nil, []worker{{State: "ready"}, {Slot: 1, State: "starting"}}, "", nil},
		{"ready", nil, []worker{{State: "ready"}, {Slot: 1, State: "exited", Last: &exit{"was killed by SIGSEGV"}}},
			"app.service has no worker in slot 1: its last one was killed by SIGSEGV -> journalctl -n 20 -t app/1", nil},
		{"ready", []listener{{"web", "[::]:80", true, true}, {"own", "[::]:81", false, false}, {"old", "[::]:82", true, nil}}, serves, "", nil},
		{"starting", []listener{{"web", "[::]:80", true, false}}, serves, "", nil},
		{"ready", []listener{{"web", "[::]:80", true, false}}, serves, "no worker listens on [::]:80 (web), so its connections wait for ever: " +
			"map it in CONFIG/app.toml to what the program listens on, or take it out -> ${EDITOR:-vi} CONFIG/app.toml && systemctl --user stop app.service && systemctl --user start app.service", nil},
		{"ready", nil, []worker{{State: "starting", Last: &exit{"exited with code 1"}}}, "app.service has no ready worker: the last one exited with code 1 -> journalctl -n 50 --user-unit app.service", nil},
		{"ready", nil, nil, "app.service has no ready worker -> journalctl -n 50 --user-unit app.service", nil},
		{"ready", nil, serves, "", &reload{"done", nil}},
		{"ready", nil, serves, "the last reload of app.service failed, and its workers are the ones of before: exited with code 7 -> " +
			"journalctl -n 50 --user-unit app.service && rondo reload app", &reload{"failed", "exited with code 7"}},
	} {
		path := b.Paths.control("app")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := control.Listen(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		server := &control.Server{Listener: l, Backend: backend{status: map[string]any{
			"name": "app", "state": row.state, "listeners": row.listeners, "workers": row.workers, "reload": row.reload,
		}}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- server.Run(ctx) }() // ended by cancel
		if got, want := b.doctor(false), strings.ReplaceAll(row.want, "CONFIG", b.Paths.Config); got != want {
			t.Errorf("of %+v doctor says %s, want %s", row, got, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAddressesAreReadAsSystemdWritesThem(t *testing.T) {
	for text, want := range map[string]string{"[::]:80": "[::]:80", "127.0.0.1:80": "127.0.0.1:80", "[fe80::1]:80%eth0": "[fe80::1%eth0]:80", "/run/a%b": "", "@a": ""} {
		at, err := parseAddress(text)
		if (err == nil) != (want != "") || err == nil && at.String() != want {
			t.Errorf("parseAddress(%q) = %v, %v, want %q", text, at, err, want)
		}
	}
}

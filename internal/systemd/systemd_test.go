package systemd

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

func TestVersionsAreRead(t *testing.T) {
	for text, want := range map[string]int{
		`"252.39-1~deb12u1"`: 252, `"257~rc1"`: 257, `"v258"`: 258, `"255"`: 255, `252`: 252, `""`: 0, `"main"`: 0,
	} {
		got, err := parseVersion(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("parseVersion(%s) = %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestCommandsOfAPerson(t *testing.T) {
	for want, got := range map[string]string{
		"systemctl status app.socket":        System.Systemctl("status", "app.socket"),
		"systemctl --user status app.socket": User.Systemctl("status", "app.socket"),
		"journalctl -u app":                  System.Journalctl("app"),
		"journalctl -n 5 --user-unit app":    User.Journalctl("app", "-n", "5"),
	} {
		if got != want {
			t.Errorf("the command is %q, want %q", got, want)
		}
	}
}

func TestAnAddressIsEscaped(t *testing.T) {
	if got := escaped("/run/a b,c=d/x-y_z.1"); got != "/run/a%20b%2cc%3dd/x-y_z.1" {
		t.Errorf("escaped = %q", got)
	}
}

func TestAManagerThatIsNotThereIsAbsent(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if _, err := Connect(t.Context(), User); !errors.Is(err, ErrAbsent) {
		t.Errorf("Connect = %v, want ErrAbsent", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Connect(ctx, User); !errors.Is(err, context.Canceled) {
		t.Errorf("Connect after the context's end = %v", err)
	}
}

func TestTheManagerTellsItsVersion(t *testing.T) {
	f := newFake(t)
	f.on("Get", answer{body: []any{godbus.MakeVariant("252.39-1~deb12u1")}})
	if got, err := f.connect().Version(); got != 252 || err != nil {
		t.Errorf("Version = %d, %v, want 252", got, err)
	}
	f.on("Get", answer{err: "org.freedesktop.DBus.Error.AccessDenied"})
	if _, err := f.connect().Version(); !errors.Is(err, ErrNotPermitted) {
		t.Errorf("Version = %v, want ErrNotPermitted", err)
	}
}

func TestAUnitIsRead(t *testing.T) {
	f := newFake(t)
	f.on("GetAll", answer{body: []any{map[string]godbus.Variant{
		"LoadState": godbus.MakeVariant("bad-setting"), "ActiveState": godbus.MakeVariant("failed"), "SubState": godbus.MakeVariant("failed"),
		"UnitFileState": godbus.MakeVariant("enabled"), "FragmentPath": godbus.MakeVariant("/etc/systemd/system/app.socket"),
		"DropInPaths": godbus.MakeVariant([]string{"/etc/systemd/system/app.socket.d/override.conf"}), "NeedDaemonReload": godbus.MakeVariant(true),
		"Result": godbus.MakeVariant("trigger-limit-hit"), "StatusText": godbus.MakeVariant("generation 1"),
		"LoadError": godbus.MakeVariant(struct{ Name, Message string }{"org.x", "no such thing"}),
		"Listen":    godbus.MakeVariant([]struct{ Kind, Address string }{{"Stream", "[::]:80"}, {"Stream", "/run/x"}}),
		"NRestarts": godbus.MakeVariant(uint32(3)), "StateChangeTimestamp": godbus.MakeVariant(uint64(1700000000000001)),
		"ActiveEnterTimestamp": godbus.MakeVariant(uint64(1600000000000001)), "Triggers": godbus.MakeVariant([]string{"app.service"}), "InvocationID": godbus.MakeVariant([]byte{0xab, 1}),
		"FileDescriptorStoreMax": godbus.MakeVariant(uint32(37)), "MainPID": godbus.MakeVariant(uint32(7)),
		"Requires": godbus.MakeVariant([]string{"a.socket", "b.slice"}), "Requisite": godbus.MakeVariant([]string{"c.mount"}), "BindsTo": godbus.MakeVariant([]string{"d.device"}),
		"User": godbus.MakeVariant("web"), "DynamicUser": godbus.MakeVariant(true), "NFileDescriptorStore": godbus.MakeVariant(uint32(8)), "ControlPID": godbus.MakeVariant(uint32(9)), "ControlGroup": godbus.MakeVariant("/x/app.service"),
	}}})
	got, err := f.connect().Unit(t.Context(), "app.socket")
	want := Unit{
		Name: "app.socket", Load: "bad-setting", LoadError: "no such thing", Active: "failed", Sub: "failed", FileState: "enabled",
		Fragment: "/etc/systemd/system/app.socket", DropIns: []string{"/etc/systemd/system/app.socket.d/override.conf"},
		NeedsReload: true, Result: "trigger-limit-hit", Status: "generation 1", Listen: []Listen{{"Stream", "[::]:80"}, {"Stream", "/run/x"}},
		Restarts: 3, Since: time.UnixMicro(1700000000000001), ActiveSince: time.UnixMicro(1600000000000001), Invocation: "ab01", Triggers: []string{"app.service"}, StoreMax: 37, Stored: 8, MainPID: 7, ControlPID: 9, Group: "/x/app.service",
		Needs: []string{"a.socket", "b.slice", "c.mount", "d.device"}, Account: "web", Dynamic: true,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Unit = %+v, %v, want %+v", got, err, want)
	}
}

func TestWhoListensAndWhoseAProcessIs(t *testing.T) {
	f := newFake(t)
	m := f.connect()
	f.on("ListUnitsByPatterns", answer{body: []any{[]dbus.UnitStatus{{Name: "other.socket", Path: "/x", JobPath: "/"}}}})
	f.on("GetAll", answer{body: []any{map[string]godbus.Variant{"Listen": godbus.MakeVariant([]struct{ Kind, Address string }{{"Stream", "[::]:80"}})}}})
	got, err := m.Listening(t.Context())
	if want := []Unit{{Name: "other.socket", Listen: []Listen{{"Stream", "[::]:80"}}}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Listening = %+v, %v, want %+v", got, err, want)
	}
	f.on("GetUnitByPID", answer{body: []any{godbus.ObjectPath("/org/freedesktop/systemd1/unit/other_2eservice")}})
	if got, err := m.UnitOf(t.Context(), 7); got != "other.service" || err != nil {
		t.Errorf("UnitOf = %q, %v, want other.service", got, err)
	}
	f.on("GetUnitByPID", answer{err: "org.freedesktop.systemd1.NoUnitForPID"})
	if got, err := m.UnitOf(t.Context(), 7); got != "" || err != nil {
		t.Errorf("UnitOf of a process without = %q, %v, want nothing", got, err)
	}
	for _, method := range []string{"ListUnitsByPatterns", "GetUnitByPID"} {
		f.on(method, answer{err: "org.freedesktop.systemd1.Broken"})
	}
	if _, err := m.Listening(t.Context()); err == nil {
		t.Error("Listening of a broken manager is no error")
	}
	if _, err := m.UnitOf(t.Context(), 7); err == nil {
		t.Error("UnitOf of a broken manager is no error")
	}
}

func TestAJobIsWaitedFor(t *testing.T) {
	f := newFake(t)
	m := f.connect()
	for result, want := range map[string]string{
		"done":    "",
		"failed":  `start app.socket: the job ended with "failed": see systemctl --user status app.socket`,
		"timeout": `the job ended with "timeout"`,
	} {
		f.on("StartUnit", answer{body: []any{job}, ended: result})
		err := m.Start(t.Context(), "app.socket")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("a job that ended with %s: %v, want %q", result, err, want)
		}
	}
}

func TestAContextEndsTheWaitForAJob(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	f.on("StopUnit", answer{body: []any{job}, then: func() { cancel(errors.New("enough")) }})
	if err := f.connect().Stop(ctx, "app.socket"); err == nil || err.Error() != "stop app.socket: enough" {
		t.Errorf("Stop = %v, want the cause", err)
	}
}

func TestAContextEndsTheWaitForAnAnswer(t *testing.T) {
	for method, call := range map[string]struct {
		ask  func(context.Context, *Manager) error
		want string
	}{
		"Reload":           {func(ctx context.Context, m *Manager) error { return m.Reload(ctx) }, "daemon-reload: enough"},
		"EnableUnitFiles":  {func(ctx context.Context, m *Manager) error { return m.Enable(ctx, "app.socket") }, "enable app.socket: enough"},
		"DisableUnitFiles": {func(ctx context.Context, m *Manager) error { return m.Disable(ctx, "app.socket") }, "disable app.socket: enough"},
		"StartUnit":        {func(ctx context.Context, m *Manager) error { return m.Start(ctx, "app.socket") }, "start app.socket: enough"},
		"GetAll":           {func(ctx context.Context, m *Manager) error { _, err := m.Unit(ctx, "app.socket"); return err }, "look at app.socket: enough"},
	} {
		f := newFake(t)
		m := f.connect()
		ctx, cancel := context.WithCancelCause(t.Context())
		f.silent(method, func() { cancel(errors.New("enough")) })
		if err := call.ask(ctx, m); err == nil || err.Error() != call.want {
			t.Errorf("where %s is not answered: %v, want %s", method, err, call.want)
		}
	}
}

func TestTheJobsOfUnits(t *testing.T) {
	type status struct {
		ID                 uint32
		Unit, Type, Status string
		Path, UnitPath     godbus.ObjectPath
	}
	f := newFake(t)
	m := f.connect()
	f.on("ListJobs", answer{body: []any{[]status{
		{6, "app.socket", "stop", "waiting", job, job}, {8, "app.service", "nop", "running", job, job},
		{7, "app.service", "restart", "running", job, job}, {9, "app.service.service", "start", "waiting", job, job},
	}}})
	want := map[string]string{"app.service": "restart", "app.socket": "stop", "app.service.service": "start"}
	if got, err := m.Jobs(t.Context()); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("Jobs = %q, %v, want %q", got, err, want)
	}
	f.on("ListJobs", answer{body: []any{[]status{}}})
	if got, err := m.Jobs(t.Context()); len(got) > 0 || err != nil {
		t.Errorf("Jobs without jobs = %q, %v", got, err)
	}
}

func TestAManagerThatSaysNothingIsNotWaitedFor(t *testing.T) {
	for _, when := range []string{"AUTH", "AddMatch"} {
		f := newFake(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		f.silent(when, func() { cancel(errors.New("enough")) })
		if m, err := Connect(ctx, User); err == nil || err.Error() != "no answer from systemd: enough" {
			t.Errorf("Connect where %s is not answered = %v, %v, want the cause", when, m, err)
		}
	}
}

func TestAConnectionOutlivesItsContext(t *testing.T) {
	f := newFake(t)
	f.on("Get", answer{body: []any{godbus.MakeVariant("257.1")}})
	ctx, cancel := context.WithCancel(t.Context())
	m, err := Connect(ctx, User)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cancel()
	if got, err := m.Version(); got != 257 || err != nil {
		t.Errorf("Version after the context's end = %d, %v", got, err)
	}
}

func TestWhatTheManagerRefuses(t *testing.T) {
	f := newFake(t)
	m := f.connect()
	calls := map[string]func() error{
		"StartUnit":        func() error { return m.Start(t.Context(), "app.socket") },
		"StopUnit":         func() error { return m.Stop(t.Context(), "app.socket") },
		"Reload":           func() error { return m.Reload(t.Context()) },
		"EnableUnitFiles":  func() error { return m.Enable(t.Context(), "app.socket") },
		"DisableUnitFiles": func() error { return m.Disable(t.Context(), "app.socket") },
		"ResetFailedUnit":  func() error { return m.ResetFailed(t.Context(), "app.socket") },
		"GetAll":           func() error { _, err := m.Unit(t.Context(), "app.socket"); return err },
		"ListJobs":         func() error { _, err := m.Jobs(t.Context()); return err },
	}
	for method, call := range calls {
		f.on(method, answer{err: "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"})
		if err := call(); !errors.Is(err, ErrNotPermitted) || !strings.Contains(err.Error(), "sudo") {
			t.Errorf("%s = %v, want ErrNotPermitted and what to do", method, err)
		}
		f.on(method, answer{err: "org.freedesktop.systemd1.Broken"})
		if err := call(); err == nil || !strings.Contains(err.Error(), "the manager's words") {
			t.Errorf("%s = %v, want the manager's words", method, err)
		}
		f.on(method, answer{err: noSuchUnit})
		gone := method == "StopUnit" || method == "DisableUnitFiles" || method == "ResetFailedUnit"
		if err := call(); (err == nil) != gone {
			t.Errorf("%s of a unit that is not there = %v", method, err)
		}
	}
}

func TestWhatTheManagerIsAsked(t *testing.T) {
	f := newFake(t)
	f.on("EnableUnitFiles", answer{body: []any{false, []struct{ A, B, C string }{}}})
	f.on("DisableUnitFiles", answer{body: []any{[]struct{ A, B, C string }{}}})
	m := f.connect()
	for _, err := range []error{m.Enable(t.Context(), "a.socket", "b.socket"), m.Reload(t.Context()), m.Disable(t.Context(), "a.socket"), m.ResetFailed(t.Context(), "a.service")} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"EnableUnitFiles a.socket b.socket", "Reload", "DisableUnitFiles a.socket", "ResetFailedUnit a.service"}
	if got := f.called(); !reflect.DeepEqual(got, want) {
		t.Errorf("the manager was asked %q, want %q", got, want)
	}
}

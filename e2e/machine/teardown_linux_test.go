package machine

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// recorder is the testing.TB of a machine whose teardown is tested: it keeps what
// would fail the test.
type recorder struct {
	testing.TB
	faults []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}
func (r *recorder) Error(args ...any) { r.faults = append(r.faults, fmt.Sprint(args...)) }
func (r *recorder) Failed() bool      { return len(r.faults) > 0 }

func TestTeardownSeesEachPlantedFault(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(m *Machine)
		want  []string // each is a part of one fault, and there are no others
	}{
		{"nothing", func(m *Machine) {}, nil},
		{"failed unit", func(m *Machine) {
			m.Run("systemd-run", "--unit=broken", "--wait", "--", "false")
		}, []string{"failed: broken.service", "<4> systemd: broken.service: Failed with result 'exit-code'."}},
		{"forgiven unit", func(m *Machine) {
			m.Run("systemd-run", "--unit=broken", "--wait", "--", "false")
			m.Must("systemctl", "reset-failed")
		}, []string{"Failed with result"}},
		{"failed unit of a user", func(m *Machine) {
			m.Must("useradd", "app")
			m.Must("loginctl", "enable-linger", "app")
			m.Must("systemctl", "start", "user@1000.service")
			m.RunIn(Command{Args: []string{"systemd-run", "--user", "--unit=broken", "--wait", "--", "false"}, User: "app"})
		}, []string{"failed: broken.service of user app", "Failed with result"}},
		{"warning", func(m *Machine) { plant(m, "a planted warning") }, []string{"<4> planted: a planted warning"}},
		{"expected warning", func(m *Machine) {
			plant(m, "a planted warning number 12")
			m.Expect("planted")
		}, nil},
		{"expected warning that does not come", func(m *Machine) { m.Expect("planted") }, []string{`expected as "planted"`}},
		{"allowed warning", func(m *Machine) {
			plant(m, "a planted warning number 12")
			m.Allow("planted")
		}, nil},
		{"allowed warning that does not come", func(m *Machine) { m.Allow("planted") }, nil},
		{"warning that was not expected", func(m *Machine) {
			plant(m, "a planted warning number 12")
		}, []string{"<4> planted: a planted warning number 12"}},
		{"warning, then off", func(m *Machine) {
			plant(m, "a planted warning")
			m.Poweroff()
		}, []string{"<4> planted: a planted warning"}},
		{"warning before a reboot", func(m *Machine) {
			plant(m, "a planted warning")
			m.Reboot()
		}, []string{"<4> planted: a planted warning"}},
		{"process left over", func(m *Machine) {
			m.Must("systemd-run", "--unit=leaver", "--property=KillMode=process", "--", "sh", "-c", "sleep infinity & echo forked; wait")
			m.AwaitEntry(Filter{Unit: "leaver.service"}, func(e Entry) bool { return e.Message == "forked" })
			m.Must("systemctl", "stop", "leaver.service")
		}, []string{"(sleep infinity) in /system.slice/leaver.service"}},
		{"process left over before a reboot", func(m *Machine) {
			m.Must("systemd-run", "--unit=leaver", "--property=KillMode=process", "--", "sh", "-c", "sleep infinity & echo forked; wait")
			m.AwaitEntry(Filter{Unit: "leaver.service"}, func(e Entry) bool { return e.Message == "forked" })
			m.Must("systemctl", "stop", "leaver.service")
			m.Reboot()
		}, []string{"(sleep infinity) in /system.slice/leaver.service"}},
		{"process left by a command", func(m *Machine) {
			m.Must("sh", "-c", "sleep infinity >/dev/null 2>&1 &")
		}, []string{"(sleep infinity) in /commands"}},
		{"machine that ends", func(m *Machine) {
			b := m.boot.Load()
			m.Must("systemctl", "--no-block", "poweroff")
			<-b.ended
		}, []string{"it ended by itself"}},
		{"descriptor left open", func(m *Machine) {
			in, out := io.Pipe()
			defer out.Close()
			p := m.Start(Command{Args: []string{"sh", "-c", "echo up; read x; exec 7</dev/null; echo open; read x"}, Stdin: in})
			p.Line(func(line string) bool { return line == "up" })
			back := m.Baseline(p.PID())
			fmt.Fprintln(out)
			p.Line(func(line string) bool { return line == "open" })
			back()
		}, []string{" descriptors, want at most "}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			r := &recorder{TB: t}
			m := Boot(r, Config{Suite: Bookworm})
			m.leaving = 100 * time.Millisecond // what is left here is left for good
			c.plant(m)
			m.Close()
			left := r.faults
			for _, want := range c.want {
				i := slices.IndexFunc(left, func(f string) bool { return strings.Contains(f, want) })
				if i < 0 {
					t.Errorf("no fault says %q; there are %q", want, r.faults)
					continue
				}
				left = slices.Delete(slices.Clone(left), i, i+1)
			}
			if len(left) > 0 {
				t.Errorf("faults %q besides what was planted", left)
			}
		})
	}
}

// plant logs a warning.
func plant(m *Machine, message string) {
	m.t.Helper()
	m.Must("sh", "-c", "echo \"$1\" | systemd-cat --identifier=planted --priority=warning", "sh", message)
}

func TestTheListAllowsOneMessageAnEntry(t *testing.T) {
	if err := checkAllowed(allowed); err != nil {
		t.Error(err)
	}
	for _, message := range []string{
		`^.*$`, `^bad .+ thing$`, `^a|b$`, `^[ab]c$`, `^(?i)bad$`, `^bad (thing)?$`, `^bad \w+$`, `^bad \D+$`, `^x*$`,
		`bad`, `^bad`, `bad$`, `^$`, `^bad (`, `^bad\s$`, `^ba{2}d$`,
	} {
		if err := checkAllowed([]allowance{{identifier: "x", message: message, reason: "a test"}}); err == nil {
			t.Errorf("the pattern %q is not refused", message)
		}
	}
	good := allowance{identifier: "x", message: `^process \d+ of [0-9a-f]{32}: 1\.5\(a\)$`, reason: "a test"}
	if err := checkAllowed([]allowance{good}); err != nil {
		t.Error(err)
	}
	for what, spoil := range map[string]func(*allowance){
		"identifier": func(a *allowance) { a.identifier = "" },
		"reason":     func(a *allowance) { a.reason = "" },
	} {
		bad := good
		if spoil(&bad); checkAllowed([]allowance{bad}) == nil {
			t.Errorf("an entry without %s is not refused", what)
		}
	}
	good.name = "one"
	if checkAllowed([]allowance{good, good}) == nil {
		t.Error("two entries of one name are not refused")
	}
}

func TestMissingMachinesFailOnlyInCI(t *testing.T) {
	for ci, want := range map[string]string{"true": "failed", "": "skipped"} {
		t.Setenv("CI", ci)
		r := &ender{TB: t}
		missing(r, Trixie, fmt.Errorf("no reason"))
		if r.how != want || !strings.Contains(r.said, "trixie") || !strings.Contains(r.said, "no reason") {
			t.Errorf("with CI=%q: %s: %s, want %s, naming suite and reason", ci, r.how, r.said, want)
		}
	}
}

// ender tells how a test would have been ended.
type ender struct {
	testing.TB
	how, said string
}

func (e *ender) Fatalf(format string, args ...any) {
	e.how, e.said = "failed", fmt.Sprintf(format, args...)
}
func (e *ender) Skipf(format string, args ...any) {
	if e.how == "" { // unlike the real one, Fatalf has returned
		e.how, e.said = "skipped", fmt.Sprintf(format, args...)
	}
}

package machine

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"golang.org/x/sys/unix"
)

const (
	echoSocket = `[Socket]
ListenStream=127.0.0.1:8080
ListenStream=[::1]:8080
ListenStream=/run/echo.sock
Accept=yes
[Install]
WantedBy=sockets.target
`
	echoService = `[Service]
ExecStart=cat
StandardInput=socket
`
)

// echo starts a socket whose service says what it is told.
func echo(m *Machine) {
	m.t.Helper()
	m.WriteFile("/etc/systemd/system/echo.socket", 0o644, echoSocket)
	m.WriteFile("/etc/systemd/system/echo@.service", 0o644, echoService)
	m.Must("systemctl", "daemon-reload")
	m.Must("systemctl", "enable", "--now", "echo.socket")
}

// tell says something to the socket and checks the answer.
func tell(t *testing.T, m *Machine, network, address string) {
	t.Helper()
	conn, err := m.Dial(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "%s %s\n", network, address)
	conn.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != network+" "+address+"\n" {
		t.Errorf("over %s %s came %q, %v", network, address, got, err)
	}
}

func TestSocketUnitAnswersFromOutsideAndAfterAReboot(t *testing.T) {
	on(t, func(t *testing.T, m *Machine) {
		echo(m)
		check := func() {
			t.Helper()
			tell(t, m, "tcp", "127.0.0.1:8080")
			tell(t, m, "tcp", "[::1]:8080")
			tell(t, m, "unix", "/var/run/echo.sock") // by an absolute link
		}
		check()
		first := m.Must("cat", "/proc/sys/kernel/random/boot_id")
		m.WriteFile("/var/lib/kept", 0o644, "kept")
		m.WriteFile("/run/not-kept", 0o644, "")
		id, _ := m.ReadFile("/etc/machine-id")

		m.Reboot()
		if second := m.Must("cat", "/proc/sys/kernel/random/boot_id"); second == first {
			t.Error("the second boot is the first")
		}
		if got, err := m.ReadFile("/var/lib/kept"); err != nil || got != "kept" {
			t.Errorf("after a reboot: %q, %v, want kept", got, err)
		}
		if _, err := m.ReadFile("/run/not-kept"); err == nil {
			t.Error("/run is kept over a reboot")
		}
		if again, _ := m.ReadFile("/etc/machine-id"); again != id || id == "" {
			t.Errorf("machine-id %q after the reboot, %q before", again, id)
		}
		if p := m.Show("echo.socket", "ActiveState", "NAccepted"); p["ActiveState"] != "active" || p["NAccepted"] != "0" {
			t.Errorf("echo.socket after the reboot: %v, want active without a connection", p)
		}
		check()
		if boots := m.Must("journalctl", "--list-boots", "--output=json"); strings.Count(boots, "boot_id") != 2 {
			t.Errorf("boots in the journal: %s, want 2", boots)
		}

		m.Poweroff()
		if _, err := m.Dial(t.Context(), "tcp", "127.0.0.1:8080"); err == nil {
			t.Error("a machine that is off took a connection")
		}
		if _, err := m.Run("true"); err == nil {
			t.Error("a machine that is off ran a command")
		}
		entries := m.Journal(Filter{Identifier: "systemd"})
		if last := entries[len(entries)-1]; time.Since(last.Time) > patience || len(entries) < 100 {
			t.Errorf("%d entries when off, the last %v of %v", len(entries), last, last.Time)
		}
		m.Reboot()
		check()
	})
}

func TestJournalIsReadAndFollowed(t *testing.T) {
	on(t, func(t *testing.T, m *Machine) {
		m.Must("systemd-run", "--unit=speaker", "--wait", "--collect", "--property=SyslogIdentifier=sp", "--",
			"sh", "-c", `echo "<5>noted"; echo plain; printf 'bytes \377\n'`)
		var got []string
		for _, e := range m.Journal(Filter{Unit: "speaker.service", Identifier: "sp", Boot: "0"}) {
			got = append(got, e.String())
			if e.Unit != "speaker.service" || e.PID == 0 || e.Boot == "" || time.Since(e.Time).Abs() > patience {
				t.Errorf("entry %+v, want its unit, process, boot and time", e)
			}
		}
		if want := "<5> sp: noted|<6> sp: plain|<6> sp: bytes \xff"; strings.Join(got, "|") != want {
			t.Errorf("journal %q, want %q", got, want)
		}
		if got := m.Journal(Filter{Unit: "speaker.service", Priority: "5", Match: []string{"_TRANSPORT=stdout"}}); len(got) != 1 {
			t.Errorf("of NOTICE and worse: %v, want one", got)
		}

		m.Must("systemd-run", "--unit=later", "--", "sh", "-c", "until [ -e /run/go ]; do sleep 0.05; done; echo gone")
		m.WriteFile("/run/go", 0o644, "")
		e := m.AwaitEntry(Filter{Unit: "later.service"}, func(e Entry) bool { return e.Message == "gone" })
		if e.Identifier != "sh" {
			t.Errorf("awaited %+v, want what sh said", e)
		}
	})
}

func TestUnitsAreAwaitedByTheManagersWord(t *testing.T) {
	on(t, func(t *testing.T, m *Machine) {
		m.Must("systemd-run", "--unit=told", "--property=Type=notify", "--property=NotifyAccess=all", "--no-block", "--", "sh", "-c",
			"systemd-notify --ready --status=up; until [ -e /run/go ]; do sleep 0.05; done; systemd-notify --status=changed; until [ -e /run/end ]; do sleep 0.05; done")
		status := func(want string) func(map[string]string) bool {
			return func(p map[string]string) bool { return p["StatusText"] == want }
		}
		m.Await("told.service", status("up"), "StatusText")
		m.WriteFile("/run/go", 0o644, "")
		p := m.Await("told.service", status("changed"), "StatusText", "MainPID", "ActiveState")
		if p["ActiveState"] != "active" || p["MainPID"] == "0" {
			t.Errorf("told.service is %v, want active", p)
		}
		if left := m.Left("told.service"); len(left) == 0 || fmt.Sprint(left[0].PID) != p["MainPID"] {
			t.Errorf("in its cgroup: %v, want process %s first", left, p["MainPID"])
		}
		m.WriteFile("/run/end", 0o644, "")
		m.Await("told.service", func(p map[string]string) bool { return p["ActiveState"] == "inactive" }, "ActiveState")
		if left := m.Left("told.service"); len(left) != 0 {
			t.Errorf("left in its cgroup: %v", left)
		}
	})
}

func TestUserManagersRun(t *testing.T) {
	on(t, func(t *testing.T, m *Machine) {
		m.Must("useradd", "--create-home", "app")
		m.Must("loginctl", "enable-linger", "app")
		m.Must("systemctl", "start", "user@1000.service")
		m.WriteFile("/home/app/.config/systemd/user/echo.socket", 0o644, strings.Replace(echoSocket, "/run/echo.sock", "%t/echo.sock", 1))
		m.WriteFile("/home/app/.config/systemd/user/echo@.service", 0o644, echoService)
		m.Must("chown", "-R", "app:", "/home/app/.config")
		user := func(args ...string) string {
			t.Helper()
			out, err := m.RunIn(Command{Args: append([]string{"systemctl", "--user"}, args...), User: "app"})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		user("daemon-reload")
		user("enable", "--now", "echo.socket")
		tell(t, m, "tcp", "127.0.0.1:8080")
		tell(t, m, "unix", "/run/user/1000/echo.sock")

		m.Reboot()
		m.Must("systemctl", "start", "user@1000.service") // which lingering starts, not waiting
		tell(t, m, "unix", "/run/user/1000/echo.sock")
		if got := user("is-active", "echo.socket"); got != "active" {
			t.Errorf("echo.socket after a reboot is %s", got)
		}
		if out, err := m.RunIn(Command{Args: []string{"busctl", "--user", "list"}, User: "app"}); err != nil {
			t.Errorf("the user's bus: %s, %v", out, err)
		}
	})
}

// TestLedgerLoadsAMachine runs an HTTP server of this process in the machine's
// network, so that the way of the connections is the machine's and nothing else.
func TestLedgerLoadsAMachine(t *testing.T) {
	m := Boot(t, Config{Suite: Bookworm})
	var ln net.Listener
	err := m.inside(unix.CLONE_NEWNET, func() (err error) {
		ln, err = net.Listen("tcp", "127.0.0.1:80")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: ledger.Handler(ledger.Who{Worker: 1, Generation: 1})}
	go server.Serve(ln) // ends with Close
	defer server.Close()
	l, err := ledger.New(ledger.Config{Network: "tcp", Address: "127.0.0.1:80", Clients: 8, Requests: 250, Dial: m.Dial, Overflows: m.Overflows})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Run(context.Background())
	if err == nil {
		err = r.Check()
	}
	if err != nil || r.Answered != 2000 || r.SYNRetries != 0 {
		t.Errorf("%v: %s", err, r)
	}
	fmt.Printf("machine: 2000 connections from outside took %.2f s\n", r.Took.Seconds())
	here, err := ledger.Overflows()
	if there, err2 := m.Overflows(); err != nil || err2 != nil || there == here {
		t.Errorf("counters there %+v, here %+v: want those of two networks (%v, %v)", there, here, err, err2)
	}
}

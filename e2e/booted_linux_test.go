//go:build linux && !portable

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/master"
)

// onBooted runs a test on a machine of each supported systemd.
func onBooted(t *testing.T, test func(t *testing.T, h *host)) {
	t.Helper()
	onHosts(t, bootHost, test)
}

// onHosts runs a test on a machine of each suite, as boot makes it, with Node.
func onHosts(t *testing.T, boot func(*testing.T, machine.Suite, map[string]string) *host, test func(t *testing.T, h *host)) {
	t.Helper()
	if testing.Short() {
		t.Skip("not checked on a booted systemd: -short")
	}
	exe := node(t, 20)
	for _, suite := range machine.Suites() {
		t.Run(string(suite), func(t *testing.T) {
			h := boot(t, suite, map[string]string{"/usr/local/bin/node": exe})
			test(t, h)
			h.balanced()
		})
	}
}

// bootHost boots a machine with rondo, and with what bind shows there.
func bootHost(t *testing.T, suite machine.Suite, bind map[string]string) *host {
	t.Helper()
	program := rondo(t)
	h := bootBare(t, suite, bind)
	h.at = "/usr/local/bin/rondo"
	h.Copy(program, h.at)
	return h
}

// bootBare boots one without rondo, which is to come where packages have it.
func bootBare(t *testing.T, suite machine.Suite, bind map[string]string) *host {
	t.Helper()
	m := machine.Boot(t, machine.Config{Suite: suite, Bind: bind})
	m.Must("mkdir", "-p", "/srv/app")
	return &host{Machine: m, t: t, at: "/usr/bin/rondo"}
}

// host is a booted machine with rondo and Node on it.
type host struct {
	*machine.Machine
	t     *testing.T
	at    string      // where its rondo is
	began *opened     // when it was started first
	tls   *tls.Config // with which its app is asked; nil: without TLS
}

// opened is what the app's master has open, and for what.
type opened struct {
	descriptors        []string
	listeners, workers int
}

// opened is taken between two looks at the same master with the same workers.
func (h *host) opened() (o opened, steady bool) {
	h.t.Helper()
	before := h.status()
	o = opened{h.Descriptors(before.PID), len(before.Listeners), len(before.Workers)}
	after := h.status()
	same := func(a, b master.Worker) bool { return a.ID == b.ID && a.State == b.State }
	return o, before.PID == after.PID && slices.EqualFunc(before.Workers, after.Workers, same)
}

// balanced fails the test unless the app's master, if one runs in the end, has no more
// open than the first one had for as many workers and listeners.
func (h *host) balanced() {
	h.t.Helper()
	if h.t.Failed() || h.began == nil || h.Show("app.service", "ActiveState")["ActiveState"] != "active" {
		return
	}
	var now opened
	for limit, tick := time.After(10*time.Second), time.Tick(50*time.Millisecond); ; { // no event tells of a close
		var steady bool
		now, steady = h.opened()
		alike := now.listeners == h.began.listeners && now.workers == h.began.workers
		if steady && alike && len(now.descriptors) <= len(h.began.descriptors) {
			return
		}
		select {
		case <-tick:
		case <-limit:
			if alike {
				h.t.Errorf("in the end the master has %d descriptors for %d workers, in the beginning %d: %s; before: %s", len(now.descriptors), now.workers,
					len(h.began.descriptors), strings.Join(now.descriptors, ", "), strings.Join(h.began.descriptors, ", "))
			}
			return
		}
	}
}

// program writes the program of the app.
func (h *host) program(text string) {
	h.t.Helper()
	h.WriteFile("/srv/app/server.js", 0o644, text)
}

// rondo runs the program in the app's directory.
func (h *host) rondo(args ...string) (string, error) {
	return h.RunIn(machine.Command{Args: append([]string{h.at}, args...), Dir: "/srv/app"})
}

// install installs the app with these flags before its command.
func (h *host) install(flags ...string) string {
	h.t.Helper()
	args := append(append([]string{"install", "--name", "app"}, flags...), "--", "node", "server.js")
	out, err := h.rondo(args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// get makes one request over a connection of its own.
func (h *host) get(network, address string) string {
	h.t.Helper()
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return h.dial(ctx, network, address) }}}
	r, err := c.Get("http://localhost/")
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		h.t.Fatalf("GET %s: %s %q, %v", address, r.Status, b, err)
	}
	return string(b)
}

// dial connects to the app as its clients do.
func (h *host) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.Dial(ctx, network, address)
	if err != nil || h.tls == nil {
		return c, err
	}
	return tls.Client(c, h.tls), nil // its handshake is part of the first request
}

// is fails the test unless the unit is in that state.
func (h *host) is(unit, state string) {
	h.t.Helper()
	if got := h.Show(unit, "ActiveState")["ActiveState"]; got != state {
		h.t.Errorf("%s is %s, want %s", unit, got, state)
	}
}

// started waits until every worker of the app is ready: the first connection is
// answered by the first one, while the unit is still activating.
func (h *host) started() {
	h.t.Helper()
	h.Await("app.service", func(p map[string]string) bool { return p["ActiveState"] == "active" }, "ActiveState")
	if h.began == nil {
		if now, steady := h.opened(); steady {
			h.began = &now
		}
	}
}

// status is the app's, as rondo tells it.
func (h *host) status() master.Status {
	h.t.Helper()
	out, err := h.rondo("status", "app", "--json")
	if err != nil {
		h.t.Fatal(err)
	}
	var st master.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		h.t.Fatal(err)
	}
	return st
}

// loads runs the three kinds of clients against 127.0.0.1:8080 of the machine.
func (h *host) loads() func() ledger.Report {
	h.t.Helper()
	return h.loadsLosing(0)
}

// loadsLosing is loads where up to so many requests may be lost.
func (h *host) loadsLosing(most int) func() ledger.Report {
	h.t.Helper()
	var stops []func() ledger.Report
	for i, cfg := range []ledger.Config{
		{Clients: 4, Mode: ledger.PerRequest, Think: 4 * time.Millisecond},
		{Clients: 4, Mode: ledger.Kept, Think: 8 * time.Millisecond},
		{Clients: 4, Mode: ledger.Slow, FirstByte: 30 * time.Millisecond, Body: 30 * time.Millisecond},
	} {
		cfg.Network, cfg.Address, cfg.Dial, cfg.Overflows = "tcp", "127.0.0.1:8080", h.Dial, h.Overflows
		cfg.Seed = seed + uint64(i)
		stops = append(stops, runLedger(h.t, cfg))
	}
	return func() ledger.Report {
		var sum ledger.Report
		for _, stop := range stops {
			r := stop()
			sum.Requests += r.Requests
			sum.Answered += r.Answered
			sum.Lost += r.Lost
			if err := r.Check(); err != nil && (r.Lost == 0 || sum.Lost > most) {
				h.t.Errorf("%v\n%s", err, r)
			}
			sum.ClosedIdle += r.ClosedIdle
		}
		return sum
	}
}

func TestFreshMachineServesFromTheFirstConnection(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.program(`require('http').createServer((q, r) => r.end('hello')).listen(3000)`)
		t.Log(h.install("--listen", "8080=3000"))
		h.is("app.socket", "active")
		h.is("app.service", "inactive")
		if got := h.Must("rondo", "status", "app"); got != "app.socket listens; app.service starts with the first connection" {
			t.Errorf("before the first connection rondo status says %q", got)
		}
		if got := h.get("tcp", "127.0.0.1:8080"); got != "hello" {
			t.Errorf("answer %q, want hello", got)
		}
		h.started()

		h.Reboot()
		h.is("app.socket", "active")
		h.is("app.service", "inactive")
		if got := h.get("tcp", "127.0.0.1:8080"); got != "hello" {
			t.Errorf("answer after the reboot %q, want hello", got)
		}
		h.Must("/usr/local/bin/rondo", "uninstall", "app")
		for _, path := range []string{"/etc/rondo", "/etc/systemd/system/app.socket", "/etc/systemd/system/app.service"} {
			if out, err := h.Run("ls", "-d", path); err == nil {
				t.Errorf("left after uninstall: %s", out)
			}
		}
	})
}

func TestReloadRestartAndStopUnderSystemdLoseNothing(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.expectFound() // at the restart
		h.program(ledgerServer(t, "3000"))
		h.install("--listen", "8080=3000", "--workers", "2", "--drain-timeout", "5s")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		stop := h.loads()
		reloads := max(2, count(20))
		for range reloads {
			h.Must("systemctl", "reload", "app.service")
		}
		if st := h.status(); st.Generation != reloads+1 {
			t.Errorf("generation %d after %d reloads", st.Generation, reloads)
		}
		h.Must("systemctl", "restart", "app.service")
		h.rolled(reloads + 2)
		h.balanced()
		h.Must("systemctl", "stop", "app.service")
		h.started() // by the next connection
		sum := stop()
		told(t, "%d reloads, a restart and a stop: %d requests, %d answered, %d lost, %d closed-idle",
			reloads, sum.Requests, sum.Answered, sum.Lost, sum.ClosedIdle)
	})
}

func TestBrokenDeployFailsTheReloadAndServesOn(t *testing.T) {
	onBooted(t, func(t *testing.T, h *host) {
		h.program(ledgerServer(t, "3000"))
		h.install("--listen", "8080=3000", "--workers", "2")
		h.get("tcp", "127.0.0.1:8080")
		h.started()
		stop := h.loads()
		h.Expect("worker died")
		h.Expect("reload failed")
		h.Expect("systemctl reload failed")
		h.Expect("reload's last words")
		h.program(`console.error('this deploy is broken'); process.exit(7)`)
		if out, err := h.Systemctl("reload", "app.service"); err == nil {
			t.Errorf("systemctl reload succeeded: %s", out)
		}
		st := h.status()
		if st.Generation != 1 || st.Reload == nil || st.Reload.State != "failed" || !strings.Contains(*st.Reload.Error, "exited with code 7") {
			t.Errorf("status %+v, want generation 1 and a failed reload", st)
		}
		if _, err := h.rondo("reload", "app"); err == nil || !strings.Contains(err.Error(), "this deploy is broken") {
			t.Errorf("rondo reload = %v, want the last words of the program", err)
		}
		stop()
		h.program(ledgerServer(t, "3000"))
		h.mended("", `the last reload of app\.service failed, and its workers are the ones of before: .*exited with code 7.*`)
		h.Must("systemctl", "reload", "app.service")
	})
}

//go:build !portable

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/notify"
	"github.com/rondokit/rondo/master"
)

// A manager is the service manager's end of NOTIFY_SOCKET.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(h *home) *manager {
	h.t.Helper()
	path := filepath.Join(h.dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	h.env = append(h.env, "NOTIFY_SOCKET="+path)
	return &manager{h.t, conn}
}

// hears waits for a message with want in it and returns it.
func (m *manager) hears(want string) string {
	m.t.Helper()
	var heard []string
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			m.t.Fatalf("%v, and no %q among %q", err, want, heard)
		}
		message := string(buf[:n])
		if strings.Contains(message, want) {
			return message
		}
		heard = append(heard, message)
	}
}

func TestTheServiceManagerIsToldOfStartReloadAndStop(t *testing.T) {
	h := newHome(t, "WATCHDOG_USEC=100000")
	m := newManager(h)
	p := h.start("run", "--name", "app", "--workers", "2", "--listen", "unix:"+h.web()+"=3000", "--", binary, "demo-worker")
	m.hears("EXTEND_TIMEOUT_USEC=")
	if got := m.hears("READY=1"); !strings.Contains(got, "STATUS=generation 1: 2/2 ready") {
		t.Errorf("READY came as %q, want it with its STATUS", got)
	}
	m.hears("WATCHDOG=1")
	p.signal(syscall.SIGHUP)
	if got := m.hears("RELOADING=1"); !regexp.MustCompile(`(?m)^MONOTONIC_USEC=[1-9]\d+$`).MatchString(got) {
		t.Errorf("RELOADING came as %q, want it with MONOTONIC_USEC", got)
	}
	if got := m.hears("READY=1"); !strings.Contains(got, "STATUS=generation 2: 2/2 ready") {
		t.Errorf("the reload ended with %q, want READY and the new STATUS", got)
	}
	p.signal(syscall.SIGTERM)
	m.hears("STOPPING=1")
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestTheServiceManagerIsToldWhyAStartFailed(t *testing.T) {
	h := newHome(t)
	m := newManager(h)
	p := h.start("run", "--name", "app", "--workers", "1", "--backoff", "1ms..2ms", "--", "sh", "-c", "exit 3")
	if code := p.ends(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if got := m.hears("STATUS=every worker died"); strings.Contains(got, "READY") {
		t.Errorf("the last message is %q, want the reason alone", got)
	}
}

func TestAFullManagerLosesNoReady(t *testing.T) {
	h := newHome(t)
	m := newManager(h)
	t.Setenv("NOTIFY_SOCKET", filepath.Join(h.dir, "notify"))
	n, err := notify.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	teller := newTeller(n, nil, nil)
	for range 1000 {
		teller.tell(master.Event{Status: "again"})
	}
	teller.tell(master.Event{Ready: true})
	if !teller.send() {
		t.Fatal("1000 messages to a manager that reads none: its queue is not full")
	}
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { teller.run(ctx); close(done) }() // ended by cancel
	m.hears("READY=1")
	cancel()
	<-done
	if len(teller.waiting) != 0 {
		t.Errorf("%d messages still wait, want none", len(teller.waiting))
	}
}

func TestEventsInTheManagersWords(t *testing.T) {
	for _, row := range []struct {
		event master.Event
		want  string
	}{
		{master.Event{}, ""},
		{master.Event{Ready: true, Status: "a\nb"}, "READY=1|STATUS=a b"},
		{master.Event{Reloaded: true}, "READY=1"},
		{master.Event{Stopping: true, Extend: time.Second}, "STOPPING=1|EXTEND_TIMEOUT_USEC=1000000"},
		{master.Event{Alive: true}, "WATCHDOG=1"},
	} {
		var got []string
		for _, state := range statesOf(row.event) {
			got = append(got, string(state))
		}
		if strings.Join(got, "|") != row.want {
			t.Errorf("statesOf(%+v) = %q, want %q", row.event, got, row.want)
		}
	}
}

func TestWorkersGetNeitherTheManagersNorOurSockets(t *testing.T) {
	if _, err := os.Stat("/proc/net/unix"); err != nil {
		t.Skip("no /proc/net/unix: what workers inherit was not checked")
	}
	h := newHome(t)
	newManager(h)
	h.service()
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	own := make(map[string]string) // by inode
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) == 8 && strings.HasPrefix(f[7], h.dir) {
			own["socket:["+f[6]+"]"] = f[7]
		}
	}
	if len(own) < 2 {
		t.Fatalf("%d sockets below %s, want those of control and web", len(own), h.dir)
	}
	for _, w := range h.status().Workers {
		for _, link := range descriptorsOf(t, w.PID) {
			if path, ours := own[link]; ours || strings.Contains(link, "control.sock") {
				t.Errorf("worker %d has %s %s", w.ID, link, path)
			}
		}
	}
}

//go:build linux

package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Systemctl runs systemctl, as Run does.
func (m *Machine) Systemctl(args ...string) (string, error) {
	return m.Run(append([]string{"systemctl", "--no-pager"}, args...)...)
}

// Show gives properties of a unit, all of them if none is named.
func (m *Machine) Show(unit string, properties ...string) map[string]string {
	m.t.Helper()
	p, err := m.show("", unit, properties)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

func (m *Machine) show(user, unit string, properties []string) (map[string]string, error) {
	c := Command{User: user, Args: []string{"systemctl", "show", unit}}
	if user != "" {
		c.Args = append(c.Args, "--user")
	}
	if len(properties) > 0 {
		c.Args = append(c.Args, "--property="+strings.Join(properties, ","))
	}
	text, err := m.RunIn(c)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		values[name] = value
	}
	return values, nil
}

// Await waits until the properties of a unit, as Show gives them, are as wanted,
// and gives them. It looks at each change that the manager announces.
func (m *Machine) Await(unit string, is func(map[string]string) bool, properties ...string) map[string]string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	signals, err := m.signals(ctx)
	if err != nil {
		m.t.Fatalf("machine: the manager's signals: %v", err)
	}
	defer signals.Close()
	for buf := make([]byte, 1<<16); ; {
		// What comes between this read and Show below is looked at twice, and nothing is
		// missed. The first thing to come is the answer to the greeting.
		if _, err := signals.Read(buf); err != nil {
			m.t.Fatalf("machine: await %s: %v; it is %v", unit, err, m.Show(unit, properties...))
		}
		if now := m.Show(unit, properties...); is(now) {
			return now
		}
	}
}

// signals gives what the manager sends over D-Bus. To its own socket it sends all
// signals unasked, once a peer is greeted, but only to a process that it can see.
// What they say is not for us to parse: that one came is reason to look anew.
func (m *Machine) signals(ctx context.Context) (io.ReadCloser, error) {
	greeting := strings.NewReader("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
	hold, release := io.Pipe() // the bridge ends with its stdin
	cmd, err := m.command(ctx, Command{
		Args:  []string{"systemd-stdio-bridge", "--bus-path=unix:path=/run/systemd/private"},
		Stdin: io.MultiReader(greeting, hold),
	})
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.launch(cmd); err != nil {
		return nil, err
	}
	return &bridge{ReadCloser: out, cmd: cmd, hold: release}, nil
}

// bridge is a running systemd-stdio-bridge.
type bridge struct {
	io.ReadCloser
	cmd  *exec.Cmd
	hold io.Closer
}

func (b *bridge) Close() error {
	b.hold.Close()
	b.cmd.Process.Kill()
	return b.cmd.Wait()
}

// failed lists the failed units, of the system and of the users whose managers run.
func (m *Machine) failed() (names []string) {
	add := func(c Command, of string) {
		for _, u := range m.list(c, "--state=failed") {
			names = append(names, u+of)
		}
	}
	add(Command{}, "")
	for _, u := range m.list(Command{}, "--state=active", "user@*.service") {
		if name := m.userOf(u); name != "" {
			add(Command{User: name}, " of user "+name)
		}
	}
	return names
}

// list gives the names of units, of the manager of c.User.
func (m *Machine) list(c Command, filter ...string) (names []string) {
	c.Args = []string{"systemctl", "list-units", "--all", "--output=json"}
	if c.User != "" {
		c.Args = append(c.Args, "--user")
	}
	c.Args = append(c.Args, filter...)
	text, err := m.RunIn(c)
	var units []struct{ Unit string }
	if err == nil {
		err = json.Unmarshal([]byte(text), &units)
	}
	if err != nil {
		m.t.Errorf("machine: list units: %v", err)
	}
	for _, u := range units {
		names = append(names, u.Unit)
	}
	return names
}

// userOf gives the account whose manager runs in user@UID.service, or nothing.
func (m *Machine) userOf(unit string) string {
	uid := strings.TrimSuffix(strings.TrimPrefix(unit, "user@"), ".service")
	name, err := m.Run("id", "--name", "--user", uid)
	if err != nil {
		return ""
	}
	return name
}

// Left lists the processes in the cgroup of a unit, of any manager: what is there
// when it is stopped has been left over.
func (m *Machine) Left(unit string) (left []Process) {
	for _, p := range processes(m.payload()) {
		if strings.Contains(p.Cgroup+"/", "/"+unit+"/") {
			left = append(left, p)
		}
	}
	return left
}

// HostPID gives the PID that a process of the machine has out here, or 0 if there
// is none: for what can only be done to it from outside.
func (m *Machine) HostPID(pid int) int {
	for _, p := range processes(m.payload()) {
		if p.PID == pid {
			return p.HostPID
		}
	}
	return 0
}

// Descriptors lists what a process of the machine has open: "3 socket:[4711]".
func (m *Machine) Descriptors(pid int) (open []string) {
	m.t.Helper()
	err := m.inside(unix.CLONE_NEWNS, func() error {
		dir := fmt.Sprintf("/proc/%d/fd/", pid)
		found, err := os.ReadDir(dir)
		for _, d := range found {
			if to, err := os.Readlink(dir + d.Name()); err == nil { // else closed meanwhile
				open = append(open, d.Name()+" "+to)
			}
		}
		return err
	})
	if err != nil {
		m.t.Fatalf("machine: descriptors: %v", err)
	}
	return open
}

// Baseline takes what a process has open now. The function that it gives fails the
// test unless that many, or fewer, are open again.
func (m *Machine) Baseline(pid int) (back func()) {
	m.t.Helper()
	before := m.Descriptors(pid)
	return func() {
		m.t.Helper()
		// No event tells of a close, so it is looked at now and then.
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for limit := time.Now().Add(m.leaving); ; <-tick.C {
			now := m.Descriptors(pid)
			if len(now) <= len(before) {
				return
			}
			if time.Now().After(limit) {
				m.t.Errorf("process %d has %d descriptors, want at most %d: %s; before: %s",
					pid, len(now), len(before), strings.Join(now, ", "), strings.Join(before, ", "))
				return
			}
		}
	}
}

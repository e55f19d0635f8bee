//go:build linux

package machine

import (
	"fmt"
	"slices"
	"strings"
)

// Expect says that the test provokes the message of that name in allowed.go. It
// must be in the journal at the end.
func (m *Machine) Expect(name string) {
	m.t.Helper()
	if !slices.ContainsFunc(allowed, func(a allowance) bool { return a.name == name }) || name == "" {
		m.t.Fatalf("machine: Expect: allowed.go has nothing of the name %q", name)
	}
	m.expected = append(m.expected, name)
}

// Allow says that the test may provoke the message of that name in allowed.go: unlike
// one that it expects, it need not come.
func (m *Machine) Allow(name string) {
	m.t.Helper()
	m.Expect(name)
	m.expected = m.expected[:len(m.expected)-1]
	m.allowed = append(m.allowed, name)
}

// Close fails the test for what is wrong with m: a failed unit (reset-failed
// forgives one that the test wanted), a process left in a unit that is stopped or
// left by Run, a message of WARNING or worse beyond the list in allowed.go. Then it
// ends m. Cleanup calls it; a second call does nothing.
func (m *Machine) Close() {
	m.t.Helper()
	if m.closed {
		return
	}
	m.closed = true
	for _, p := range m.background {
		p.kill()
	}
	m.report(m.faults())
	if m.t.Failed() {
		m.tell()
	}
	b := m.boot.Swap(nil)
	if err := m.keeper.end(); err != nil {
		m.t.Error(err)
	}
	if b != nil {
		<-b.ended // its cgroup is empty
	}
}

func (m *Machine) report(faults []string) {
	m.t.Helper()
	for _, f := range faults {
		m.t.Errorf("machine: %s: %s", m.cfg.Suite, f)
	}
}

// faults says what is wrong with m.
func (m *Machine) faults() (faults []string) {
	if b := m.boot.Load(); b != nil {
		select {
		case <-b.ended:
			m.boot.Store(nil) // so that the journal is read from the disk
			faults = append(faults, fmt.Sprintf("it ended by itself: %v: %s", b.cmd.ProcessState, &b.log))
		default:
			faults = m.running()
		}
	}
	entries, err := m.journal(Filter{Priority: "warning"})
	if err != nil {
		return append(faults, err.Error())
	}
	return append(faults, judge(entries, allowed, m.expected, m.allowed)...)
}

// running says what is wrong with what runs, or should not, in a machine that is
// about to end.
func (m *Machine) running() (faults []string) {
	for _, u := range m.failed() {
		faults = append(faults, "failed: "+u)
	}
	for _, p := range m.leftOver() {
		faults = append(faults, "left over: "+p.String())
	}
	return faults
}

// leftOver lists the processes in the cgroups of units that are stopped, and what
// commands of the test left.
func (m *Machine) leftOver() (left []Process) {
	units := make(map[string][]Process)
	for _, p := range processes(m.payload()) {
		units[unitOf(p.Cgroup)] = append(units[unitOf(p.Cgroup)], p)
	}
	for path, procs := range units {
		if !m.stopped(path) {
			continue
		}
		// A process that has been killed may take a moment to go.
		if awaitEmpty(m.payload()+path, m.leaving) != nil {
			left = append(left, procs...)
		}
	}
	return left
}

// unitOf cuts the path of a cgroup after the innermost service or scope: below are
// cgroups of its own making.
func unitOf(path string) string {
	dirs := strings.Split(path, "/")
	for i, d := range slices.Backward(dirs) {
		if strings.HasSuffix(d, ".service") || strings.HasSuffix(d, ".scope") {
			return strings.Join(dirs[:i+1], "/")
		}
	}
	return path
}

// stopped is true for a cgroup, as of unitOf, whose unit should have no process.
func (m *Machine) stopped(path string) bool {
	if path == "/commands" {
		return true
	}
	dirs := strings.Split(path, "/")
	unit, user := dirs[len(dirs)-1], ""
	for _, d := range dirs[:len(dirs)-1] {
		if strings.HasPrefix(d, "user@") {
			user = m.userOf(d)
		}
	}
	if unit == "init.scope" {
		return false // the manager itself
	}
	state, err := m.show(user, unit, []string{"ActiveState"})
	if err != nil {
		m.t.Errorf("machine: state of %s: %v", path, err)
	}
	return state["ActiveState"] == "inactive" || state["ActiveState"] == "failed"
}

// tell logs the end of the journal, for a test that has failed.
func (m *Machine) tell() {
	entries, err := m.journal(Filter{})
	if err != nil {
		m.t.Logf("its journal: %v", err)
	}
	var text strings.Builder
	for _, e := range entries[max(0, len(entries)-80):] {
		fmt.Fprintf(&text, "%s %v\n", e.Time.Format("15:04:05.000"), e)
	}
	m.t.Logf("the end of the journal of %s:\n%s", m.cfg.Suite, text.String())
}

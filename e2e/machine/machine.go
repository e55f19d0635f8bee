//go:build linux

package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience guards against a hang; nothing measures it.
const patience = 2 * time.Minute

// Config says which machine to boot.
type Config struct {
	Suite Suite // required

	// Bind shows files and directories of this host in the machine, read-only: the
	// key is the path there, the value the path here, both absolute. It is for large
	// programs; Copy is for the others. None may lie in another.
	Bind map[string]string
}

// Machine is a machine of one test. Its methods are for the test's goroutine, but
// for Dial and Overflows, which any may call.
type Machine struct {
	t    testing.TB
	cfg  Config
	took time.Duration

	keeper *keeper
	boot   atomic.Pointer[boot] // nil while it is off

	background []*Background // to be ended by Close
	expected   []string      // names in allowed.go
	allowed    []string      // likewise
	closed     bool

	// leaving is how long a process may take to end, and to close what it has open,
	// once it is done with.
	leaving time.Duration
}

// errOff is of what needs a running machine.
var errOff = errors.New("machine: it is off")

// booted is true once a machine of this process has: then the host can boot them,
// and one that does not is a failure.
var booted atomic.Bool

// Boot makes a machine and returns when it is running. Cleanup calls Close.
func Boot(t testing.TB, cfg Config) *Machine {
	t.Helper()
	if cfg.Suite != Bookworm && cfg.Suite != Trixie {
		t.Fatalf("machine: Suite %q is not bookworm or trixie", cfg.Suite)
	}
	dir, err := prerequisites()
	if err != nil {
		missing(t, cfg.Suite, err)
	}
	tree, err := tree(dir, cfg.Suite, os.Stderr)
	if err != nil {
		missing(t, cfg.Suite, err)
	}
	keeper, err := newKeeper(dir, tree)
	if err != nil {
		missing(t, cfg.Suite, err)
	}
	m := &Machine{t: t, cfg: cfg, keeper: keeper, leaving: 5 * time.Second}
	if err := m.start(); err != nil {
		err = errors.Join(err, keeper.end())
		if booted.Load() {
			t.Fatal(err)
		}
		missing(t, cfg.Suite, err)
	}
	booted.Store(true)
	t.Cleanup(m.Close)
	m.up()
	t.Logf("machine: %s booted in %.2f s", cfg.Suite, m.took.Seconds())
	return m
}

// prerequisites checks what deps.sh installs, and gives the directory of the trees.
func prerequisites() (dir string, err error) {
	if os.Geteuid() != 0 {
		return "", errors.New("machine: only root can boot one")
	}
	for _, program := range []string{"mmdebstrap", "systemd-nspawn", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("machine: %w (e2e/deps.sh installs it)", err)
		}
	}
	return treesDir()
}

// missing ends a test whose machine cannot be had.
func missing(t testing.TB, s Suite, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("cannot boot %s: %v", s, err)
	}
	t.Skipf("not checked on the systemd of a booted %s: %v", s, err)
}

// start boots m on what its disk holds.
func (m *Machine) start() error {
	b, err := m.keeper.boot(m.cfg)
	if err != nil {
		return err
	}
	m.took = b.took
	m.boot.Store(b)
	return nil
}

// up fails the test if the boot that has finished went wrong.
func (m *Machine) up() {
	m.t.Helper()
	if state, err := m.Systemctl("is-system-running"); err != nil {
		m.t.Errorf("the booted machine is %s; failed: %v", state, m.failed())
	}
}

// BootTook is how long the last boot took.
func (m *Machine) BootTook() time.Duration { return m.took }

// Poweroff shuts m down as a person would, and returns when it is off. What Close
// sees in a running machine is looked for before. Until the next Reboot, which then
// boots it, only files and journal are there.
func (m *Machine) Poweroff() {
	m.t.Helper()
	m.shutdown("poweroff", 0)
}

// Reboot shuts m down as Poweroff does, if it is on, and boots it again on the disk
// as it is.
func (m *Machine) Reboot() {
	m.t.Helper()
	if m.boot.Load() != nil {
		m.shutdown("reboot", 133) // systemd-nspawn's word for: start me again
	}
	if err := m.start(); err != nil {
		m.t.Fatal(err)
	}
	m.up()
}

// shutdown has systemctl end the machine, and checks how systemd-nspawn exits.
func (m *Machine) shutdown(verb string, code int) {
	m.t.Helper()
	b := m.boot.Load()
	if b == nil {
		m.t.Fatalf("machine: %s: it is off", verb)
	}
	for _, p := range m.background {
		p.kill()
	}
	m.report(m.running())
	// The manager may end the command that asked.
	_, asked := m.RunIn(Command{Args: []string{"systemctl", "--no-block", verb}})
	select {
	case <-b.ended:
	case <-time.After(patience):
		m.t.Fatalf("machine: %s (%v): still on after %v", verb, asked, patience)
	}
	if got := b.cmd.ProcessState.ExitCode(); got != code {
		m.t.Errorf("machine: systemd-nspawn ended with %d after %s, want %d: %s", got, verb, code, &b.log)
	}
	m.boot.Store(nil)
}

// inside runs f in the given namespaces of the machine. Without one that runs,
// only its files are there.
func (m *Machine) inside(spaces int, f func() error) error {
	if b := m.boot.Load(); b != nil {
		return place{fd: b.leader, spaces: spaces}.do(f)
	}
	if spaces != unix.CLONE_NEWNS {
		return errOff
	}
	return place{fd: m.keeper.mounts, spaces: spaces, root: m.keeper.root}.do(f)
}

// payload is the machine's root in the cgroup tree of the host.
func (m *Machine) payload() string { return filepath.Join(m.boot.Load().cgroup, "payload") }

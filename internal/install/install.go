// Package install puts an app on this machine and takes it away again: settings,
// units and account, under the system's service manager or a user's. It also says
// what is wrong with one that is there.
//
// Everything is found out before anything is written: a [Plan] has the files that
// would change and what that means for the running app, and Apply carries it out.
// If a step of Apply fails, the ones before it are taken back, so that files,
// units and account are as they were.
//
// What rondo wrote is known by its first line, which has a hash of the rest. A
// file that a person edited is theirs: it is not written again unless the Request
// says so, and one without such a line is never touched.
//
// # Ownership
//
// A Machine borrows its Manager. Nothing else is kept between calls: the files
// are the state. Of the paths in a [Paths] only files that carry rondo's first
// line are written, replaced or removed, and directories removed only if empty.
//
// # Errors
//
// All are for people, one line that says what to do; those of package systemd can
// be told apart.
package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/systemd"
)

// Manager is a service manager: a systemd.Manager, or a test's.
type Manager interface {
	Version() (int, error)
	Reload(ctx context.Context) error
	Enable(ctx context.Context, units ...string) error
	Disable(ctx context.Context, units ...string) error
	Start(ctx context.Context, unit string) error
	Stop(ctx context.Context, unit string) error
	ResetFailed(ctx context.Context, unit string) error
	Unit(ctx context.Context, name string) (systemd.Unit, error)
	Listening(ctx context.Context) ([]systemd.Unit, error)        // sockets
	UnitOf(ctx context.Context, pid int) (name string, err error) // or ""
}

// Accounts are the machine's: those of the operating system, or a test's.
type Accounts interface {
	Lookup(name string) (Account, error)               // by name, or by number
	Owner(path string) (uid int, err error)            // of a file
	Create(ctx context.Context, sysusers string) error // what this file of sysusers.d says
	Remove(ctx context.Context, account Account) error // with its group
	Processes(account Account) []int                   // that run as it
}

// Paths is where files go.
type Paths struct {
	Units    string // unit files
	Config   string // NAME.toml
	Sysusers string // of the system's manager
	Run      string // below it is rondo/NAME/control.sock
	Linger   string // of a user's manager: this file makes it outlive its sessions
}

// Machine is what Plan, Uninstall and Doctor work on. All fields must be set.
type Machine struct {
	Scope    systemd.Scope
	Paths    Paths
	Manager  Manager
	Accounts Accounts
	Version  string // of this rondo
	Rondo    string // where it is; see CheckRondo

	// Try carries out a Trial as its account; see TryAs.
	Try func(context.Context, Trial) error
	// Check says whether settings fit the sockets, which have no File; as master.Check.
	Check func(settings.Settings, []activation.Socket) error
	// Closed are addresses of a socket unit that is active on which nobody listens; see
	// ClosedAddresses.
	Closed func(systemd.Unit) []string
	// LastWords is why a start of the service failed, or "" if that is not known: that
	// of this invocation, or without one the last since then.
	LastWords func(ctx context.Context, service, invocation string, since time.Time) string
}

// PathsOf gives where the files of a manager's apps are on a machine.
func PathsOf(scope systemd.Scope) (Paths, error) {
	if scope == systemd.System {
		return Paths{Units: "/etc/systemd/system", Config: "/etc/rondo", Sysusers: "/etc/sysusers.d", Run: "/run"}, nil
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return Paths{}, fmt.Errorf("where this user's units are: %w", err)
	}
	uid := strconv.Itoa(os.Getuid())
	run := os.Getenv("XDG_RUNTIME_DIR")
	if run == "" {
		run = "/run/user/" + uid
	}
	self, err := osAccounts{}.Lookup(uid)
	if err != nil {
		return Paths{}, err
	}
	return Paths{
		Units: filepath.Join(config, "systemd", "user"), Config: filepath.Join(config, "rondo"),
		Run: run, Linger: filepath.Join("/var/lib/systemd/linger", self.Name),
	}, nil
}

func (p Paths) toml(name string) string { return filepath.Join(p.Config, name+".toml") }

func (p Paths) unit(name string) string { return filepath.Join(p.Units, name) }

func (p Paths) sysusers(name string) string {
	if p.Sysusers == "" {
		return ""
	}
	return filepath.Join(p.Sysusers, "rondo-"+name+".conf")
}

func (p Paths) control(name string) string {
	return filepath.Join(p.Run, "rondo", name, "control.sock")
}

func (m *Machine) user() bool { return m.Scope == systemd.User }

// Lingers says whether what this user's manager runs outlives the user's sessions.
func (m *Machine) Lingers() bool {
	_, err := os.Stat(m.Paths.Linger)
	return err == nil
}

// rondo is a call of rondo that a person would type. Install and uninstall must be
// told of a user's manager; the other commands find the app by its name.
func (m *Machine) rondo(command, rest string) string {
	switch {
	case !m.user():
		return "sudo rondo " + command + " " + rest
	case command == "install":
		return "rondo install --user " + rest
	}
	return "rondo " + command + " " + rest
}

// journal is a call of journalctl for a unit.
func (m *Machine) journal(unit string) string {
	return m.root(m.Scope.Journalctl(unit, "-n", "50"))
}

// root is a command that root must run, unless it is of a user's manager.
func (m *Machine) root(command string) string {
	if m.user() {
		return command
	}
	return "sudo " + command
}

// systemctl is a call that changes something, as a person would type it.
func (m *Machine) systemctl(words ...string) string {
	return m.root(m.Scope.Systemctl(words...))
}

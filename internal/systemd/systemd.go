// Package systemd asks a service manager over D-Bus: for its version, about units,
// and for jobs.
//
// The connection goes to the manager's own private socket, so root needs no bus
// daemon for the system's manager, nor a user for his own. Only a user who asks the
// system's manager goes over the bus.
//
// # Ownership
//
// Connect gives a Manager, which its caller closes.
//
// # Errors
//
// ErrAbsent means that no systemd runs here, or none for this user; ErrNotPermitted
// that it runs and does not obey this user; a *JobError is of a job that did not end
// well. Every other error is for people, and says which command would show more.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

var (
	// ErrAbsent is the error when there is no manager to ask.
	ErrAbsent = errors.New("systemd does not run here")
	// ErrNotPermitted is the error when the manager refuses this user.
	ErrNotPermitted = errors.New("not permitted")
)

// Scope says which manager.
type Scope string

const (
	System Scope = "system"
	User   Scope = "user" // of the user that this process runs as
)

// Systemctl is the systemctl call that a person would type.
func (s Scope) Systemctl(words ...string) string {
	program := "systemctl"
	if s == User {
		program += " --user"
	}
	return strings.Join(append([]string{program}, words...), " ")
}

// Journalctl is the journalctl call, with these options, that shows what a unit wrote.
func (s Scope) Journalctl(unit string, options ...string) string {
	return strings.Join(append(append([]string{"journalctl"}, options...), s.UnitLog(unit)...), " ")
}

// UnitLog are journalctl's words for a unit. Its --user would leave out what has no
// file of the user's own, as in a journal that is not kept on disk.
func (s Scope) UnitLog(unit string) []string {
	if s == User {
		return []string{"--user-unit", unit}
	}
	return []string{"-u", unit}
}

// A Manager is a connection to one service manager. Its methods may be called
// from any goroutine.
type Manager struct {
	conn  *dbus.Conn
	scope Scope
	end   context.CancelFunc // of what the connection lives by
}

// Connect connects to the manager of scope. The connection outlives ctx, which
// only bounds how long Connect takes.
func Connect(ctx context.Context, scope Scope) (*Manager, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	connect := connectSystem
	if scope == User {
		connect = connectUser
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	conn, err := connect(life)
	if !stop() {
		if err == nil {
			conn.Close()
		}
		return nil, fmt.Errorf("no answer from systemd: %w", context.Cause(ctx))
	}
	if err != nil {
		end()
		return nil, err
	}
	return &Manager{conn, scope, end}, nil
}

// Close ends the connection.
func (m *Manager) Close() {
	m.conn.Close()
	m.end()
}

func connectSystem(ctx context.Context) (*dbus.Conn, error) {
	// As sd_booted(3): without this directory systemd is not what runs the machine.
	if _, err := os.Lstat("/run/systemd/system"); err != nil {
		return nil, fmt.Errorf("%w: this machine, or container, was not booted with it", ErrAbsent)
	}
	const socket = "/run/systemd/private"
	var alone error
	if os.Geteuid() == 0 {
		conn, err := private(ctx, socket)
		if err == nil {
			return conn, nil
		}
		alone = fmt.Errorf("no answer from systemd at %s: %w", socket, err)
	}
	conn, err := dbus.NewSystemConnectionContext(ctx)
	switch {
	case err == nil:
		return conn, nil
	case alone != nil:
		return nil, fmt.Errorf("%w, nor over the system bus: %w", alone, err)
	default:
		return nil, fmt.Errorf("no answer from the system bus, which root does not need: run it as root (sudo): %w", err)
	}
}

func connectUser(ctx context.Context) (*dbus.Conn, error) {
	dir, err := runtimeDirectory()
	if err != nil {
		return nil, err
	}
	conn, err := private(ctx, filepath.Join(dir, "systemd", "private"))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w for this user: nobody listens in %s; log in as the user, or: %s", ErrAbsent, dir, linger())
	}
	if err != nil {
		return nil, fmt.Errorf("no answer from this user's manager: %w", err)
	}
	return conn, nil
}

// linger is the command for this user's manager to run without a session. Without
// root it needs one.
func linger() string {
	name := strconv.Itoa(os.Getuid())
	if who, err := user.LookupId(name); err == nil {
		name = who.Username
	}
	return Linger(name)
}

// Linger is the command for the manager of an account to run also when it is not
// logged in.
func Linger(account string) string { return "sudo loginctl enable-linger " + account }

// runtimeDirectory is $XDG_RUNTIME_DIR; su and sudo often leave none, or the
// caller's, and then it is where logind makes it.
func runtimeDirectory() (string, error) {
	uid := os.Getuid()
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(uid)} {
		info, err := os.Stat(dir)
		if err != nil || !filepath.IsAbs(dir) {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) == uid {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%w for this user, who is not logged in: log in as the user, or: %s", ErrAbsent, linger())
}

// private connects without a bus daemon. There is no Hello on such a connection.
func private(ctx context.Context, path string) (*dbus.Conn, error) {
	return dbus.NewConnection(func() (*godbus.Conn, error) {
		conn, err := godbus.Dial("unix:path="+escaped(path), godbus.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		if err := conn.Auth([]godbus.Auth{godbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	})
}

// escaped is path as the value of a key in a D-Bus address.
func escaped(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_/.", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

// Version is the manager's: 252 or later where rondo is supported.
func (m *Manager) Version() (int, error) {
	text, err := m.conn.GetManagerProperty("Version")
	if err != nil {
		return 0, m.explain(context.Background(), "version of systemd", err)
	}
	return parseVersion(text)
}

// parseVersion reads a version like "252.39-1~deb12u1" or "257~rc1", in the quotes
// that go-systemd leaves around it.
func parseVersion(text string) (int, error) {
	digits := strings.TrimPrefix(strings.Trim(text, `"`), "v")
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("the version of systemd is %s, which is no number", text)
	}
	return n, nil
}

// explain says what a D-Bus error means for the operator, or why ctx has ended.
func (m *Manager) explain(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	if isError(err, "org.freedesktop.DBus.Error.AccessDenied") || isError(err, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired") {
		return fmt.Errorf("%s: %w: run it as root (sudo), or with --user for your own manager", what, ErrNotPermitted)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func isError(err error, name string) bool {
	e, ok := errors.AsType[godbus.Error](err)
	return ok && e.Name == name
}

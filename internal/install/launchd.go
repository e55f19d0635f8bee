package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/launchctl"
	"github.com/rondokit/rondo/internal/settings"
)

// Launchd is a Machine with launchd, where an app is a property list and NAME.toml, and a
// log file and a runtime directory that are made once. All fields must be set.
//
// launchd reads a property list when it is told of the job, and never again before the
// job is gone: so a change of it closes the sockets and ends the master.
type Launchd struct {
	Domain   launchctl.Domain
	Paths    LaunchdPaths
	Accounts Accounts
	Version  string // of this rondo
	Rondo    string // where it is; see CheckLastingRondo

	// Try carries out a Trial as its account; see TryAs.
	Try func(context.Context, Trial) error
}

// LaunchdPaths is where files go.
type LaunchdPaths struct {
	Jobs   string // property lists
	Config string // NAME.toml
	Logs   string // rondo-NAME.log
	Run    string // below it is NAME/control.sock
	Lock   string // for the lock of what changes the apps
}

// LaunchdPathsOf gives where the files of a domain's apps are on a Mac: of this user's
// domain, where it is not the system's.
func LaunchdPathsOf(domain launchctl.Domain) (LaunchdPaths, error) {
	if domain == launchctl.System {
		return LaunchdPaths{Jobs: "/Library/LaunchDaemons", Config: "/etc/rondo", Logs: "/Library/Logs", Run: control.LaunchdDirectory, Lock: "/var/run"}, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return LaunchdPaths{}, fmt.Errorf("where this user's jobs are: %w", err)
	}
	library := filepath.Join(home, "Library")
	return LaunchdPaths{
		Jobs: filepath.Join(library, "LaunchAgents"), Config: filepath.Join(library, "Application Support", "rondo"),
		Logs: filepath.Join(library, "Logs"), Run: control.TempDirectory(), Lock: os.TempDir(),
	}, nil
}

// Label names the job of an app.
func (l *Launchd) Label(name string) string { return label(name) }

func label(name string) string { return "rondo." + name }

func (p LaunchdPaths) job(name string) string { return filepath.Join(p.Jobs, label(name)+".plist") }

func (p LaunchdPaths) toml(name string) string { return filepath.Join(p.Config, name+".toml") }

func (p LaunchdPaths) control(name string) string {
	return filepath.Join(p.Run, name, "control.sock")
}

func (l *Launchd) user() bool { return l.Domain != launchctl.System }

// Lock is that of a Machine.
func (l *Launchd) Lock(ctx context.Context, waits func(who string)) (unlock func(), err error) {
	return lockIn(ctx, l.Paths.Lock, waits)
}

// root is a command that root must run, unless it is of a user's domain.
func (l *Launchd) root(command string) string {
	if l.user() {
		return command
	}
	return "sudo " + command
}

// Launchctl is a call of launchctl that a person would type.
func (l *Launchd) Launchctl(args []string) string {
	return l.root("launchctl " + strings.Join(quoted(args), " "))
}

// Kickstart is the one that has launchd end the job and start it again.
func (l *Launchd) Kickstart(name string) string {
	return l.Launchctl([]string{"kickstart", "-k", l.Domain.Target(label(name))})
}

// Bootstrap is the one that has launchd take the job.
func (l *Launchd) Bootstrap(name string) string {
	return l.Launchctl(l.Domain.Bootstrapping(l.Paths.job(name)))
}

// Command is a call of rondo that a person would type. Those that ask a master find it by
// its name alone.
func (l *Launchd) Command(words ...string) string {
	if asks := words[0] == "reload" || words[0] == "status"; l.user() && !asks {
		words = append([]string{words[0], "--user"}, words[1:]...)
	}
	return l.root("rondo " + strings.Join(words, " "))
}

// quoted are words for a shell: of a path only a space is to be expected.
func quoted(words []string) []string {
	list := make([]string, len(words))
	for i, word := range words {
		if list[i] = word; strings.ContainsAny(word, " '\"\\$`&;()<>|*?[]#~") {
			list[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return list
}

// launchdPresent is what of an app is there: files with rondo's first line. A nil one is
// not there.
type launchdPresent struct {
	name        string
	job, config *file
}

func (l *Launchd) find(name string) (*launchdPresent, error) {
	if err := settings.CheckName(name); err != nil {
		return nil, err
	}
	p := &launchdPresent{name: name}
	var err error
	if p.job, err = readOurs(l.Paths.job(name)); err != nil {
		return nil, err
	}
	p.config, err = readOurs(l.Paths.toml(name))
	return p, err
}

// notInstalled says so, in one sentence.
func (l *Launchd) notInstalled(name string) error { return noUnit(name, l.Paths.job(name)) }

// Names are the apps that are installed, sorted.
func (l *Launchd) Names() ([]string, error) {
	paths, err := filesIn(l.Paths.Jobs, ".plist")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, path := range paths {
		name, ok := strings.CutPrefix(strings.TrimSuffix(filepath.Base(path), ".plist"), label(""))
		if !ok {
			continue
		}
		f, err := readOurs(path)
		if err != nil {
			return nil, err
		}
		if f != nil {
			names = append(names, name)
		}
	}
	return names, nil
}

package install

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/units"
)

// A Request is what a person asks for: the whole of it. What it does not say is at
// its default, also when the app is installed and had another value.
type Request struct {
	Flags   map[string][]string // settings by key, as settings.Sources has them
	Command []string
	RunAs   string // ACCOUNT or ACCOUNT:GROUP; empty means that Plan decides

	// Of App count Environment, EnvironmentFiles, Credentials, Writes, the limits,
	// Unconfined and NoNetwork; of Socket its options but no address, which are for
	// all listeners that they can be for. The rest is resolved.
	App    units.App
	Socket units.Listener

	Overwrite bool // also files that a person edited
	Foreign   bool // for another machine: look at no file and no account of this one
}

// A proposal is what a Request comes to.
type proposal struct {
	app      units.App
	settings settings.Settings
	identity identity
	reads    []string // files of the command's arguments
	files    []*file
}

// propose resolves req for a manager of this version of systemd.
func (m *Machine) propose(req Request, version int) (*proposal, error) {
	switch {
	case version < oldest && req.Foreign:
		return nil, fmt.Errorf("--systemd %d: rondo needs %d or later", version, oldest)
	case version < oldest:
		return nil, fmt.Errorf("systemd %d runs here, and rondo needs %d or later", version, oldest)
	}
	p, err := resolve(req)
	if err != nil {
		return nil, err
	}
	p.app.Rondo, p.app.Config = m.Rondo, m.Paths.toml(p.app.Name)
	p.app.UserManager, p.app.Systemd = m.user(), version
	if p.identity, err = m.identity(req, p.app); err != nil {
		return nil, err
	}
	p.app.User, p.app.Group = p.identity.user, p.identity.group
	if err := p.checkFiles(req); err != nil {
		return nil, err
	}
	if err := m.render(p, req); err != nil {
		return nil, err
	}
	return p, m.checkSocketOwner(req)
}

const oldest = 252

// resolve is what req comes to under any init: settings, command and listeners.
func resolve(req Request) (*proposal, error) {
	s, err := settings.Sources{Flags: req.Flags, Command: req.Command}.Load()
	if err != nil {
		return nil, err
	}
	p := &proposal{settings: s}
	if err := p.findCommand(req); err != nil {
		return nil, err
	}
	p.app = req.App
	p.app.Name, p.app.Listeners = s.Name, listeners(s.Listen, req.Socket)
	if p.use(); req.Foreign {
		p.app.Reads = nil
	}
	return p, nil
}

// use has the app run what the settings say.
func (p *proposal) use() {
	s := p.settings
	p.app.Program, p.app.Args, p.app.Directory = s.Command[0], s.Command[1:], s.Directory
	p.app.Store = storeRoom(s)
	p.app.StartTimeout, p.app.DrainTimeout, p.app.KillTimeout = s.StartTimeout, s.DrainTimeout, s.KillTimeout
	p.app.Reads = nil
	p.reads = argumentFiles(s.Directory, p.app.Args)
	for _, path := range slices.Concat([]string{s.Directory, s.Command[0]}, p.reads) {
		for _, place := range append([]string{path}, places(path)...) {
			if !within(place, s.Directory) && place != p.app.Program {
				p.app.Reads = append(p.app.Reads, place)
			}
		}
	}
	if in := interpreterOf(p.app.Program); in.path != "" && filepath.IsAbs(in.path) {
		p.app.Reads = append(p.app.Reads, append([]string{filepath.Clean(in.path)}, places(in.path)...)...)
	}
	slices.Sort(p.app.Reads)
	p.app.Reads = slices.Compact(p.app.Reads)
	p.app.Reads = slices.DeleteFunc(p.app.Reads, func(path string) bool { return path == s.Directory })
}

// findCommand makes the command and its directory absolute.
func (p *proposal) findCommand(req Request) error {
	directory, err := filepath.Abs(p.settings.Directory)
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	p.settings.Directory = directory
	program, err := settings.CheckCommand(p.settings)
	if err != nil {
		program = req.Command[0]
		if !req.Foreign || !filepath.IsAbs(program) {
			return err
		}
	}
	p.settings.Command = append([]string{filepath.Clean(program)}, p.settings.Command[1:]...)
	return nil
}

// listeners are the sockets of the units, with what options they can have.
func listeners(list []settings.Listen, options units.Listener) []units.Listener {
	var all []units.Listener
	for _, l := range list {
		one := units.Listener{Listen: l}
		if l.Kind != settings.KindUDP && l.Kind != settings.KindFD {
			one.Backlog = options.Backlog
		}
		if l.Kind == settings.KindUnix && strings.HasPrefix(l.Path, "/") {
			one.Mode, one.User, one.Group = options.Mode, options.User, options.Group
		}
		if l.Kind == settings.KindTCP || l.Kind == settings.KindUDP {
			one.IPv6Only = options.IPv6Only && l.IP.IsValid() && l.IP.IsUnspecified() && l.IP.Is6()
		}
		all = append(all, one)
	}
	return all
}

// checkFiles looks at what the manager and the kernel read for the app.
func (p *proposal) checkFiles(req Request) error {
	if req.Foreign {
		return nil
	}
	if err := p.checkNamed(); err != nil {
		return err
	}
	return p.checkScript(servicePath)
}

// A namedError is of a file that the service names, and without which it does not start.
type namedError struct {
	error
	flag, path string
}

func (e *namedError) Unwrap() error { return e.error }

// checkNamed looks for the files that the service names itself.
func (p *proposal) checkNamed() error {
	for _, path := range p.app.EnvironmentFiles {
		if strings.HasPrefix(path, "-") {
			continue
		}
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a regular file", path)
		} else if err == nil && p.app.UserManager {
			err = readable(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: make it, or write -%s if it may be missing", err, path)
		}
		if err != nil {
			return &namedError{fmt.Errorf("--env-file: %w", err), "--env-file", path}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.app.Credentials)) {
		path := p.app.Credentials[id]
		if _, err := os.Stat(path); err != nil {
			return &namedError{fmt.Errorf("--credential %s: %w", id, err), "--credential", path}
		}
	}
	for _, path := range p.app.Writes {
		if _, err := os.Stat(path); err != nil {
			return &namedError{fmt.Errorf("--write: %w: make it, as what the app may write to must exist", err), "--write", path}
		}
	}
	return nil
}

// readable opens a file as the manager will that runs as this user.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkScript looks for what the program itself will look for when it starts, with this
// PATH if the app sets none.
func (p *proposal) checkScript(path string) error {
	if script := missingScript(p.app.Program, p.app.Directory, p.app.Args); script != "" {
		return fmt.Errorf("command: %s: %w", script, fs.ErrNotExist)
	}
	in := interpreterOf(p.app.Program)
	sets := slices.ContainsFunc(p.app.Environment, func(v string) bool { return strings.HasPrefix(v, "PATH=") })
	if in.env == "" || sets || len(p.app.EnvironmentFiles) > 0 || inPath(in.env, path) != "" {
		return nil
	}
	better := "the path of " + in.env
	if found := inPath(in.env, os.Getenv("PATH")); found != "" {
		better = found
	}
	return fmt.Errorf("command: %s begins with #!%s %s, and a service's PATH (%s) has no %s: begin the command with it: %s %s",
		p.app.Program, in.path, in.env, path, in.env, better, strings.Join(p.settings.Command, " "))
}

// render makes the files: settings first, for they are there when a unit is.
func (m *Machine) render(p *proposal, req Request) error {
	name := p.settings.Name
	text, err := tomlText(p.settings, req.Flags, m.systemctl("restart", name))
	if err != nil {
		return err
	}
	if p.identity.create {
		rule := sealed(m.Version, sysusersText(name, p.identity.user))
		p.files = append(p.files, &file{m.Paths.sysusers(name), rule, fileMode})
	}
	p.files = append(p.files, &file{m.Paths.toml(name), sealed(m.Version, text), fileMode})
	list, err := m.units(p.app)
	p.files = append(p.files, list...)
	return err
}

// units are the unit files of a, the sockets first.
func (m *Machine) units(a units.App) ([]*file, error) {
	list, err := a.Files(m.Version)
	if err != nil {
		return nil, asFlags(err)
	}
	var files []*file
	for _, f := range list {
		files = append(files, &file{m.Paths.unit(f.Name), f.Text, fileMode})
	}
	return files, nil
}

// asFlags is an error of package units in the words of the command line: it begins
// with a field of units.App and, for a listener, has one of units.Listener.
func asFlags(err error) error {
	text := strings.TrimPrefix(err.Error(), "units: ")
	field, rest, ok := strings.Cut(text, ": ")
	flag := flagOf[field]
	if !ok || flag == "" {
		return errors.New(text)
	}
	if field == "Listeners" {
		for inner, option := range socketFlagOf {
			if listener, why, ok := strings.Cut(rest, ": "+inner+": "); ok {
				flag, rest = option, listener+": "+why
			}
		}
	}
	return fmt.Errorf("%s: %s", flag, rest)
}

var flagOf = map[string]string{
	"Name": "--name", "Systemd": "--systemd", "Program": "command", "Args": "command", "Reads": "command",
	"Directory": "--directory", "Config": "the path of NAME.toml", "Rondo": "--rondo", "Writes": "--write",
	"User": "--run-as", "Group": "--run-as", "NoNetwork": "--network none", "Listeners": "--listen",
	"Environment": "--env", "EnvironmentFiles": "--env-file", "Credentials": "--credential",
	"LimitNOFILE": "--limit-nofile", "MemoryMax": "--memory-max", "TasksMax": "--tasks-max", "CPUQuota": "--cpu-quota",
	"StartTimeout": "--start-timeout", "DrainTimeout": "--drain-timeout", "KillTimeout": "--kill-timeout",
}

var socketFlagOf = map[string]string{
	"Mode": "--socket-mode", "User": "--socket-user", "Group": "--socket-group", "Backlog": "--backlog",
}

// Generate gives the files that req comes to on another machine, with this version
// of systemd, as changes of nothing. The units are last.
func (m *Machine) Generate(req Request, systemd int) ([]Change, error) {
	req.Foreign = true
	p, err := m.propose(req, systemd)
	if err != nil {
		return nil, err
	}
	var list []Change
	for _, f := range p.files {
		list = append(list, Change{Path: f.path, New: f.text})
	}
	return list, nil
}

// sockets are what the manager would pass for a.
func sockets(a units.App) []Socket {
	var list []Socket
	for _, l := range a.Listeners {
		if l.Kind == settings.KindFD {
			continue
		}
		s := Socket{Name: l.Name, Kind: l.Kind, IP: l.IP.Unmap(), Port: l.Port, Path: l.Path, V6Only: l.IPv6Only}
		if s.Name == "" {
			s.Name = a.Name + ".socket"
		}
		list = append(list, s)
	}
	return list
}

// storeRoom is how many descriptors the manager is to keep for an app: in steps, so
// that not every change of the workers changes the unit.
func storeRoom(s settings.Settings) int {
	up := func(n int) int { return 1 << bits.Len(uint(max(n, 16)-1)) }
	s.Workers, s.MaxDraining = up(s.Workers), up(s.MaxDraining)
	return s.StoreSize()
}

package install

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/systemd"
	"github.com/rondokit/rondo/units"
)

// A Finding is one thing that doctor has seen of an app.
type Finding struct {
	App  string
	What string // is wrong, in one line
	Mend string // the command that mends it; empty for a mere fact
}

// examination is of one app.
type examination struct {
	*Machine
	name    string
	version int // of systemd
	have    *present
	app     units.App
	units   map[string]systemd.Unit
	found   []Finding
}

func (e *examination) wrong(mend, what string, args ...any) {
	e.found = append(e.found, Finding{e.name, fmt.Sprintf(what, args...), mend})
}

func (e *examination) fact(what string, args ...any) { e.wrong("", what, args...) }

// Doctor looks for what is wrong with an app that is installed, and for what is
// worth knowing of it. It changes nothing.
func (m *Machine) Doctor(ctx context.Context, name string) ([]Finding, error) {
	version, err := m.Manager.Version()
	if err != nil {
		return nil, err
	}
	have, err := m.find(name)
	if err != nil {
		return nil, err
	}
	if have.service == nil {
		return nil, m.notInstalled(name)
	}
	e := &examination{Machine: m, name: name, version: version, have: have, units: make(map[string]systemd.Unit)}
	for _, unit := range have.units() {
		if e.units[unit], err = m.Manager.Unit(ctx, unit); err != nil {
			return nil, err
		}
	}
	if e.app, err = have.app(); err != nil {
		e.wrong(m.rondo("install", "--name "+name+" ..."), "%v: only an install with all its flags writes it anew", err)
	} else {
		e.files()
		e.settings(ctx)
	}
	e.sockets()
	e.service(ctx)
	e.surroundings()
	return e.found, nil
}

// files are the units as files.
func (e *examination) files() {
	refresh := e.rondo("install", "--refresh "+e.name)
	if e.app.Rondo != "" {
		if info, err := os.Stat(e.app.Rondo); err != nil || info.Mode()&0o111 == 0 {
			e.wrong(refresh, "rondo is not at %s any more, where the service looks for it", e.app.Rondo)
		}
	}
	current := e.app
	current.Systemd = e.version
	would := e.bodies(current, nil)
	renewed := map[string]string{}
	if p, err := e.renewed(e.have, e.version); err == nil {
		renewed = e.bodies(p.app, meaning)
	}
	for _, f := range e.have.unitFiles() {
		base := filepath.Base(f.path)
		h, _ := f.header()
		text, wanted := would[base]
		changed, known := renewed[base]
		switch {
		case h.Edited:
			e.wrong(e.rondo("install", "--refresh --overwrite "+e.name), "%s was edited: rondo does not bring it up to date; a drop-in (%s) would be kept", f.path, e.systemctl("edit", base))
		case !wanted:
			e.wrong(e.systemctl("disable --now", base), "%s is of no listener of the app", f.path)
		case text != f.body():
			e.wrong(refresh, "%s is outdated: rondo %s wrote it for systemd %d; these are %s and %d", f.path, h.Version, max(e.app.Systemd, oldest), e.Version, e.version)
		case known && changed != strings.Join(meaning(f.text), "\n"):
			e.wrong(refresh, "%s is not as %s has it by now", f.path, e.app.Config)
		}
		delete(would, base)
	}
	for base := range would {
		e.wrong(refresh, "%s is missing", e.Paths.unit(base))
	}
}

// bodies are the units of a by name, as they stand or as lines.
func (e *examination) bodies(a units.App, lines func(string) []string) map[string]string {
	list, _ := e.Machine.units(a) // none, of an app that cannot be rendered any more
	texts := make(map[string]string)
	for _, f := range list {
		texts[filepath.Base(f.path)] = f.body()
		if lines != nil {
			texts[filepath.Base(f.path)] = strings.Join(lines(f.text), "\n")
		}
	}
	return texts
}

// settings are NAME.toml, what it names, and how it fits the sockets.
func (e *examination) settings(ctx context.Context) {
	s, err := settings.Sources{File: e.app.Config, DefaultName: e.name}.Load()
	if err != nil {
		e.wrong("sudoedit "+e.app.Config, "%v", err)
		return
	}
	p := &proposal{app: e.app, settings: s}
	if err := p.findCommand(Request{Command: s.Command}); err != nil {
		e.wrong("sudoedit "+e.app.Config, "%s: %v", e.app.Config, err)
		return
	}
	p.use()
	t := p.trial()
	t.Sockets = e.passed()
	if t.Account = anybody; e.app.User != "" || e.user() {
		name := e.app.User
		if e.user() {
			name = strconv.Itoa(os.Getuid())
		}
		if t.Account, err = e.Accounts.Lookup(name); err != nil {
			e.wrong(e.rondo("install", "--refresh "+e.name), "the account %s, which it runs as, is not there: %v", name, err)
			return
		}
	}
	if err := e.Try(ctx, t); err != nil {
		e.wrong(e.rondo("run", "--check --config "+e.app.Config), "%v", err)
	}
}

// passed are the sockets as the manager has them, with what drop-ins add.
func (e *examination) passed() []Socket {
	var list []Socket
	for _, f := range e.have.sockets {
		unit := e.units[filepath.Base(f.path)]
		v6only := f.key("BindIPv6Only") == "ipv6-only"
		for _, l := range unit.Listen {
			s := Socket{Name: unit.FDName, Kind: settings.KindTCP}
			if l.Kind == "Datagram" {
				s.Kind = settings.KindUDP
			}
			if at, err := netip.ParseAddrPort(l.Address); err == nil {
				s.IP, s.Port = at.Addr(), at.Port()
				s.V6Only = v6only && s.IP.Is6()
			} else {
				s.Kind, s.Path = settings.KindUnix, l.Address
			}
			list = append(list, s)
		}
	}
	return list
}

// sockets are the units that should listen.
func (e *examination) sockets() {
	for i, f := range e.have.sockets {
		name := filepath.Base(f.path)
		u := e.units[name]
		start := e.systemctl("start", name)
		if e.loaded(u); u.Load != "loaded" {
			continue
		}
		switch {
		case u.Active == "failed":
			e.wrong(e.systemctl("restart", name), "%s failed: %s", name, e.failure(u, e.app))
		case inactive(u) && u.FileState == "enabled":
			e.wrong(start, "%s is enabled and does not listen", name)
		case inactive(u):
			e.wrong(e.systemctl("enable --now", name), "%s neither listens nor is enabled to", name)
		case u.FileState == "disabled" && i == 0:
			e.wrong(e.systemctl("enable", name), "%s listens, and will not after a reboot: it is not enabled", name)
		}
	}
}

func inactive(u systemd.Unit) bool { return u.Active == "inactive" || u.Active == "" }

// loaded says what keeps the manager from having the unit as the files have it.
func (e *examination) loaded(u systemd.Unit) {
	reload := e.systemctl("daemon-reload")
	switch {
	case u.Load == "masked":
		e.wrong(e.systemctl("unmask", u.Name), "%s is masked", u.Name)
	case u.Load == "not-found":
		e.wrong(reload, "%s is not known to the manager", u.Name)
	case u.Load != "loaded":
		e.wrong(e.Scope.Systemctl("status", u.Name), "%s cannot be used (%s): %s", u.Name, u.Load, u.LoadError)
	case u.Fragment != e.Paths.unit(u.Name):
		e.wrong(e.Scope.Systemctl("cat", u.Name), "%s is taken from %s, and not from %s", u.Name, u.Fragment, e.Paths.unit(u.Name))
	case u.NeedsReload:
		e.wrong(reload, "the files of %s changed since the manager read them", u.Name)
	}
}

// failure is why a unit failed, in words.
func (m *Machine) failure(u systemd.Unit, app units.App) string {
	switch u.Result {
	case "resources":
		for _, l := range app.Listeners {
			if l.Port != 0 && filepath.Ext(u.Name) == ".socket" {
				if err := taken(l); err != nil {
					return strings.TrimPrefix(err.Error(), "--listen ")
				}
			}
		}
		return "it could not open what it listens on: see " + m.journal(u.Name)
	case "trigger-limit-hit":
		return "connections started the service too often, by a limit that is not rondo's (trigger-limit-hit)"
	case "service-start-limit-hit", "start-limit-hit":
		return fmt.Sprintf("it was started too often, by a limit that is not rondo's (%s)", u.Result)
	}
	if u.Status != "" {
		return fmt.Sprintf("%s; it said last: %s", u.Result, u.Status)
	}
	return u.Result
}

// service is the master.
func (e *examination) service(ctx context.Context) {
	name := e.name + ".service"
	u := e.units[name]
	if e.loaded(u); u.Load != "loaded" {
		return
	}
	switch {
	case u.Active == "failed":
		e.wrong(e.journal(name), "%s failed: %s", name, e.failure(u, e.app))
	case len(e.have.sockets) == 0 && inactive(u):
		e.wrong(e.systemctl("start", name), "%s does not run, and no socket starts it", name)
	case len(e.have.sockets) == 0 && u.FileState == "disabled":
		e.wrong(e.systemctl("enable", name), "%s runs, and will not after a reboot: it is not enabled", name)
	case u.Active == "activating":
		e.wrong(e.journal(name), "%s does not get ready: %s", name, u.Status)
	}
	if u.Active == "active" {
		e.master(ctx, u)
	}
}

package install

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/systemd"
	"github.com/rondokit/rondo/units"
)

// A Plan is what Apply would do. Making it has changed nothing.
type Plan struct {
	App      units.App
	Settings settings.Settings
	Account  string // whom the app runs as, in words

	Primary string // the unit to enable and start: it brings the others

	Changes []Change // in the order in which they are made; none: all is as it should be
	First   bool     // the app is not installed yet
	Edited  []Change // files that a person edited, and that stay so: from what rondo would write to what is there
	DropIns []string // of the units, kept in any case
	Notes   []string // worth knowing

	// Reopens are the sockets that listen now and must be opened anew for the
	// change: only with Reopen Apply does that.
	Reopens []string
	Reopen  bool

	// Shut are sockets that are there and do not listen, of a service that does not
	// run: a person stopped them, or an Apply was killed. Only with Reopen Apply opens
	// them.
	Shut []string

	// Restarts says that the service runs and takes the change only by a restart,
	// Reloads that a reload will do.
	Restarts, Reloads bool

	files   []*file  // to write
	gone    []*file  // to remove
	account *Account // to make
	link    string   // that a dynamic user leaves for its runtime directory, to remove
	had     []string // the units that were there, the one to start first
	active  bool     // the service is
	enabled bool     // the one to start was
}

// Plan finds out what req means for this machine. It tries all that can be tried,
// as the account that the app is to run as.
func (m *Machine) Plan(ctx context.Context, req Request) (*Plan, error) {
	version, err := m.Manager.Version()
	if err != nil {
		return nil, err
	}
	want, err := m.propose(req, version)
	if err != nil {
		return nil, err
	}
	have, err := m.find(want.app.Name)
	if err != nil {
		return nil, err
	}
	p := &Plan{App: want.app, Settings: want.settings, First: have.service == nil, Notes: notes(want)}
	p.Account = want.identity.String()
	if want.identity.create {
		p.account = &Account{Name: want.identity.user}
	}
	if old, err := have.app(); err == nil && !m.user() && old.User == "" && want.app.User != "" {
		p.link = filepath.Dir(m.Paths.control(p.App.Name))
	}
	if err := m.strangers(ctx, want, have); err != nil {
		return nil, err
	}
	switch err := m.Try(ctx, want.trial()); {
	case errors.Is(err, ErrNotTried): // a dry run of somebody else's
		p.Notes = append(p.Notes, fmt.Sprintf("whether %s may read all was not tried: only root can", want.identity.account.Name))
	case err != nil:
		return nil, err
	}
	if err := p.compare(want.files, have, req.Overwrite, m); err != nil {
		return nil, err
	}
	if err := m.look(ctx, p, have); err != nil {
		return nil, err
	}
	return p, m.free(ctx, p, have)
}

func (p *proposal) trial() Trial {
	return Trial{
		Account: p.identity.account, Rondo: p.app.Rondo, Program: p.app.Program,
		Settings: p.settings, Reads: p.reads, Sockets: sockets(p.app),
	}
}

// notes are what a person may not expect of the units.
func notes(p *proposal) []string {
	service := p.files[len(p.files)-1].text
	var list []string
	if strings.Contains(service, "\nProtectHome=read-only\n") {
		list = append(list, "it has files in a home: all homes are shown to it, read-only, as far as their permissions allow")
	}
	if strings.Contains(service, "\nPrivateTmp=no\n") && !strings.Contains(service, "\nTemporaryFileSystem=/tmp:") {
		list = append(list, "it has files in /tmp or /var/tmp: it gets the machine's, and not its own")
	}
	if len(p.app.Writes) == 0 && !p.app.Unconfined && !p.app.UserManager {
		list = append(list, "it may write to no file but in /tmp and /var/tmp: --write DIR opens more")
	}
	return list
}

// strangers finds units in the way that are not rondo's, or another app's.
func (m *Machine) strangers(ctx context.Context, want *proposal, have *present) error {
	for _, f := range want.files {
		there, err := read(f.path)
		if err != nil {
			return err
		}
		base := filepath.Base(f.path)
		switch {
		case there == nil:
		case there.masks():
			return fmt.Errorf("%s is masked: %s", base, m.systemctl("unmask", base))
		case !there.ours():
			return fmt.Errorf("%s is there and is not rondo's: choose another --name, or move it away", f.path)
		case filepath.Ext(base) == ".socket" && !slices.ContainsFunc(have.sockets, func(s *file) bool { return s.path == f.path }):
			return fmt.Errorf("%s is of %s: name the listener, or the app, otherwise", f.path, there.key("Service"))
		}
		if filepath.Dir(f.path) != m.Paths.Units {
			continue
		}
		unit, err := m.Manager.Unit(ctx, base)
		switch {
		case err != nil:
			return err
		case unit.Load == "masked":
			return fmt.Errorf("%s is masked: %s", base, m.systemctl("unmask", base))
		case there == nil && unit.Fragment != "" && unit.Fragment != f.path:
			return fmt.Errorf("%s is there as %s, which is not of rondo install: choose another --name", base, unit.Fragment)
		}
	}
	return nil
}

// compare says what changes for the files to be as wanted, beside those that are there.
func (p *Plan) compare(want []*file, have *present, overwrite bool, m *Machine) error {
	there := make(map[string]*file)
	for _, f := range have.files() {
		there[f.path] = f
	}
	c := comparison{settings: p.Settings, overwrite: overwrite}
	for _, f := range want {
		if filepath.Dir(f.path) == m.Paths.Units && p.Primary == "" {
			p.Primary = filepath.Base(f.path)
		}
		if err := c.add(there[f.path], f); err != nil {
			return err
		}
		delete(there, f.path)
	}
	p.Changes, p.Edited, p.files = c.changes, c.edited, c.files
	for _, f := range have.sockets { // of listeners that are not wanted any more
		if there[f.path] == nil {
			continue
		}
		p.gone = append(p.gone, f)
		p.Changes = append(p.Changes, Change{Path: f.path, Old: f.text})
	}
	return m.refuseEdited(c.lost, p.App.Name)
}

// refuseEdited names what a person edited and would lose.
func (m *Machine) refuseEdited(files []*file, name string) error {
	var errs []error
	for _, f := range files {
		base := filepath.Base(f.path)
		how := fmt.Sprintf("put the edit into a drop-in (%s)", m.systemctl("edit", base))
		if filepath.Ext(base) == ".toml" {
			how = fmt.Sprintf("make the change there, too, and apply it (%s)", m.rondo("reload", name))
		}
		errs = append(errs, fmt.Errorf("%s was edited, and would lose that: %s, or give it up with --overwrite", f.path, how))
	}
	return errors.Join(errs...)
}

// look asks the manager how the units are, and says what the change means for them.
func (m *Machine) look(ctx context.Context, p *Plan, have *present) error {
	p.had = have.units()
	service := p.App.Name + ".service"
	for _, name := range p.had {
		unit, err := m.Manager.Unit(ctx, name)
		if err != nil {
			return err
		}
		if name == p.had[0] {
			p.enabled = unit.FileState == "enabled"
		}
		if !running(unit) {
			if filepath.Ext(name) == ".socket" && !slices.Contains(unitNames(p.gone), name) {
				p.Shut = append(p.Shut, name)
			}
			continue
		}
		p.active = p.active || name == service
		if name != service || len(have.sockets) == 0 { // without sockets the service opens them
			p.Reopens = append(p.Reopens, name)
		}
	}
	if !p.reopens() {
		p.Reopens = nil
	}
	if p.active {
		p.Shut = nil
		p.Restarts, p.Reloads = restarts(p.Changes, p.Settings)
	}
	return m.dropIns(ctx, p)
}

// dropIns finds those of the units, which may be there before a unit.
func (m *Machine) dropIns(ctx context.Context, p *Plan) error {
	names := slices.Concat(p.had, unitNames(p.files))
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		unit, err := m.Manager.Unit(ctx, name)
		if err != nil {
			return err
		}
		p.DropIns = append(p.DropIns, unit.DropIns...)
	}
	return nil
}

// running says whether the manager has u up, or on its way.
func running(u systemd.Unit) bool {
	return u.Active == "active" || u.Active == "activating" || u.Active == "reloading"
}

// reopens says whether the change is one of sockets.
func (p *Plan) reopens() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool {
		return filepath.Ext(c.Path) == ".socket" && !slices.Equal(socketSection(c.Old), socketSection(c.New))
	})
}

// restarts says what a service that runs needs to take changes, of NAME.toml to these
// settings.
func restarts(changes []Change, to settings.Settings) (restart, reload bool) {
	for _, c := range changes {
		switch filepath.Ext(c.Path) {
		case ".service":
			restart = restart || len(difference(meaning(c.Old), meaning(c.New))) > 0
		case ".toml":
			reload = true
			old, err := (settings.Sources{File: c.Path}).Load()
			restart = restart || err != nil || len(settings.Diff(old, to)) > 0
		}
	}
	return restart, reload && !restart
}

package install

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/units"
)

// Refresh plans to write the units of an installed app anew: as this rondo does,
// for the systemd that runs, and for what NAME.toml says by now. NAME.toml itself
// stays as it is. A unit that a person edited is refused, or given up by overwrite.
func (m *Machine) Refresh(ctx context.Context, name string, overwrite bool) (*Plan, error) {
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
	want, err := m.renewed(have, version)
	if err != nil {
		return nil, err
	}
	p := &Plan{App: want.app, Settings: want.settings, Account: want.app.User}
	if err := p.compare(want.files, have, overwrite, m); err != nil {
		return nil, err
	}
	return p, m.look(ctx, p, have)
}

// renewed is what the units of an app that is there should be.
func (m *Machine) renewed(have *present, version int) (*proposal, error) {
	app, err := have.app()
	if err != nil {
		return nil, fmt.Errorf("%w: install it again, with all its flags", err)
	}
	p, err := renew(app, m.Rondo)
	if err != nil {
		return nil, err
	}
	p.app.Systemd = version
	p.files, err = m.units(p.app)
	return p, err
}

// renew is app with what its NAME.toml says by now, and with this rondo if its own is gone.
func renew(app units.App, rondo string) (*proposal, error) {
	s, err := settings.Sources{File: app.Config, DefaultName: app.Name}.Load()
	if err != nil {
		return nil, err
	}
	if s.Name != app.Name {
		return nil, fmt.Errorf("%s: the name is %q, and its units are called %s: change it back", app.Config, s.Name, app.Name)
	}
	p := &proposal{app: app, settings: s}
	if err := p.findCommand(Request{Command: s.Command}); err != nil {
		return nil, err
	}
	if _, err := os.Stat(app.Rondo); errors.Is(err, os.ErrNotExist) {
		p.app.Rondo = rondo
	}
	p.use()
	return p, nil
}

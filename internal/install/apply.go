package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rondokit/rondo/internal/systemd"
)

// ErrReopen is the error of Apply for a Plan with Reopens but without Reopen.
var ErrReopen = errors.New("the sockets change, and for that they must be opened anew")

// An applying is an Apply under way.
type applying struct {
	*Machine
	*Plan
	undo undo
}

// Apply does what p says, and gives the units as they are then. On an error
// everything is as before, or the error says what is not. If ctx ends, that is an
// error as any other.
func (m *Machine) Apply(ctx context.Context, p *Plan) ([]systemd.Unit, error) {
	if len(p.Reopens) > 0 && !p.Reopen {
		return nil, ErrReopen
	}
	a := &applying{Machine: m, Plan: p}
	if err := a.run(ctx); err != nil {
		return nil, a.undo.run(ctx, err)
	}
	var list []systemd.Unit
	for _, name := range a.all() {
		unit, err := m.Manager.Unit(ctx, name)
		if err != nil {
			return nil, err
		}
		list = append(list, unit)
	}
	return list, nil
}

func (a *applying) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{a.close, a.retire, a.write, a.load, a.open} {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// all are the units that the app has in the end.
func (a *applying) all() []string {
	files, err := a.units(a.App)
	if err != nil {
		panic("install: units that were rendered before: " + err.Error())
	}
	return unitNames(files)
}

// close stops the sockets that are to be opened anew, and with them the service:
// the manager opens none while the service has them.
func (a *applying) close(ctx context.Context) error {
	if a.First {
		return a.orphans(ctx)
	}
	if len(a.Reopens) == 0 {
		return nil
	}
	service := a.App.Name + ".service"
	a.undo.add("start again", func(ctx context.Context) error {
		err := a.Manager.Start(ctx, a.Reopens[0])
		if a.active {
			err = errors.Join(err, a.Manager.Start(ctx, service))
		}
		return err
	})
	for _, name := range append(a.Reopens[:len(a.Reopens):len(a.Reopens)], service) {
		if err := a.Manager.Stop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// orphans stops units of the app that the manager has still though their files are
// gone: a socket would not listen on what the new file says.
func (a *applying) orphans(ctx context.Context) error {
	for _, name := range a.all() {
		unit, err := a.Manager.Unit(ctx, name)
		if err != nil {
			return err
		}
		if unit.Load == "not-found" && running(unit) {
			if err := a.Manager.Stop(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// retire stops and disables units that go, and disables the one that was started
// at boot and is not any more, as long as the manager can read what they say.
func (a *applying) retire(ctx context.Context) error {
	for _, name := range unitNames(a.gone) {
		if err := a.Manager.Stop(ctx, name); err != nil {
			return err
		}
		if err := a.disable(ctx, name); err != nil {
			return err
		}
	}
	if len(a.had) > 0 && a.had[0] != a.Primary && !slices.Contains(unitNames(a.gone), a.had[0]) {
		return a.disable(ctx, a.had[0])
	}
	return nil
}

func (a *applying) disable(ctx context.Context, name string) error {
	unit, err := a.Manager.Unit(ctx, name)
	if err != nil || unit.FileState != "enabled" {
		return err
	}
	a.undo.add("enable "+name, func(ctx context.Context) error {
		return errors.Join(a.Manager.Enable(ctx, name), a.Manager.Reload(ctx)) // as open does
	})
	return a.Manager.Disable(ctx, name)
}

// write writes and removes files. The account comes with its file, which is first.
func (a *applying) write(ctx context.Context) error {
	a.undo.add("daemon-reload", a.forget)
	for _, f := range a.files {
		if err := a.undo.makeDirectories(filepath.Dir(f.path), a.directoryMode()); err != nil {
			return err
		}
		if err := a.undo.replace(f.path, f); err != nil {
			return err
		}
		if a.account != nil && f.path == a.Paths.sysusers(a.App.Name) {
			if err := a.createAccount(ctx, f.path); err != nil {
				return err
			}
		}
	}
	for _, f := range a.gone {
		if err := a.undo.replace(f.path, nil); err != nil {
			return err
		}
	}
	return a.unlink()
}

// unlink removes the link that a dynamic user has left where the account that
// takes its place needs a directory: the service would not start again.
func (a *applying) unlink() error {
	target, err := os.Readlink(a.link)
	if a.link == "" || err != nil { // there is none
		return nil
	}
	a.undo.add("restore "+a.link, func(context.Context) error { return os.Symlink(target, a.link) })
	return os.Remove(a.link)
}

func (a *applying) createAccount(ctx context.Context, rule string) error {
	if _, err := a.Accounts.Lookup(a.account.Name); err == nil {
		return nil
	}
	a.undo.add("remove the account "+a.account.Name, func(ctx context.Context) error {
		if _, err := a.Accounts.Lookup(a.account.Name); err != nil {
			return nil // it did not come to that
		}
		return a.Accounts.Remove(ctx, *a.account)
	})
	if err := a.Accounts.Create(ctx, rule); err != nil {
		return fmt.Errorf("make the account %s: %w: or name one with --run-as", a.account.Name, err)
	}
	return nil
}

// forget has the manager read the units as they were, and a first install leaves
// no failed unit behind.
func (a *applying) forget(ctx context.Context) error {
	if !a.First {
		return a.Manager.Reload(ctx)
	}
	err := a.Machine.forget(ctx, a.all())
	a.sweepRun(a.App.Name)
	return err
}

// load has the manager read the units, and asks it what it made of them.
func (a *applying) load(ctx context.Context) error {
	if err := a.Manager.Reload(ctx); err != nil {
		return err
	}
	for _, name := range a.all() {
		unit, err := a.Manager.Unit(ctx, name)
		switch {
		case err != nil:
			return err
		case unit.Load != "loaded":
			return fmt.Errorf("%s: the manager cannot use it (%s): %s", name, unit.Load, unit.LoadError)
		case unit.Fragment != a.Paths.unit(name):
			return fmt.Errorf("%s: the manager takes %s and not %s", name, unit.Fragment, a.Paths.unit(name))
		}
	}
	return nil
}

// open enables and starts what is new, and what close has stopped. What a person
// has stopped or disabled stays so.
func (a *applying) open(ctx context.Context) error {
	fresh := slices.DeleteFunc(a.all(), func(name string) bool { return slices.Contains(a.had, name) })
	if !a.First && a.had[0] != a.Primary && !slices.Contains(fresh, a.Primary) {
		fresh = append(fresh, a.Primary) // it was there, and was not what is enabled
	}
	if a.First || a.enabled && len(fresh) > 0 {
		a.undo.add("disable "+strings.Join(fresh, " "), func(ctx context.Context) error { return a.Manager.Disable(ctx, fresh...) })
		if err := a.Manager.Enable(ctx, a.Primary); err != nil {
			return err
		}
		// As systemctl enable does: the manager learns of what pulls it in.
		if err := a.Manager.Reload(ctx); err != nil {
			return err
		}
	}
	if a.First || len(a.Reopens) > 0 {
		if err := a.start(ctx, a.Primary); err != nil {
			return err
		}
	}
	if a.Reopen && len(a.Shut) > 0 {
		if err := a.openClosed(ctx); err != nil {
			return err
		}
	}
	if len(a.Reopens) > 0 && a.active && a.Primary != a.App.Name+".service" {
		return a.start(ctx, a.App.Name+".service")
	}
	return nil
}

// openClosed starts the sockets that do not listen.
func (a *applying) openClosed(ctx context.Context) error {
	for _, name := range a.all() {
		unit, err := a.Manager.Unit(ctx, name)
		if err != nil {
			return err
		}
		if filepath.Ext(name) != ".socket" || running(unit) {
			continue
		}
		a.undo.add("stop "+name, func(ctx context.Context) error { return a.Manager.Stop(ctx, name) })
		if err := a.Manager.Start(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// start starts a unit. An error says more than the job's end, if more is known.
func (a *applying) start(ctx context.Context, name string) error {
	a.undo.add("stop "+name, func(ctx context.Context) error {
		var errs []error
		for _, unit := range a.all() { // stopping a socket stops neither the others nor, if it failed, the service
			errs = append(errs, a.Manager.Stop(ctx, unit))
		}
		return errors.Join(errs...)
	})
	began := time.Now()
	err := a.Manager.Start(ctx, name)
	if err == nil {
		return nil
	}
	if job, ok := errors.AsType[*systemd.JobError](err); ok { // which would send people to a unit that is about to go
		err = fmt.Errorf("start %s: %s", job.Unit, job.Result)
	}
	for _, unit := range a.all() {
		if last := a.LastWords(ctx, unit, "", began); last != "" { // what the manager knows of a start is gone with the next one
			err = fmt.Errorf("%w; %s said last: %s", err, unit, last)
			continue
		}
		u, looked := a.Manager.Unit(ctx, unit) // not failed, if it is about to be tried again
		if looked == nil && (u.Active == "failed" || u.Result != "" && u.Result != "success") {
			err = fmt.Errorf("%w; %s: %s", err, unit, a.failure(ctx, u, a.App))
		}
	}
	return err
}

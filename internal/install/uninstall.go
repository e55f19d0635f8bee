package install

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rondokit/rondo/internal/cgroup"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/internal/systemd"
)

// A Removal is what Uninstall has taken away, and left.
type Removal struct {
	Removed []string // files, and the account
	Edited  []string // those of them that a person had edited
	Kept    []string // what is left, and why
	Killed  []string // processes that the service had left behind
}

// Uninstall stops an app, letting it drain, and removes all that rondo made for
// it. What fails leaves the rest to another call.
func (m *Machine) Uninstall(ctx context.Context, name string) (Removal, error) {
	have, err := m.find(name)
	if err != nil {
		return Removal{}, err
	}
	if len(have.files()) == 0 {
		return Removal{}, m.notInstalled(name)
	}
	var r Removal
	names, err := m.unitsOf(ctx, have)
	if err != nil {
		return r, err
	}
	if err := m.stop(ctx, names, &r); err != nil {
		return r, err
	}
	for _, f := range append(have.unitFiles(), have.config) {
		if f != nil {
			if err := r.remove(f); err != nil {
				return r, err
			}
		}
	}
	if err := m.forget(ctx, names); err != nil {
		return r, err
	}
	err = m.removeAccount(ctx, have.sysusers, &r)
	m.sweepRun(name)
	m.sweep(have, &r)
	return r, err
}

// Drains says whether the service of an app runs, so that Uninstall waits until it
// has finished what it holds, and how long at most: 0 if that is not known.
func (m *Machine) Drains(ctx context.Context, name string) (runs bool, atMost time.Duration, err error) {
	have, err := m.find(name)
	if err != nil || have.service == nil {
		return false, 0, err
	}
	unit, err := m.Manager.Unit(ctx, name+".service")
	if err != nil || !running(unit) && unit.Active != "deactivating" {
		return false, 0, err
	}
	s, err := settings.Sources{File: m.Paths.toml(name), DefaultName: name}.Load()
	if err != nil {
		return true, 0, nil // it runs with what it read before
	}
	return true, s.DrainTimeout + s.KillTimeout, nil
}

// unitsOf are the units that are there and those of the service's record that the
// manager has still, without their files; the sockets are first.
func (m *Machine) unitsOf(ctx context.Context, have *present) ([]string, error) {
	names := have.units()
	app, err := have.app()
	if err != nil { // an unreadable record names none
		return names, nil
	}
	files, err := m.units(app)
	if err != nil {
		return names, nil
	}
	for _, name := range slices.Backward(unitNames(files)) {
		if slices.Contains(names, name) {
			continue
		}
		there, err := read(m.Paths.unit(name))
		if err != nil {
			return nil, err
		}
		unit, err := m.Manager.Unit(ctx, name)
		if err != nil {
			return nil, err
		}
		if there == nil && (unit.Fragment == "" || unit.Fragment == m.Paths.unit(name)) {
			names = slices.Insert(names, 0, name)
		}
	}
	return names, nil
}

// stop stops and disables units, and notes their drop-ins. The sockets are first, or
// a connection starts the service again.
func (m *Machine) stop(ctx context.Context, names []string, r *Removal) error {
	for _, name := range names {
		unit, err := m.Manager.Unit(ctx, name)
		if err != nil {
			return err
		}
		for _, path := range unit.DropIns {
			r.Kept = append(r.Kept, path+", which is not rondo's")
		}
		if err := m.Manager.Stop(ctx, name); err != nil {
			return err
		}
		if err := m.killLeft(ctx, unit, r); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	return m.Manager.Disable(ctx, names...)
}

// killLeft ends what is left in a service that has been stopped while it waited to be
// started again: systemd runs nothing of ours then, and nobody would look for it later.
func (m *Machine) killLeft(ctx context.Context, u systemd.Unit, r *Removal) error {
	if u.Group == "" {
		return nil
	}
	list, err := cgroup.Strangers(u.Group, nil)
	if errors.Is(err, errors.ErrUnsupported) { // there is no such group any more
		return nil
	}
	if err != nil {
		return err
	}
	for _, p := range list {
		r.Killed = append(r.Killed, p.String())
	}
	return cgroup.KillIn(ctx, u.Group, list)
}

// forget has the manager forget units whose files are gone, also that they failed.
func (m *Machine) forget(ctx context.Context, names []string) error {
	err := m.Manager.Reload(ctx)
	for _, name := range names {
		err = errors.Join(err, m.Manager.ResetFailed(ctx, name))
	}
	return err
}

func (r *Removal) remove(f *file) error {
	if err := remove(f.path); err != nil {
		return err
	}
	r.Removed = append(r.Removed, f.path)
	if f.edited() {
		r.Edited = append(r.Edited, f.path)
	}
	return nil
}

// removeAccount removes the account that rule made, unless something runs as it.
func (m *Machine) removeAccount(ctx context.Context, rule *file, r *Removal) error {
	if rule == nil {
		return nil
	}
	var name string
	if _, err := fmt.Sscanf(lastLine(rule), "u %s", &name); err != nil {
		r.Kept = append(r.Kept, rule.path+", which names no account")
		return nil
	}
	account, err := m.Accounts.Lookup(name)
	if err != nil { // it is gone
		return r.remove(rule)
	}
	if pids := m.Accounts.Processes(account); len(pids) > 0 {
		r.Kept = append(r.Kept, fmt.Sprintf("%s and the account %s, as which process %d runs: end it, and uninstall again", rule.path, name, pids[0]))
		return nil
	}
	if err := m.Accounts.Remove(ctx, account); err != nil {
		return fmt.Errorf("remove the account %s: %w", name, err)
	}
	r.Removed = append(r.Removed, "the account "+name)
	return r.remove(rule)
}

func lastLine(f *file) (last string) {
	for _, line := range meaning(f.text) {
		last = line
	}
	return last
}

// sweepRun removes what a stopped service may leave of its runtime directory: all of
// it when it was about to be restarted, and a link to nothing of a dynamic user's.
// That of a master which somebody runs by hand under the same name is left.
func (m *Machine) sweepRun(name string) {
	control := m.Paths.control(name)
	if conn, err := net.Dial("unix", control); err == nil {
		conn.Close()
		return
	}
	for _, dir := range []string{filepath.Dir(control), filepath.Join(m.Paths.Run, "private", "rondo", name)} {
		_ = os.RemoveAll(dir) // what stays goes with the next boot
		removeIfEmpty(filepath.Dir(dir))
	}
}

// sweep removes directories that are empty now, and names a NAME.toml that is not
// rondo's any more.
func (m *Machine) sweep(have *present, r *Removal) {
	if config, err := read(m.Paths.toml(have.name)); err == nil && config != nil {
		r.Kept = append(r.Kept, config.path+", which is not rondo's")
	}
	dirs := []string{m.Paths.Config}
	if have.sysusers != nil {
		dirs = append(dirs, m.Paths.Sysusers)
	}
	if m.user() {
		dirs = append(dirs, m.Paths.Units, filepath.Dir(m.Paths.Units), filepath.Dir(m.Paths.Config))
	}
	for _, dir := range dirs {
		if removeIfEmpty(dir) {
			r.Removed = append(r.Removed, dir)
		}
	}
}

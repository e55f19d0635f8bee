package install

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"howett.net/plist"

	"github.com/rondokit/rondo/internal/launchctl"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/units"
)

// A LaunchdPlan is what Apply would do. Making it has changed nothing.
type LaunchdPlan struct {
	App      units.App
	Settings settings.Settings
	Account  string // whom the app runs as, in words

	Changes []Change // in the order in which they are made; none: all is as it should be
	First   bool     // the app is not installed yet
	Edited  []Change // files that a person edited, and that stay so: from what rondo would write to what is there
	Notes   []string // worth knowing

	Loaded bool // launchd has the job
	// Reopens says that launchd takes the change only by a bootout and a bootstrap: only
	// with Reopen Apply does that. With Reopen it also has launchd take a job that it
	// does not have.
	Reopens, Reopen bool

	// Restarts says that the job runs and takes the change only by another start,
	// Reloads that a reload will do.
	Restarts, Reloads bool

	account  Account
	files    []*file       // to write
	orphan   bool          // launchd has the job of a property list that is gone
	patience time.Duration // for the job that launchd has to end
}

// Plan finds out what req means for this machine, and tries all that can be tried. Where
// there is no launchctl it takes it that launchd has no such job.
func (l *Launchd) Plan(ctx context.Context, req Request) (*LaunchdPlan, error) {
	want, err := l.propose(req)
	if err != nil {
		return nil, err
	}
	have, err := l.find(want.app.Name)
	if err != nil {
		return nil, err
	}
	if err := strangerFiles(want.files); err != nil {
		return nil, err
	}
	p := &LaunchdPlan{First: have.job == nil, Account: want.identity.String(), Notes: l.notes(want)}
	switch err := l.Try(ctx, want.launchdTrial()); {
	case errors.Is(err, ErrNotTried): // a dry run of somebody else's
		p.Notes = append(p.Notes, fmt.Sprintf("whether %s may read all was not tried: only root can", want.identity.account.Name))
	case err != nil:
		return nil, err
	}
	if err := l.plan(ctx, p, want, have, req.Overwrite); err != nil {
		return nil, err
	}
	return p, l.free(p, have)
}

// Refresh plans to write the property list of an installed app anew: as this rondo does,
// and for what NAME.toml says by now, which stays as it is.
func (l *Launchd) Refresh(ctx context.Context, name string, overwrite bool) (*LaunchdPlan, error) {
	have, err := l.find(name)
	if err != nil {
		return nil, err
	}
	if have.job == nil {
		return nil, l.notInstalled(name)
	}
	want, err := l.renewed(have)
	if err != nil {
		return nil, err
	}
	p := &LaunchdPlan{Account: want.app.User}
	return p, l.plan(ctx, p, want, have, overwrite)
}

// renewed is what the property list of an app that is there should be.
func (l *Launchd) renewed(have *launchdPresent) (*proposal, error) {
	app, err := have.job.app(have.name)
	if err != nil {
		return nil, fmt.Errorf("%w: install it again, with all its flags", err)
	}
	p, err := renew(app, l.Rondo)
	if err != nil {
		return nil, err
	}
	p.forLaunchd()
	if p.identity.account, err = l.accountOf(app); err != nil {
		return nil, err
	}
	job, err := l.job(p.app)
	p.files = []*file{job}
	return p, err
}

// plan compares what is wanted with what is there, and with what launchd has.
func (l *Launchd) plan(ctx context.Context, p *LaunchdPlan, want *proposal, have *launchdPresent, overwrite bool) error {
	p.App, p.Settings, p.account = want.app, want.settings, want.identity.account
	c := comparison{settings: p.Settings, overwrite: overwrite}
	for _, f := range want.files {
		old := have.config
		if f.path == l.Paths.job(have.name) {
			old = have.job
		}
		if err := c.add(old, f); err != nil {
			return err
		}
	}
	p.Changes, p.Edited, p.files = c.changes, c.edited, c.files
	if err := l.refuseEdited(c.lost, have.name); err != nil {
		return err
	}
	return l.look(ctx, p, have)
}

// look asks launchd for the job, and says what the change means for it.
func (l *Launchd) look(ctx context.Context, p *LaunchdPlan, have *launchdPresent) error {
	job, err := l.Domain.Print(ctx, label(have.name))
	if errors.Is(err, launchctl.ErrAbsent) {
		err = nil
	}
	if err != nil || job == nil {
		return err
	}
	path := l.Paths.job(have.name)
	if there, err := read(job.Path); !samePath(job.Path, path) && (err != nil || there != nil) {
		return fmt.Errorf("launchd has %s from %s, which is not of rondo install: choose another --name", label(have.name), job.Path)
	}
	p.Loaded, p.orphan, p.patience = true, p.First, patience(have.job)
	p.Reopens = !p.First && slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Path == path && c.Matters() })
	if job.Running() && !p.Reopens {
		p.Restarts, p.Reloads = restarts(p.Changes, p.Settings)
	}
	return nil
}

// strangerFiles finds files in the way that are not rondo's.
func strangerFiles(want []*file) error {
	for _, f := range want {
		there, err := read(f.path)
		if err != nil {
			return err
		}
		if there != nil && !there.ours() {
			return fmt.Errorf("%s is there and is not rondo's: choose another --name, or move it away", f.path)
		}
	}
	return nil
}

// samePath says whether two paths are of one file, by whatever links.
func samePath(a, b string) bool {
	if a == b {
		return true
	}
	one, err := filepath.EvalSymlinks(a)
	if err != nil {
		return false
	}
	other, err := filepath.EvalSymlinks(b)
	return err == nil && one == other
}

// refuseEdited names what a person edited and would lose.
func (l *Launchd) refuseEdited(files []*file, name string) error {
	var errs []error
	for _, f := range files {
		how := "say by flags what it is for"
		if filepath.Ext(f.path) == ".toml" {
			how = fmt.Sprintf("make the change there, too, and apply it (%s)", l.Command("reload", name))
		}
		errs = append(errs, fmt.Errorf("%s was edited, and would lose that: %s, or give it up with --overwrite", f.path, how))
	}
	return errors.Join(errs...)
}

// notes are what a person may not expect of the job.
func (l *Launchd) notes(p *proposal) []string {
	if l.user() {
		return []string{"it runs while you are logged in"}
	}
	return []string{fmt.Sprintf("launchd has no sandbox: the app may do what %s may, whatever --write and --unconfined say", p.app.User)}
}

// free says which of the plan's new addresses somebody else has.
func (l *Launchd) free(p *LaunchdPlan, have *launchdPresent) error {
	if p.orphan {
		return nil // what has them is told to leave
	}
	own := make(map[string]bool)
	if have.job != nil {
		old, _ := have.job.app(have.name) // an unreadable record has no addresses
		for _, listener := range old.Listeners {
			own[socketOf(listener)] = true
		}
	}
	var errs []error
	for _, listener := range p.App.Listeners {
		if !own[socketOf(listener)] {
			errs = append(errs, taken(listener, func() string { return portHolder(listener) }))
		}
	}
	return errors.Join(errs...)
}

const (
	usualExit = 45 * time.Second // of a job that does not tell it
	exitGrace = 10 * time.Second // for launchd to end what has not ended in time
)

// patience is how long the job of a property list may take to be gone.
func patience(f *file) time.Duration {
	var job struct{ ExitTimeOut int }
	if f == nil {
		return usualExit + exitGrace
	}
	if _, err := plist.Unmarshal([]byte(f.text), &job); err != nil || job.ExitTimeOut <= 0 {
		return usualExit + exitGrace
	}
	return time.Duration(job.ExitTimeOut)*time.Second + exitGrace
}

package install

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Drains says whether the job of an app runs, so that Uninstall waits until it has
// finished what it holds, and how long at most.
func (l *Launchd) Drains(ctx context.Context, name string) (runs bool, atMost time.Duration, err error) {
	have, err := l.find(name)
	if err != nil || have.job == nil {
		return false, 0, err
	}
	job, err := l.Domain.Print(ctx, label(name))
	if err != nil || job == nil || !job.Running() {
		return false, 0, err
	}
	return true, patience(have.job), nil
}

// Uninstall has launchd give an app's job up, waits for its end, and removes what rondo
// made for it but the log. What fails leaves the rest to another call.
func (l *Launchd) Uninstall(ctx context.Context, name string) (Removal, error) {
	var r Removal
	have, err := l.find(name)
	if err != nil {
		return r, err
	}
	if have.job == nil && (have.config == nil || !l.missing(name)) {
		return r, l.notInstalled(name)
	}
	if err := l.giveUp(ctx, have); err != nil {
		return r, err
	}
	log := filepath.Join(l.Paths.Logs, "rondo-"+name+".log")
	if have.job != nil {
		if app, err := have.job.app(name); err == nil { // else it is where it is by now
			log = app.LogFile()
		}
	}
	for _, f := range []*file{have.job, have.config} {
		if f == nil {
			continue
		}
		if err := r.remove(f); err != nil {
			return r, err
		}
	}
	l.sweepRun(name, &r)
	l.sweep(name, log, &r)
	return r, nil
}

// giveUp has launchd give up the job, if it is that of the property list that rondo
// wrote, or of one that is gone.
func (l *Launchd) giveUp(ctx context.Context, have *launchdPresent) error {
	job, err := l.Domain.Print(ctx, label(have.name))
	if err != nil || job == nil {
		return err
	}
	path := l.Paths.job(have.name)
	if there, err := read(job.Path); !samePath(job.Path, path) && (err != nil || there != nil) {
		return fmt.Errorf("launchd has %s from %s, which is not rondo's: %s", label(have.name), job.Path, l.Launchctl(l.Domain.Bootingout(label(have.name))))
	}
	return l.bootout(ctx, have.name, patience(have.job))
}

// sweepRun removes the runtime directory, unless a master that somebody runs by hand
// under the same name has its socket there.
func (l *Launchd) sweepRun(name string, r *Removal) {
	path := l.Paths.control(name)
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		r.Kept = append(r.Kept, filepath.Dir(path)+", where another master runs")
		return
	}
	dir := filepath.Dir(path)
	if _, err := os.Lstat(dir); err != nil {
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		r.Kept = append(r.Kept, fmt.Sprintf("%s: %v", dir, err))
		return
	}
	r.Removed = append(r.Removed, dir)
	removeIfEmpty(filepath.Dir(dir))
}

// sweep names what is left, and removes directories that are empty now.
func (l *Launchd) sweep(name, log string, r *Removal) {
	for _, path := range []string{l.Paths.job(name), l.Paths.toml(name)} {
		if f, err := read(path); err == nil && f != nil {
			r.Kept = append(r.Kept, path+", which is not rondo's")
		}
	}
	if _, err := os.Lstat(log); err == nil {
		r.Kept = append(r.Kept, log+", its log: remove it when nobody needs it")
	}
	if removeIfEmpty(l.Paths.Config) {
		r.Removed = append(r.Removed, l.Paths.Config)
	}
}

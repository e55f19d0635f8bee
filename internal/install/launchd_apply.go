package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rondokit/rondo/internal/launchctl"
)

// ErrAnew is the error of Apply for a LaunchdPlan with Reopens but without Reopen.
var ErrAnew = errors.New("the property list changes, and launchd takes that only after it has closed the sockets and given the job up")

// A launchdApplying is an Apply under way.
type launchdApplying struct {
	*Launchd
	*LaunchdPlan
	undo undo
}

// opens says whether the plan has launchd take the job, and closes whether launchd is to
// give it up first.
func (p *LaunchdPlan) opens() bool { return p.First || p.Reopen && (p.Reopens || !p.Loaded) }

func (p *LaunchdPlan) closes() bool { return p.orphan || p.Reopens && p.Reopen }

// Commands are the calls of launchctl that Apply would make, if the plan has Reopen where
// it needs that, but for the looks at a job that ends.
func (l *Launchd) Commands(p *LaunchdPlan) []string {
	var list []string
	add := func(args []string) { list = append(list, "launchctl "+strings.Join(quoted(args), " ")) }
	if p.orphan || p.Reopens {
		add(l.Domain.Bootingout(label(p.App.Name)))
	}
	if p.Reopens || p.opens() {
		add(l.Domain.Bootstrapping(l.Paths.job(p.App.Name)))
		add(l.Domain.Printing(label(p.App.Name)))
	}
	return list
}

// Apply does what p says, and gives the job as launchd has it then: nil where that is not
// so. On an error everything is as before, or the error says what is not. If ctx ends,
// that is an error as any other.
func (l *Launchd) Apply(ctx context.Context, p *LaunchdPlan) (*launchctl.Job, error) {
	if p.Reopens && !p.Reopen {
		return nil, ErrAnew
	}
	a := &launchdApplying{Launchd: l, LaunchdPlan: p}
	for _, step := range []func(context.Context) error{a.close, a.write, a.provide, a.open} {
		err := context.Cause(ctx)
		if err == nil {
			err = step(ctx)
		}
		if err != nil {
			return nil, a.undo.run(ctx, err)
		}
	}
	return l.Domain.Print(ctx, label(p.App.Name))
}

// close has launchd give the job up, and waits for its end.
func (a *launchdApplying) close(ctx context.Context) error {
	if !a.closes() {
		return nil
	}
	name := a.App.Name
	err := a.Domain.Bootout(ctx, label(name))
	if _, refused := errors.AsType[*launchctl.Error](err); refused {
		return err
	}
	if !a.orphan { // whose property list is not there to be read again
		a.undo.add("bootstrap "+label(name), func(ctx context.Context) error {
			if err := a.bootout(ctx, name, a.patience); err != nil { // what was interrupted may not have reached launchd
				return err
			}
			return a.Domain.Bootstrap(ctx, a.Paths.job(name))
		})
	}
	if err != nil {
		return err
	}
	return a.awaitEnd(ctx, name, a.patience)
}

// bootout has launchd give a job up, and waits for its end.
func (l *Launchd) bootout(ctx context.Context, name string, atMost time.Duration) error {
	if err := l.Domain.Bootout(ctx, label(name)); err != nil {
		return err
	}
	return l.awaitEnd(ctx, name, atMost)
}

// awaitEnd waits for the end of a job that launchd gives up.
func (l *Launchd) awaitEnd(ctx context.Context, name string, atMost time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, fmt.Errorf("not within %v", atMost))
	defer cancel()
	return l.Domain.AwaitEnd(ctx, label(name))
}

// write writes the files.
func (a *launchdApplying) write(context.Context) error {
	mode := fs.FileMode(0o755)
	if a.user() {
		mode = 0o700
	}
	for _, f := range a.files {
		if err := a.undo.makeDirectories(filepath.Dir(f.path), mode); err != nil {
			return err
		}
		if err := a.undo.replace(f.path, f); err != nil {
			return err
		}
	}
	return nil
}

// provide makes what launchd and the master expect to be there, of the app's account:
// launchd opens the log as that account, which may make no file in its directory.
func (a *launchdApplying) provide(context.Context) error {
	if !a.opens() {
		return nil
	}
	log := a.App.LogFile()
	if err := a.undo.makeDirectories(filepath.Dir(log), 0o755); err != nil {
		return err
	}
	if err := a.undo.give(log, os.O_WRONLY|os.O_CREATE, logMode, a.account); err != nil {
		return err
	}
	dir := a.App.RuntimeDirectory
	if dir == "" {
		return nil
	}
	_, err := os.Lstat(dir)
	if err := a.undo.makeDirectories(dir, 0o755); err != nil {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		a.undo.add("remove "+dir, func(context.Context) error { return os.RemoveAll(dir) }) // with what a master left
	}
	return a.undo.give(dir, syscall.O_DIRECTORY, 0o755, a.account)
}

// logMode keeps what an app says from others than its group.
const logMode = 0o640

// give has what is at path belong to an account. Nobody who may put a link there gets
// anything else given away.
func (u *undo) give(path string, flags int, mode fs.FileMode, to Account) error {
	before, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		u.add("remove "+path, func(context.Context) error { return remove(path) })
	} else if err != nil {
		return err
	}
	f, err := os.OpenFile(path, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return fmt.Errorf("%s is no regular file: move it away", path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && before != nil {
		u.add("give back "+path, func(context.Context) error {
			return errors.Join(os.Lchown(path, int(stat.Uid), int(stat.Gid)), os.Chmod(path, info.Mode().Perm()))
		})
	}
	return errors.Join(f.Chown(to.UID, to.GID), f.Chmod(mode))
}

// open has launchd take the job, and asks what it made of it.
func (a *launchdApplying) open(ctx context.Context) error {
	if !a.opens() {
		return nil
	}
	name, path := a.App.Name, a.Paths.job(a.App.Name)
	there, err := read(path)
	if err != nil {
		return err
	}
	a.undo.add("bootout "+label(name), func(ctx context.Context) error {
		return a.bootout(ctx, name, patience(there))
	})
	if err := a.Domain.Bootstrap(ctx, path); err != nil {
		return err
	}
	job, err := a.Domain.Print(ctx, label(name))
	switch {
	case err != nil:
		return err
	case job == nil:
		return fmt.Errorf("launchd took %s and does not have %s", path, label(name))
	case !samePath(job.Path, path):
		return fmt.Errorf("launchd has %s from %s, and not from %s", label(name), job.Path, path)
	}
	return nil
}

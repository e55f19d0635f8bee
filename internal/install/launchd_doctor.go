package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/launchctl"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/units"
)

// launchdExamination is of one app.
type launchdExamination struct {
	*Launchd
	name  string
	have  *launchdPresent
	app   units.App
	job   *launchctl.Job // nil: launchd does not have it
	found []Finding
}

func (e *launchdExamination) wrong(mend, what string, args ...any) {
	e.found = append(e.found, Finding{e.name, fmt.Sprintf(what, args...), mend})
}

func (e *launchdExamination) fact(what string, args ...any) { e.wrong("", what, args...) }

// Doctor looks for what is wrong with an app that is installed, and for what is worth
// knowing of it. It changes nothing.
func (l *Launchd) Doctor(ctx context.Context, name string) ([]Finding, error) {
	have, err := l.find(name)
	if err != nil {
		return nil, err
	}
	if have.job == nil {
		if err := l.notInstalled(name); have.config == nil || !l.missing(name) {
			return nil, err
		}
	}
	e := &launchdExamination{Launchd: l, name: name, have: have}
	if e.job, err = l.Domain.Print(ctx, label(name)); err != nil {
		return nil, err
	}
	if have.job == nil {
		e.wrong(e.again(), "%s is missing: only an install with all its flags writes it anew", l.Paths.job(name))
		return e.found, nil
	}
	if e.app, err = have.job.app(name); err != nil {
		e.wrong(e.again(), "%v: only an install with all its flags writes it anew", err)
	} else {
		e.file()
		e.settings(ctx)
		e.provided()
	}
	e.rights()
	e.process(ctx)
	return e.found, nil
}

// missing says whether no property list is there, not even another's.
func (l *Launchd) missing(name string) bool {
	f, err := read(l.Paths.job(name))
	return err == nil && f == nil
}

// again is the command that installs the app anew.
func (e *launchdExamination) again() string { return e.Command("install", "--name "+e.name+" ...") }

// file is the property list as rondo would write it.
func (e *launchdExamination) file() {
	path := e.Paths.job(e.name)
	refresh, overwrite := e.Command("install", "--refresh", e.name), e.Command("install", "--refresh", "--overwrite", e.name)
	if e.job != nil {
		refresh, overwrite = e.Command("install", "--refresh", "--apply-sockets", e.name), e.Command("install", "--refresh", "--overwrite", "--apply-sockets", e.name)
	}
	before := len(e.found)
	if !e.hasRondo() {
		e.wrong(refresh, "rondo is not at %s any more, where launchd looks for it", e.app.Rondo)
	}
	v := e.verdict(e.have.job)
	changed := ""
	if p, err := e.renewed(e.have); err == nil {
		changed = strings.Join(meaning(p.files[0].text), "\n")
	}
	switch {
	case v.State == Edited:
		e.wrong(overwrite, "%s was edited: rondo does not bring it up to date", path)
	case v.State == Outdated:
		e.wrong(refresh, "%s is outdated: %s", path, v.Why)
	case e.hasRondo() && changed != "" && changed != strings.Join(meaning(e.have.job.text), "\n"):
		e.wrong(refresh, "%s is not as %s has it by now", path, e.app.Config)
	}
	if len(e.found) > before && e.job != nil {
		e.fact("to bring its property list up to date launchd must give the job up: connections that wait, or come meanwhile, are refused")
	}
}

// settings are NAME.toml, what it names, and how it fits the sockets.
func (e *launchdExamination) settings(ctx context.Context) {
	s, err := settings.Sources{File: e.app.Config, DefaultName: e.name}.Load()
	if err != nil {
		e.wrong(e.edit(), "%v", err)
		return
	}
	p := &proposal{app: e.app, settings: s}
	if err = p.findCommand(Request{Command: s.Command}); err == nil {
		p.use()
		err = p.checkScript(launchdPath)
	}
	if err != nil {
		e.wrong(e.edit(), "%s: %v", e.app.Config, err)
		return
	}
	if p.identity.account, err = e.accountOf(e.app); err != nil {
		e.wrong(e.Command("install", "--name "+e.name+" --run-as ACCOUNT ..."), "the account that it runs as is not there: %v", err)
		return
	}
	t := p.launchdTrial()
	if !e.hasRondo() {
		t.Rondo = "" // which was found already
	}
	e.tried(e.Try(ctx, t), t.Account)
}

func (e *launchdExamination) hasRondo() bool { return executable(e.app.Rondo) }

// tried tells of what the account may not, or what fits no socket.
func (e *launchdExamination) tried(err error, account Account) {
	wrong, is := errors.AsType[*TrialError](err)
	switch {
	case errors.Is(err, ErrNotTried):
		e.fact("what %s may read was not looked at: only root can", account.Name)
	case is && wrong.Mend != "":
		what := wrong.What
		if wrong.Advice != "" {
			what = wrong.Error()
		}
		e.wrong(e.root(wrong.Mend), "%s", what)
	case is && wrong.At != "":
		e.wrong(e.root("ls -ld "+wrong.At), "%v", wrong)
	case err != nil:
		e.wrong(e.edit(), "%s: %v", e.app.Config, err)
	}
}

// edit is the command that changes NAME.toml, and has a job that runs take it.
func (e *launchdExamination) edit() string {
	path := quoted([]string{e.app.Config})[0]
	editor := "sudo ${EDITOR:-vi} " + path
	if e.user() {
		editor = "${EDITOR:-vi} " + path
	}
	if e.job != nil && e.job.Running() {
		return editor + " && " + e.Command("reload", e.name)
	}
	return editor
}

// rights are those of the property list, which launchd does not read when others could
// have written it.
func (e *launchdExamination) rights() {
	path := e.Paths.job(e.name)
	info, err := os.Stat(path)
	if err != nil {
		e.wrong(e.root("ls -ld "+path), "%v", err)
		return
	}
	uid, err := e.Accounts.Owner(path)
	owner, whose := 0, "root:wheel"
	if e.user() {
		owner, whose = os.Getuid(), "$(id -un)"
	}
	switch {
	case err != nil:
		e.wrong(e.root("ls -ld "+path), "%v", err)
	case uid != owner && uid != 0:
		e.wrong("sudo chown "+whose+" "+path, "%s belongs to %s, and launchd refuses it: Path had bad ownership/permissions", path, ownerName(info))
	case info.Mode().Perm()&0o022 != 0:
		e.wrong(e.root("chmod 644 "+path), "%s is writable for others (mode %04o), and launchd refuses it: Path had bad ownership/permissions", path, info.Mode().Perm())
	}
}

// provided is what install made once for the job.
func (e *launchdExamination) provided() {
	if e.user() { // whose launchd makes the log by itself
		return
	}
	log, dir := e.app.LogFile(), e.app.RuntimeDirectory
	account, err := e.accountOf(e.app)
	if err != nil {
		return // which is told already
	}
	if uid, err := e.Accounts.Owner(log); err != nil || uid != account.UID {
		e.wrong(fmt.Sprintf("sudo touch %s && sudo chown %s %[1]s", log, account.Name), "%s is not there, or not of %s, as whom launchd opens it", log, account.Name)
	}
	if uid, err := e.Accounts.Owner(dir); err != nil || uid != account.UID {
		e.wrong(fmt.Sprintf("sudo install -d -m 755 -o %s %s", account.Name, dir), "%s is not there, or not of %s, who has the control socket there", dir, account.Name)
	}
}

// process is the job, and the master in it.
func (e *launchdExamination) process(ctx context.Context) {
	path := e.Paths.job(e.name)
	switch {
	case e.job == nil:
		e.wrong(e.Bootstrap(e.name), "launchd does not have %s: it neither listens nor runs", label(e.name))
	case !samePath(e.job.Path, path):
		e.wrong(e.Launchctl(e.Domain.Bootingout(label(e.name)))+" && "+e.Bootstrap(e.name), "launchd has %s from %s, and not from %s", label(e.name), e.job.Path, path)
	case e.job.Running():
		e.master(ctx)
	case e.job.LastCode != 0:
		e.wrong(e.Command("logs", e.name), "%s does not run, and ended with %s (starts: %d)", label(e.name), e.job.LastExit, e.job.Runs)
	}
}

// master asks the master itself.
func (e *launchdExamination) master(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answersIn)
	defer cancel()
	var s status
	err := control.At(e.Paths.control(e.name)).Status(ctx, &s)
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.fact("%s was not asked how it is: only root and its own account may", label(e.name))
		return
	case err != nil:
		e.wrong(e.Kickstart(e.name), "%s runs, and its master does not answer: %v", label(e.name), err)
		return
	}
	logs := e.Command("logs", e.name)
	ends, last, serves := s.ends()
	if !serves {
		e.wrong(logs, "%s has no ready worker%s", label(e.name), last)
		return
	}
	for _, slot := range slices.Sorted(maps.Keys(ends)) {
		e.wrong(logs, "%s has no worker in slot %d: its last one %s", label(e.name), slot, ends[slot])
	}
	for _, what := range s.unserved(e.app.Config) {
		e.wrong(e.edit(), "%s", what)
	}
	for _, what := range s.opened() {
		e.fact("%s", what)
	}
	if s.Reload != nil && s.Reload.State == "failed" {
		e.wrong(logs+" && "+e.Command("reload", e.name), "the last reload of %s failed, and its workers are the ones of before: %s", label(e.name), s.Reload.Error)
	}
}

package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	need    int // descriptors in the manager's store; 0: not known
	units   map[string]systemd.Unit
	found   []Finding
	unread  []string // what a daemon-reload mends
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
	e.sockets(ctx)
	e.service(ctx)
	if len(e.unread) > 0 {
		e.wrong(e.systemctl("daemon-reload"), "%s", strings.Join(e.unread, "; "))
	}
	e.surroundings()
	return e.found, nil
}

// files are the units as files.
func (e *examination) files() {
	current := e.app
	current.Systemd = e.version
	would := e.bodies(current, nil)
	renewed := map[string]string{}
	if p, err := e.renewed(e.have, e.version); err == nil {
		renewed = e.bodies(p.app, meaning)
	}
	reopens := e.reopens(would)
	refresh, overwrite := e.rondo("install", "--refresh "+reopens+e.name), e.rondo("install", "--refresh --overwrite "+reopens+e.name)
	if reopens != "" {
		e.fact("to bring its sockets up to date they must be opened anew: connections that wait, or come meanwhile, are refused or reset")
	}
	if !e.hasRondo() {
		e.wrong(refresh, "rondo is not at %s any more, where the service looks for it", e.app.Rondo)
	}
	for _, f := range e.have.unitFiles() {
		base := filepath.Base(f.path)
		h, _ := f.header()
		text, wanted := would[base]
		changed, known := renewed[base]
		switch {
		case h.Edited:
			e.wrong(overwrite, "%s was edited: rondo does not bring it up to date; a drop-in (%s) would be kept", f.path, e.systemctl("edit", base))
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

// reopens is the option without which install does not write the sockets as they
// would be, if one that listens differs from that.
func (e *examination) reopens(would map[string]string) string {
	for _, f := range e.have.sockets {
		base := filepath.Base(f.path)
		text, wanted := would[base]
		if wanted && running(e.units[base]) && !slices.Equal(socketSection(f.text), socketSection(text)) {
			return "--apply-sockets "
		}
	}
	return ""
}

func (e *examination) hasRondo() bool { return executable(e.app.Rondo) }

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
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
		e.wrong(e.edit(), "%v", err)
		return
	}
	e.need = s.StoreSize()
	p := &proposal{app: e.app, settings: s}
	e.named(p.checkNamed())
	err = p.findCommand(Request{Command: s.Command})
	if err == nil {
		p.use()
		err = p.checkScript(servicePath)
	}
	if err != nil {
		e.wrong(e.edit(), "%s: %v", e.app.Config, err)
		return
	}
	t := p.trial()
	if t.Sockets = e.passed(); !e.hasRondo() {
		t.Rondo = "" // which was found already
	}
	if t.Account, err = e.account(); err != nil {
		e.wrong(e.rondo("install", "--refresh "+e.name), "the account that it runs as is not there: %v", err)
		return
	}
	err = e.Try(ctx, t)
	wrong, is := errors.AsType[*TrialError](err)
	switch {
	case errors.Is(err, ErrNotTried):
		e.fact("what %s may read was not looked at: only root can", t.Account.Name)
	case is && wrong.Mend != "":
		what := wrong.What
		if wrong.Advice != "" {
			what = wrong.Error()
		}
		e.wrong(e.root(wrong.Mend), "%s", what)
	case is && wrong.At != "":
		e.wrong(e.root("ls -ld "+wrong.At), "%v", wrong)
	case err != nil:
		e.wrong(e.editSockets(), "%s: %v", e.app.Config, err)
	}
}

// named tells of a file that the service names and has not got. Who may not look
// into its directory does not know.
func (e *examination) named(err error) {
	named, is := errors.AsType[*namedError](err)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case !is || errors.Is(err, fs.ErrPermission) && !e.user():
	case missing && named.flag == "--write":
		e.wrong(e.root("mkdir -p "+named.path), "%v", err)
	case missing:
		e.wrong(e.editorOf(named.path), "%v", err)
	default:
		e.wrong(e.root("ls -ld "+named.path), "%v", err)
	}
}

// account is whom the app runs as.
func (e *examination) account() (Account, error) {
	switch {
	case e.user():
		return e.Accounts.Lookup(strconv.Itoa(os.Getuid()))
	case e.app.User != "":
		return e.Accounts.Lookup(e.app.User)
	}
	return dynamic, nil
}

// edit is the command that changes NAME.toml, and has a service that runs take it.
func (e *examination) edit() string {
	if e.units[e.name+".service"].Active == "active" {
		return e.editor() + " && " + e.rondo("reload", e.name)
	}
	return e.editSockets()
}

// editSockets is edit for what a reload does not take, nor a service that does not get
// ready: on a clean slate. Meanwhile connections wait in the socket.
func (e *examination) editSockets() string {
	if u := e.units[e.name+".service"]; running(u) {
		return e.editor() + " && " + e.systemctl("stop", u.Name) + " && " + e.systemctl("start", u.Name)
	}
	return e.editor()
}

func (e *examination) editor() string { return e.editorOf(e.app.Config) }

func (e *examination) editorOf(path string) string {
	if e.user() {
		return "${EDITOR:-vi} " + path
	}
	return "sudoedit " + path
}

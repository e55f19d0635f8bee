package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rondokit/rondo/units"
)

// launchdPath is the PATH of a job that sets none.
const launchdPath = "/usr/bin:/bin:/usr/sbin:/sbin"

// maxMacPath is how long the path of a socket may be on macOS.
const maxMacPath = 103

// propose resolves req for launchd. The sandbox that it may ask for is none there.
func (l *Launchd) propose(req Request) (*proposal, error) {
	p, err := resolve(req)
	if err != nil {
		return nil, err
	}
	name := p.app.Name
	p.app.Rondo, p.app.Config, p.app.Logs = l.Rondo, l.Paths.toml(name), l.Paths.Logs
	p.forLaunchd()
	p.app.UserManager = l.user()
	if !l.user() {
		p.app.RuntimeDirectory = filepath.Join(l.Paths.Run, name)
	}
	if path := l.Paths.control(name); !req.Foreign && len(path) > maxMacPath {
		return nil, fmt.Errorf("--name: the control socket would be %s, of %d bytes, and macOS has room for %d: choose a shorter name", path, len(path), maxMacPath)
	}
	if p.identity, err = l.identity(req, p.app); err != nil {
		return nil, err
	}
	p.app.User, p.app.Group = p.identity.user, p.identity.group
	if err := l.render(p, req); err != nil { // which refuses what is not there to be looked at
		return nil, err
	}
	if req.Foreign {
		return p, nil
	}
	return p, p.checkScript(launchdPath)
}

// forLaunchd leaves out of the app what launchd is told nothing of, and what therefore is
// no change of its property list.
func (p *proposal) forLaunchd() { p.app.Store, p.app.StartTimeout, p.app.Reads = 0, 0, nil }

// identity decides whom a runs as: whom the request names, else the owner of the working
// directory. An account for nobody, which is left to units to refuse, is root's.
func (l *Launchd) identity(req Request, a units.App) (identity, error) {
	switch {
	case l.user() && req.RunAs != "":
		return identity{}, errors.New("--run-as: a job of a user's runs as that user: leave it out, or leave --user out")
	case l.user():
		account, err := l.Accounts.Lookup(strconv.Itoa(os.Getuid()))
		return identity{account: account, why: "whose job it is"}, err
	case req.RunAs != "":
		return named(l.Accounts, req, "launchd makes none: make one, or name another")
	case req.Foreign:
		return identity{}, nil
	}
	id, _, err := ownerOf(l.Accounts, a.Directory)
	return id, err
}

// render makes the files: settings first, for they are there when the job is.
func (l *Launchd) render(p *proposal, req Request) error {
	text, err := tomlText(p.settings, req.Flags, l.Kickstart(p.settings.Name))
	if err != nil {
		return err
	}
	job, err := l.job(p.app)
	if err != nil {
		return err
	}
	p.files = []*file{{l.Paths.toml(p.app.Name), sealed(l.Version, text), fileMode}, job}
	return nil
}

// job is the property list of a.
func (l *Launchd) job(a units.App) (*file, error) {
	f, err := a.Plist(l.Version)
	if err != nil {
		return nil, asFlags(err)
	}
	return &file{l.Paths.job(a.Name), f.Text, fileMode}, nil
}

// Generate gives the files that req comes to on another machine, as changes of nothing.
// The property list is last.
func (l *Launchd) Generate(req Request) ([]Change, error) {
	req.Foreign = true
	p, err := l.propose(req)
	if err != nil {
		return nil, err
	}
	var list []Change
	for _, f := range p.files {
		list = append(list, Change{Path: f.path, New: f.text})
	}
	return list, nil
}

// launchdTrial is p's Trial with the sockets as launchd names them.
func (p *proposal) launchdTrial() Trial {
	t := p.trial()
	for i := range t.Sockets {
		if t.Sockets[i].Name == p.app.Name+".socket" {
			t.Sockets[i].Name = units.SocketName
		}
	}
	return t
}

// accountOf is whom an app that is there runs as.
func (l *Launchd) accountOf(a units.App) (Account, error) {
	name := a.User
	if l.user() {
		name = strconv.Itoa(os.Getuid())
	}
	account, err := l.Accounts.Lookup(name)
	if err == nil && a.Group != "" {
		account.GID, err = groupID(a.Group)
	}
	return account, err
}

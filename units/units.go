// Package units writes the systemd units of an app: the sockets that the
// manager opens and the service that rondo serves them with.
//
// An [App] says what is wanted, and Files renders it for one version of
// systemd. The text is meant to be read: it tells what reload, restart and stop
// do, and for each directive of the sandbox that is left off, why. Its first
// line carries the version of rondo and a hash of the rest, so that a unit that
// a person edited is told from one of an older rondo; its last section holds the
// App, so that a later rondo can write the unit anew without asking again.
//
// Plist renders the same App as a property list for launchd, which has both, the line
// and the App, as comments.
//
// # Ownership
//
// Everything is a value; nothing here opens a file or looks at the machine. Who
// makes an App has resolved its paths, and knows which systemd will read them.
//
// # Errors
//
// Files refuses what systemd would misread or the app could not run with. An
// error names the field and says what would be right. Nothing in the program
// acts on which one it was.
package units

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/rondokit/rondo/internal/settings"
)

// App is one service and its sockets. Paths are absolute and clean; no value may
// have a control character.
type App struct {
	Name string `json:",omitzero"` // of the units, NAME.service and NAME.socket

	// Program, Args and Directory are what the workers run, and where. NAME.toml
	// has them too, and is what counts: here they decide what the sandbox shows.
	Program   string   `json:",omitzero"`
	Args      []string `json:",omitzero"`
	Directory string   `json:",omitzero"`

	// Config is the path of NAME.toml, Rondo that of the program rondo; empty
	// means /usr/bin/rondo.
	Config string `json:",omitzero"`
	Rondo  string `json:",omitzero"`

	// Reads are further paths that must stay visible to the workers: where
	// symbolic links among those above lead to. Only those in a home or in a
	// directory for temporary files make a difference.
	Reads []string `json:",omitzero"`

	// Writes are the paths that workers may change, beside /tmp and /var/tmp,
	// which are their own. They must exist when the service starts.
	Writes []string `json:",omitzero"`

	Listeners []Listener `json:",omitzero"`

	// User is the account of master and workers, Group its group when not the
	// account's own. Empty means a dynamic user, which needs systemd 257 and a
	// sandbox; in a user's manager both must be empty. A dynamic user that is
	// replaced by an account leaves a link at /run/rondo/NAME, without whose
	// removal the service does not start (seen on 257).
	User  string `json:",omitzero"`
	Group string `json:",omitzero"`

	Environment      []string          `json:",omitzero"` // NAME=VALUE
	EnvironmentFiles []string          `json:",omitzero"` // paths; with "-" before one, it may be missing
	Credentials      map[string]string `json:",omitzero"` // file in $CREDENTIALS_DIRECTORY -> path it is read from

	// Limits; 0 means the manager's default.
	LimitNOFILE uint64 `json:",omitzero"`
	MemoryMax   uint64 `json:",omitzero"` // bytes
	TasksMax    uint64 `json:",omitzero"`
	CPUQuota    uint64 `json:",omitzero"` // percent of one processor

	// As in the settings; 0 means their default.
	StartTimeout time.Duration `json:",omitzero"`
	DrainTimeout time.Duration `json:",omitzero"`
	KillTimeout  time.Duration `json:",omitzero"`

	// Store is how many descriptors the manager keeps for the next master
	// (settings.Settings.StoreSize); 0 means enough for the default settings on a
	// machine of 16 processors.
	Store int `json:",omitzero"`

	Unconfined  bool `json:",omitzero"` // no sandbox
	NoNetwork   bool `json:",omitzero"` // no network but the sockets that were passed
	UserManager bool `json:",omitzero"` // for systemctl --user
	Systemd     int  `json:",omitzero"` // version of the manager; 0 means 252, the oldest

	// Of launchd alone: the directory of the file that the job writes to, and the one
	// that it is told of as its own, for the control socket. Empty means that it is
	// told of none, and finds one by TMPDIR.
	Logs             string `json:",omitzero"`
	RuntimeDirectory string `json:",omitzero"`
}

// Listener is a socket that the manager opens.
type Listener struct {
	settings.Listen // an fd:NAME only maps, and NAME must be another listener's

	// Of a unix socket with a path. Mode 0 means 0666: who reaches the path may
	// connect, as with a port. Without User and Group it is root's, or of the
	// user whose manager it is.
	Mode  fs.FileMode `json:",omitzero"`
	User  string      `json:",omitzero"`
	Group string      `json:",omitzero"`

	Backlog  int  `json:",omitzero"` // connections waiting in the kernel; 0 means 4096
	IPv6Only bool `json:",omitzero"` // of [::]: leave IPv4 to another listener
}

// File is one unit.
type File struct {
	Name string // like app.socket
	Text string
}

const (
	oldest       = 252 // Debian 12
	defaultRondo = "/usr/bin/rondo"
)

// Files renders the units of a, written by this version of rondo: the sockets,
// then the service. The first one is what to enable and to start; it brings the
// others with it. An app without listeners has the service alone.
//
// A socket unit has one name for its listeners, and one set of options. So
// listeners with the first one's name and fitting options are in NAME.socket,
// in their order, and each other name gets a NAME-LISTENER.socket. An app called
// NAME-LISTENER has a socket unit of the same name: who installs both sees that
// by the service that the unit is for.
func (a App) Files(version string) ([]File, error) {
	a.setDefaults()
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("units: %w", err)
	}
	if err := checkVersion(version); err != nil {
		return nil, fmt.Errorf("units: %w", err)
	}
	var files []File
	groups := a.sockets()
	for i := range groups {
		files = append(files, File{groups[i].unit, sealed(version, a.socketText(groups, i))})
	}
	service, err := a.serviceText(groups)
	if err != nil {
		return nil, fmt.Errorf("units: %w", err)
	}
	return append(files, File{a.service(), sealed(version, service)}), nil
}

func (a *App) setDefaults() {
	setDefault(&a.Rondo, defaultRondo)
	setDefault(&a.StartTimeout, settings.DefaultStartTimeout)
	setDefault(&a.Store, settings.Settings{Workers: 16, Surge: settings.DefaultSurge, MaxDraining: 16}.StoreSize())
	setDefault(&a.DrainTimeout, settings.DefaultDrainTimeout)
	setDefault(&a.KillTimeout, settings.DefaultKillTimeout)
	setDefault(&a.Systemd, oldest)
}

func setDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

func (a App) service() string { return a.Name + ".service" }

// systemctl is how a person talks to the manager.
func (a App) systemctl() string {
	if a.UserManager {
		return "systemctl --user"
	}
	return "systemctl"
}

package units

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"howett.net/plist"

	"github.com/rondokit/rondo/internal/settings"
)

// SocketName is what launchd has the sockets under that have no name of their own, as
// in Apple's examples.
const SocketName = "Listeners"

// Label names the job of an app at launchd.
func (a App) Label() string { return "rondo." + a.Name }

// job is a property list of launchd, as far as rondo writes it (launchd.plist(5)).
type job struct {
	Label                string
	ProgramArguments     []string
	WorkingDirectory     string                 `plist:",omitempty"`
	UserName             string                 `plist:",omitempty"`
	GroupName            string                 `plist:",omitempty"`
	EnvironmentVariables map[string]string      `plist:",omitempty"`
	Sockets              map[string][]jobSocket `plist:",omitempty"`
	RunAtLoad            bool                   `plist:",omitempty"`
	KeepAlive            map[string]bool
	ThrottleInterval     int
	ExitTimeOut          int
	ProcessType          string
	SoftResourceLimits   map[string]uint64 `plist:",omitempty"`
	HardResourceLimits   map[string]uint64 `plist:",omitempty"`
	StandardOutPath      string
	StandardErrorPath    string
}

// jobSocket is one of Sockets.
type jobSocket struct {
	SockType        string
	SockFamily      string `plist:",omitempty"`
	SockNodeName    string `plist:",omitempty"`
	SockServiceName string `plist:",omitempty"`
	SockPathName    string `plist:",omitempty"`
	SockPathMode    uint32 `plist:",omitempty"` // a number like any other: 0666 is 438
}

// Plist renders the property list of a as a job of launchd, LABEL.plist, written by this
// version of rondo; Logs must be set. It refuses what launchd has no word for: the sandbox
// aside, which it has none of, whether it was asked for or not.
//
// Nobody has had launchd read it yet: other readers of property lists have.
func (a App) Plist(version string) (File, error) {
	record := a
	a.setDefaults()
	a.Systemd = disconnected                 // the oldest to which nothing of a is news
	if err := a.checkLaunchd(); err != nil { // first: what systemd has instead is no help here
		return File{}, fmt.Errorf("units: %w", err)
	}
	if err := a.check(); err != nil {
		return File{}, fmt.Errorf("units: %w", err)
	}
	if err := checkVersion(version); err != nil {
		return File{}, fmt.Errorf("units: %w", err)
	}
	text, err := plist.MarshalIndent(a.job(), plist.XMLFormat, "\t")
	if err != nil {
		return File{}, fmt.Errorf("units: %w", err)
	}
	comment, err := recordComment(record)
	if err != nil {
		return File{}, fmt.Errorf("units: %w", err)
	}
	return File{a.Label() + ".plist", withComments(string(text), version, comment)}, nil
}

// checkLaunchd refuses what launchd cannot do.
func (a App) checkLaunchd() error {
	none := "launchd has nothing like it: leave it out"
	switch {
	case a.User == "" && !a.UserManager:
		return wrong("User", "launchd makes no account, and without one the app is root's: name one")
	case len(a.EnvironmentFiles) > 0:
		return wrong("EnvironmentFiles", "launchd reads none: give the variables themselves")
	case len(a.Credentials) > 0:
		return wrong("Credentials", "%s", none)
	case a.MemoryMax > 0:
		return wrong("MemoryMax", "%s", none)
	case a.TasksMax > 0:
		return wrong("TasksMax", "%s", none)
	case a.CPUQuota > 0:
		return wrong("CPUQuota", "%s", none)
	case a.NoNetwork:
		return wrong("NoNetwork", "%s", none)
	case slices.ContainsFunc(a.Environment, func(v string) bool { return strings.HasPrefix(v, runtimeVariable+"=") }):
		return wrong("Environment", "%s is where rondo finds the control socket: leave it out", runtimeVariable)
	}
	if err := checkPath(a.Logs); err != nil {
		return wrong("Logs", "%w", err)
	}
	if a.RuntimeDirectory != "" {
		if err := checkPath(a.RuntimeDirectory); err != nil {
			return wrong("RuntimeDirectory", "%w", err)
		}
	}
	for _, l := range a.Listeners {
		if err := l.checkLaunchd(); err != nil {
			return wrong("Listeners", "%s: %w", l, err)
		}
	}
	return nil
}

// runtimeVariable tells a master where its control socket is to be.
const runtimeVariable = "RUNTIME_DIRECTORY"

// maxMacPath is sizeof sun_path on macOS, with the NUL.
const maxMacPath = 104

func (l Listener) checkLaunchd() error {
	switch {
	case strings.HasPrefix(l.Path, "@"):
		return errors.New("macOS has no abstract sockets: give it a path")
	case len(l.Path) >= maxMacPath:
		return fmt.Errorf("a path of %d bytes: macOS has room for %d", len(l.Path), maxMacPath-1)
	case l.User != "":
		return wrong("User", "launchd gives the socket to the account of the job: leave it out")
	case l.Group != "":
		return wrong("Group", "launchd gives the socket to the account of the job: leave it out")
	case l.Backlog != 0:
		return wrong("Backlog", "launchd chooses it: leave it out")
	}
	return nil
}

// LogFile is where launchd writes what the job says.
func (a App) LogFile() string { return filepath.Join(a.Logs, "rondo-"+a.Name+".log") }

func (a App) job() job {
	log := a.LogFile()
	j := job{
		Label:            a.Label(),
		ProgramArguments: []string{a.Rondo, "run", "--config", a.Config},
		WorkingDirectory: a.Directory,
		UserName:         a.User, GroupName: a.Group,
		EnvironmentVariables: a.variables(),
		Sockets:              a.jobSockets(),
		// One that was told to stop ends with 0, and the next connection starts it.
		KeepAlive: map[string]bool{"Crashed": true},
		// launchd waits for ten seconds between two starts by itself.
		ThrottleInterval: 1,
		ExitTimeOut:      int((a.DrainTimeout + a.KillTimeout + stopGrace + time.Second - 1) / time.Second),
		// The processor and the disk of other types are throttled.
		ProcessType:     "Interactive",
		StandardOutPath: log, StandardErrorPath: log,
	}
	if len(j.Sockets) == 0 {
		j.RunAtLoad, j.KeepAlive = true, map[string]bool{"SuccessfulExit": false}
	}
	if a.LimitNOFILE > 0 {
		j.SoftResourceLimits = map[string]uint64{"NumberOfFiles": a.LimitNOFILE}
		j.HardResourceLimits = j.SoftResourceLimits
	}
	return j
}

// variables are those of the environment.
func (a App) variables() map[string]string {
	all := make(map[string]string)
	for _, v := range a.Environment {
		name, value, _ := strings.Cut(v, "=")
		all[name] = value
	}
	if a.RuntimeDirectory != "" {
		all[runtimeVariable] = a.RuntimeDirectory
	}
	return all
}

// jobSockets are the listeners, by name: an array even where it is of one.
func (a App) jobSockets() map[string][]jobSocket {
	all := make(map[string][]jobSocket)
	for _, l := range a.Listeners {
		if l.Kind == settings.KindFD {
			continue
		}
		name := l.Name
		setDefault(&name, SocketName)
		all[name] = append(all[name], l.jobSocket())
	}
	return all
}

func (l Listener) jobSocket() jobSocket {
	if l.Kind == settings.KindUnix {
		mode := uint32(l.Mode)
		setDefault(&mode, 0o666)
		return jobSocket{SockType: "stream", SockFamily: "Unix", SockPathName: l.Path, SockPathMode: mode}
	}
	s := jobSocket{SockType: "stream", SockServiceName: strconv.Itoa(int(l.Port))}
	if l.Kind == settings.KindUDP {
		s.SockType = "dgram"
	}
	switch four, six := l.families(); {
	case four && six:
		s.SockFamily = "IPv4v6"
	case six:
		s.SockFamily = "IPv6"
	default:
		s.SockFamily = "IPv4"
	}
	if l.IP.IsValid() && l.IP != netip.IPv6Unspecified() {
		s.SockNodeName = l.IP.Unmap().String()
	}
	return s
}

// withComments puts the first line of a unit into a property list, as a comment, and
// record after it: the sum is of what follows the first.
func withComments(text, version, record string) string {
	head, rest, _ := strings.Cut(text, "<plist ")
	rest = record + "<plist " + rest
	if !strings.HasSuffix(rest, "\n") {
		rest += "\n"
	}
	return fmt.Sprintf("%s<!-- rondo %s sha256=%s -->\n%s", head, version, sum(rest), rest)
}

package units

import (
	"slices"
	"strings"

	"github.com/rondokit/rondo/internal/settings"
)

// LeftOff is a directive that would confine an app further, and is not set.
type LeftOff struct {
	Name, Value string
	Reason      string // what fails with it
}

// directive is a line of the sandbox.
type directive struct{ name, value string }

// LeftOff lists what a's sandbox is without, and why: the unit says the same in
// a comment. Each is written as a drop-in would have it; then what the reason
// says happens. For an unconfined App there is none: all is off, by wish.
func (a App) LeftOff() []LeftOff {
	if a.Unconfined {
		return nil
	}
	a.setDefaults()
	list := []LeftOff{
		{"MemoryDenyWriteExecute", "yes", "Node and other programs with a JIT compiler write code and run it. A Go program can have it on."},
		{"SystemCallFilter", "~@resources", "SCHED_BATCH is among them, which keeps the master from taking the processor from the workers."},
		{"RestrictAddressFamilies", "~AF_UNIX", "the manager, the journal and rondo reload are reached by unix sockets."},
		{"RestrictAddressFamilies", "~AF_NETLINK", "the addresses of the machine are asked for by netlink, as in Node's os.networkInterfaces()."},
		{"UMask", "0077", "others may be meant to read what the app writes, as a web server its uploads."},
		{"RootDirectory", "/var/empty", "the program and its libraries are the machine's."},
	}
	list = append(list, a.leftForNetwork()...)
	if a.UserManager {
		return append(list, a.leftForUser()...)
	}
	list = append(list, LeftOff{"ProcSubset", "pid", "Node's os.cpus() reads /proc/stat, and finds no processor without it."})
	if a.User != "" {
		list = append(list, LeftOff{"RemoveIPC", "yes", "at each stop it removes the shared memory of the account, also where another service uses it."})
		if a.Systemd < disconnected {
			list = append(list, LeftOff{"DynamicUser", "yes", "before systemd 257 its /tmp cannot outlive the master."})
		}
	}
	return append(list, a.leftForPaths()...)
}

// leftForNetwork are the directives that would keep an app from its network.
func (a App) leftForNetwork() []LeftOff {
	const others = "programs connect to others."
	inet := "~" + strings.Join(a.internet(), " ")
	switch {
	case a.UserManager: // for the rest see leftForUser
		return []LeftOff{{"RestrictAddressFamilies", inet, others}}
	case !a.NoNetwork:
		return []LeftOff{
			{"RestrictAddressFamilies", inet, others},
			{"PrivateNetwork", "yes", "programs connect to others. With --network=none rondo install sets it: passed sockets still serve."},
			{"IPAddressDeny", "any", others},
		}
	case len(a.internet()) > 0:
		const itself = "a program may ask itself over lo, which is its own."
		return []LeftOff{{"RestrictAddressFamilies", inet, itself}, {"IPAddressDeny", "any", itself}}
	}
	return nil
}

// leftForPaths are the directives that would hide the app's own files.
func (a App) leftForPaths() []LeftOff {
	var list []LeftOff
	if a.inHome() {
		list = append(list, LeftOff{"ProtectHome", "yes", "the app has files in a home. It can read those, and what else in homes its account may."})
	}
	switch {
	case a.inTemporary():
		list = append(list, LeftOff{"PrivateTmp", "yes", "the app has files in a directory for temporary files."})
	case a.Systemd < disconnected:
		list = append(list, LeftOff{"PrivateTmp", "yes", "what is in it cannot outlive the master. TemporaryFileSystem= is in its place."})
	}
	return list
}

// temporaries are where every program may write.
var temporaries = []string{"/tmp", "/var/tmp"}

// inHome says whether ProtectHome=yes would hide files of a.
func (a App) inHome() bool { return a.under([]string{"/home", "/root", "/run/user"}) }

// inTemporary says whether a /tmp of its own would.
func (a App) inTemporary() bool { return a.under(temporaries) }

// under says whether a path of a is in one of the directories.
func (a App) under(directories []string) bool {
	paths := slices.Concat([]string{a.Program, a.Directory, a.Config, a.Rondo}, a.Args, a.Reads, a.Writes)
	return slices.ContainsFunc(paths, func(path string) bool {
		return slices.ContainsFunc(directories, func(directory string) bool {
			return path == directory || strings.HasPrefix(path, directory+"/")
		})
	})
}

// internet are the address families of the app's own internet sockets: those it
// is reached by and, unless there is no network, those it reaches others by.
func (a App) internet() []string {
	four, six := !a.NoNetwork, !a.NoNetwork
	for _, l := range a.Listeners {
		if l.Kind == settings.KindFD {
			continue
		}
		lFour, lSix := l.families()
		four, six = four || lFour, six || lSix
	}
	var families []string
	if four {
		families = append(families, "AF_INET")
	}
	if six {
		families = append(families, "AF_INET6")
	}
	return families
}

// sandbox are the directives that confine a.
func (a App) sandbox() []directive {
	if a.Unconfined && a.NoNetwork {
		return []directive{{"PrivateNetwork", "yes"}}
	}
	if a.Unconfined {
		return nil
	}
	if a.UserManager {
		return a.filters()
	}
	return append(a.namespaces(), a.filters()...)
}

// filters need no privileges of the manager.
func (a App) filters() []directive {
	families := append([]string{"AF_UNIX", "AF_NETLINK"}, a.internet()...)
	return []directive{
		{"NoNewPrivileges", "yes"},
		{"LockPersonality", "yes"},
		{"RestrictNamespaces", "yes"},
		{"RestrictRealtime", "yes"},
		{"RestrictSUIDSGID", "yes"},
		{"RestrictAddressFamilies", strings.Join(families, " ")},
		{"SystemCallArchitectures", "native"},
		{"SystemCallFilter", "@system-service"},
		{"SystemCallFilter", "~@privileged"},
		{"SystemCallErrorNumber", "EPERM"}, // a program that tries a call goes on, and is not killed
	}
}

// namespaces need a manager that is root.
func (a App) namespaces() []directive {
	list := []directive{
		{"CapabilityBoundingSet", ""},
		{"PrivateDevices", "yes"},
		{"PrivateMounts", "yes"},
		{"PrivateUsers", "yes"},
		{"ProtectClock", "yes"},
		{"ProtectControlGroups", "yes"},
		{"ProtectHostname", "yes"},
		{"ProtectKernelLogs", "yes"},
		{"ProtectKernelModules", "yes"},
		{"ProtectKernelTunables", "yes"},
		{"ProtectProc", "invisible"},
		{"ProtectSystem", "strict"},
	}
	home := directive{"ProtectHome", "yes"}
	if a.inHome() {
		home.value = "read-only"
	}
	list = append(list, home)
	if a.NoNetwork {
		list = append(list, directive{"PrivateNetwork", "yes"})
		if len(a.internet()) == 0 {
			list = append(list, directive{"IPAddressDeny", "any"})
		}
	}
	switch {
	case a.User != "":
		list = append(list, directive{"RemoveIPC", "no"})
	case !a.UserManager: // of a dynamic user the manager removes all that it can see, at each end of a master
		list = append(list, directive{"PrivateIPC", "yes"}, directive{"TemporaryFileSystem", "/dev/shm:mode=1777,size=50%"})
	}
	return append(list, a.temporary()...)
}

// temporary are the app's own /tmp and /var/tmp, of a kind that stays with the
// processes that have it when the manager thinks the service has ended.
func (a App) temporary() []directive {
	var list []directive
	writes := slices.Clone(a.Writes)
	switch {
	case a.inTemporary():
		list = append(list, directive{"PrivateTmp", "no"})
		writes = append(writes, temporaries...)
	case a.Systemd >= disconnected:
		list = append(list, directive{"PrivateTmp", "disconnected"})
	default:
		list = append(list, directive{"PrivateTmp", "no"}, directive{"TemporaryFileSystem", "/tmp:mode=1777 /var/tmp:mode=1777"})
	}
	if len(writes) > 0 {
		list = append(list, directive{"ReadWritePaths", words(writes)})
	}
	return list
}

// leftForUser is what a user's manager cannot set, or should not.
func (a App) leftForUser() []LeftOff {
	list := []LeftOff{{"KeyringMode", "private", "the keys of the user, as for an encrypted home, are in the keyring that a service shares with its manager."}}
	more := []directive{{"PrivateNetwork", "yes"}, {"IPAddressDeny", "any"}, {"ProcSubset", "pid"}}
	for _, d := range append(a.namespaces(), more...) {
		switch {
		case d.name == "ReadWritePaths":
			continue
		case d.value == "no":
			d.value = "yes"
		}
		list = append(list, LeftOff{d.name, d.value,
			"a user's manager passes over it, fails with it, or makes a user namespace for it, in which root is nobody and may not ask for the status."})
	}
	return list
}

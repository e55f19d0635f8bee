package units

import (
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
)

func TestFilesRefuses(t *testing.T) {
	unixAt := func(path string) func(*App) {
		return func(a *App) {
			a.Listeners = []Listener{{Listen: settings.Listen{Kind: settings.KindUnix, Path: path}}}
		}
	}
	listen := func(texts ...string) func(*App) { return func(a *App) { a.Listeners = listeners(t, texts...) } }
	for _, test := range []struct {
		name   string
		change func(*App)
		want   string // in the error
	}{
		{"no name", func(a *App) { a.Name = "" }, "Name: the name is empty"},
		{"a name that is a path", func(a *App) { a.Name = "../app" }, "Name: "},
		{"an old systemd", func(a *App) { a.Systemd = 251 }, "Systemd: 251 is older than 252"},
		{"a relative program", func(a *App) { a.Program = "node" }, `Program: "node" is not an absolute path`},
		{"no directory", func(a *App) { a.Directory = "" }, "Directory: it is empty"},
		{"an unclean path", func(a *App) { a.Config = "/etc/../app.toml" }, `right would be "/app.toml"`},
		{"a line in a path", func(a *App) { a.Directory = "/srv\nUser=root" }, "has a control character"},
		{"a path that ends in a backslash", func(a *App) { a.Directory = `/srv\` }, "ends with a backslash"},
		{"a path that ends in a space", func(a *App) { a.Directory = "/srv " }, "systemd strips"},
		{"a $ in rondo's path", func(a *App) { a.Rondo = "/opt/$x/rondo" }, "Rondo: "},
		{"an argument that is no text", func(a *App) { a.Args = []string{"\xff"} }, "Args: "},
		{"a relative path to write", func(a *App) { a.Writes = []string{"data"} }, "Writes: "},
		{"a relative path to read", func(a *App) { a.Reads = []string{"data"} }, "Reads: "},

		{"no account", func(a *App) { a.User = "" }, "before systemd 257: name an account"},
		{"no account, unconfined", func(a *App) { a.User, a.Systemd, a.Unconfined = "", 257, true }, "always confined"},
		{"no account, in /tmp", func(a *App) { a.User, a.Systemd, a.Directory = "", 257, "/tmp/app" }, "of its own, without the app's files"},
		{"a group alone", func(a *App) { a.User, a.Group, a.Systemd = "", "web", 257 }, "Group: a group without a User"},
		{"an account with a space", func(a *App) { a.User = "a b" }, `User: "a b" is not the name`},
		{"a group with a specifier", func(a *App) { a.Group = "%i" }, `Group: "%i" is not the name`},
		{"a long account", func(a *App) { a.User = strings.Repeat("a", 32) }, "longer than 31"},
		{"an account for a user's manager", func(a *App) { a.UserManager = true }, "User: a user's manager"},
		{"no network in a user's manager", func(a *App) { a.User, a.UserManager, a.NoNetwork = "", true, true }, "NoNetwork: a user's manager"},

		{"a variable without a value", func(a *App) { a.Environment = []string{"A"} }, `Environment: "A" is not NAME=VALUE`},
		{"a variable's odd name", func(a *App) { a.Environment = []string{"1A=b"} }, "Environment: "},
		{"a variable set twice", func(a *App) { a.Environment = []string{"A=1", "A=2"} }, "Environment: A is set twice"},
		{"two lines in a variable", func(a *App) { a.Environment = []string{"A=1\n2"} }, "control character"},
		{"a relative file of variables", func(a *App) { a.EnvironmentFiles = []string{"-env"} }, "EnvironmentFiles: "},
		{"a pattern of such files", func(a *App) { a.EnvironmentFiles = []string{"/etc/*.env"} }, "a pattern"},
		{"a credential that is a path", func(a *App) { a.Credentials = map[string]string{"a/b": "/x"} }, "Credentials: "},
		{"a credential's relative path", func(a *App) { a.Credentials = map[string]string{"a": "x"} }, "Credentials: a: "},
		{"a credential's path with a space", func(a *App) { a.Credentials = map[string]string{"a": "/x y"} }, "systemd cannot pass on"},
		{"a time below zero", func(a *App) { a.KillTimeout = -time.Second }, "KillTimeout: "},

		{"a kind of listener that is none", func(a *App) { a.Listeners = make([]Listener, 1) }, `a kind ""`},
		{"no port", func(a *App) { a.Listeners[0].Port = 0 }, "no port"},
		{"a listener's name with a colon", func(a *App) { a.Listeners[0].Name = "a:b" }, "not a listener's name"},
		{"a listener's name of digits", func(a *App) { a.Listeners[0].Name = "2" }, "not a listener's name"},
		{"a mapping of nobody's socket", listen("fd:http=3000"), "no listener is named http"},
		{"a mode of a port", func(a *App) { a.Listeners[0].Mode = 0o600 }, "only a unix socket with a path"},
		{"an owner of an abstract socket", func(a *App) { unixAt("@app")(a); a.Listeners[0].User = "app" }, "only a unix socket with a path"},
		{"a mode beyond permissions", func(a *App) { unixAt("/run/a")(a); a.Listeners[0].Mode = 0o4755 }, "more than permissions"},
		{"a socket's odd group", func(a *App) { unixAt("/run/a")(a); a.Listeners[0].Group = "a b" }, "not the name of an account"},
		{"a socket to give away", func(a *App) {
			unixAt("/run/a")(a)
			a.User, a.UserManager, a.Listeners[0].User = "", true, "www-data"
		}, "cannot give a socket away"},
		{"a socket's relative path", unixAt("run/app.sock"), "not an absolute path"},
		{"a socket's path that systemd forgets", unixAt("/run/caf\u00e9.sock"), "daemon-reload"},
		{"a socket's path with a quote", unixAt("/run/it's"), "daemon-reload"},
		{"a socket's path with a line", unixAt("/run/a\nb"), "daemon-reload"},
		{"a socket's path that ends in a space", unixAt("/run/a "), "strips"},
		{"an address of an interface", listen("[fe80::1%eth0]:80"), "Listeners: [fe80::1%eth0]:80: a link-local address is of one interface"},
		{"a link-local address without one", listen("[fe80::1]:80"), "a link-local address is of one interface"},
		{"IPv6 only of IPv4", func(a *App) { a.Listeners = listeners(t, "0.0.0.0:80"); a.Listeners[0].IPv6Only = true }, "only [::] can"},
		{"a backlog below zero", func(a *App) { a.Listeners[0].Backlog = -1 }, "Backlog: "},
		{"a path twice", listen("unix:/run/a", "b@unix:/run/a"), "on the same address"},
		{"a port twice", listen("80", "a@80"), "80 and a@80 are on the same address"},
		{"an address of a port", listen("127.0.0.1:80", "80"), "on the same address"},
		{"IPv4 beside both", listen("0.0.0.0:80", "[::]:80"), "on the same address"},
		{"an address in two forms", listen("127.0.0.1:80", "[::ffff:127.0.0.1]:80"), "on the same address"},
		{"no network and no listeners", func(a *App) { a.Listeners, a.NoNetwork = nil, true }, "NoNetwork: without listeners"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := simple(t, oldest)
			test.change(&a)
			list, err := a.Files(testVersion)
			if err == nil || !strings.HasPrefix(err.Error(), "units: ") || !strings.Contains(err.Error(), test.want) || list != nil {
				t.Errorf("Files = %d files, %v, want an error with %q", len(list), err, test.want)
			}
		})
	}
}

func TestFilesTakesWhatOnlyLooksWrong(t *testing.T) {
	for name, change := range map[string]func(*App){
		"one port of two addresses":        func(a *App) { a.Listeners = listeners(t, "127.0.0.1:80", "127.0.0.2:80", "[::1]:80") },
		"a link-local address of IPv4":     func(a *App) { a.Listeners = listeners(t, "169.254.0.1:80") },
		"one port of two protocols":        func(a *App) { a.Listeners = listeners(t, "53", "udp:53") },
		"a mapping of a socket by name":    func(a *App) { a.Listeners = listeners(t, "http@80", "fd:http=3000") },
		"a script in several lines":        func(a *App) { a.Args = []string{"-e", "a()\nb()"} },
		"a numeric account":                func(a *App) { a.User = "1000" },
		"root":                             func(a *App) { a.User = "root" },
		"unconfined and without a network": func(a *App) { a.Unconfined, a.NoNetwork = true, true },
	} {
		a := simple(t, oldest)
		change(&a)
		if _, err := a.Files(testVersion); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package units

import (
	"slices"
	"strings"
	"testing"
)

func TestWhatIsLeftOffIsInACommentAlone(t *testing.T) {
	for name, change := range cases(t) {
		for _, systemd := range classes {
			a := simple(t, systemd)
			change(&a)
			left := a.LeftOff()
			if (len(left) == 0) != a.Unconfined {
				t.Errorf("%s for %d: LeftOff has %d directives", name, systemd, len(left))
			}
			list := files(t, systemd, change)
			comments, lines := "", strings.Split(list[len(list)-1].Text, "\n")
			for _, line := range lines {
				if words, ok := strings.CutPrefix(line, "# "); ok {
					comments += " " + strings.TrimSpace(words)
				}
			}
			for _, l := range left {
				said := l.Name + "=" + l.Value
				if !strings.Contains(comments, said) || !strings.Contains(comments, ": "+l.Reason) || slices.Contains(lines, said) {
					t.Errorf("%s for %d: %s is not in a comment with its reason, or is set", name, systemd, said)
				}
			}
		}
	}
}

func TestTheSandboxShowsWhatTheAppNeeds(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*App)
		key    string
		want   string
	}{
		"nothing in a home":        {func(*App) {}, "ProtectHome", "yes"},
		"a program in a home":      {func(a *App) { a.Program = "/home/alice/bin/node" }, "ProtectHome", "read-only"},
		"a script in a home":       {func(a *App) { a.Args = []string{"/root/server.js"} }, "ProtectHome", "read-only"},
		"a link into a home":       {func(a *App) { a.Reads = []string{"/run/user/1000/x"} }, "ProtectHome", "read-only"},
		"a path like a home":       {func(a *App) { a.Directory = "/homes/app" }, "ProtectHome", "yes"},
		"rondo in /tmp":            {func(a *App) { a.Rondo = "/tmp/rondo" }, "ReadWritePaths", "/tmp /var/tmp"},
		"nothing in /tmp":          {func(*App) {}, "TemporaryFileSystem", "/tmp:mode=1777 /var/tmp:mode=1777"},
		"nothing in /tmp, 257":     {func(a *App) { a.Systemd = 257 }, "PrivateTmp", "disconnected"},
		"a directory in /tmp, 257": {func(a *App) { a.Systemd, a.Directory = 257, "/tmp/app" }, "PrivateTmp", "no"},
		"paths to write":           {func(a *App) { a.Writes = []string{"/srv/a b", "/srv/c"} }, "ReadWritePaths", `"/srv/a b" /srv/c`},
		"a port":                   {func(*App) {}, "RestrictAddressFamilies", "AF_UNIX AF_NETLINK AF_INET AF_INET6"},
		"a path, no network": {func(a *App) { a.Listeners, a.NoNetwork = listeners(t, "unix:/run/a"), true },
			"RestrictAddressFamilies", "AF_UNIX AF_NETLINK"},
		"IPv4, no network": {func(a *App) { a.Listeners, a.NoNetwork = listeners(t, "127.0.0.1:80"), true },
			"RestrictAddressFamilies", "AF_UNIX AF_NETLINK AF_INET"},
		"a path, no network, so no address":  {func(a *App) { a.Listeners, a.NoNetwork = listeners(t, "unix:/run/a"), true }, "IPAddressDeny", "any"},
		"a port, no network, so those of lo": {func(a *App) { a.NoNetwork = true }, "IPAddressDeny", ""},
		"no network":                         {func(a *App) { a.NoNetwork = true }, "PrivateNetwork", "yes"},
		"no network, unconfined":             {func(a *App) { a.NoNetwork, a.Unconfined = true, true }, "PrivateNetwork", "yes"},
		"memory of a dynamic user":           {func(a *App) { a.User, a.Systemd = "", 257 }, "TemporaryFileSystem", "/dev/shm:mode=1777,size=50%"},
		"memory of a static user":            {func(a *App) { a.Systemd = 257 }, "RemoveIPC", "no"},
		"a dynamic user":                     {func(a *App) { a.User, a.Systemd = "", 257 }, "DynamicUser", "yes"},
		"unconfined":                         {func(a *App) { a.Unconfined = true }, "NoNewPrivileges", ""},
	} {
		a := simple(t, oldest)
		test.change(&a)
		list, err := a.Files(testVersion)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := parse(t, list[len(list)-1].Text)["Service."+test.key]; got != test.want {
			t.Errorf("with %s %s=%s, want %s", name, test.key, got, test.want)
		}
	}
}

package units

import (
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/settings"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

const testVersion = "1.2.3"

// classes are the versions of systemd whose units differ.
var classes = []int{oldest, tellsStore, pollLimits, disconnected}

// listeners are each a LISTEN.
func listeners(t testing.TB, texts ...string) []Listener {
	t.Helper()
	var list []Listener
	for _, text := range texts {
		l, err := settings.ParseListen(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, Listener{Listen: l})
	}
	return list
}

// simple is a Node server on one port, as the default account has it.
func simple(t testing.TB, systemd int) App {
	a := App{
		Name: "app", Program: "/usr/bin/node", Args: []string{"server.js"}, Directory: "/srv/app",
		Config: "/etc/rondo/app.toml", Listeners: listeners(t, "http@80=3000"), Systemd: systemd,
	}
	if systemd < disconnected {
		a.User = "app"
	}
	return a
}

// cases change a simple App into what a golden directory is named after.
func cases(t testing.TB) map[string]func(*App) {
	return map[string]func(*App){
		"tcp": func(*App) {},
		"several": func(a *App) {
			a.Listeners = listeners(t, "http@80=3000", "https@443", "admin@127.0.0.1:9000", "http@8080=3000")
		},
		"unix": func(a *App) {
			a.Listeners = listeners(t, "unix:/run/app/app.sock=3000", "80=3000")
			a.Listeners[0].Mode, a.Listeners[0].User, a.Listeners[0].Group = 0o660, "app", "www-data"
		},
		"datagram": func(a *App) { a.Listeners = listeners(t, "dns@udp:53", "dns@53", "log@udp:127.0.0.1:514") },
		"ipv6": func(a *App) {
			a.Listeners = listeners(t, "[2001:db8::1]:80", "0.0.0.0:8080", "[::]:8080")
			a.Listeners[2].IPv6Only, a.Listeners[2].Backlog = true, 128
		},
		"network-none": func(a *App) { a.NoNetwork = true },
		"unconfined":   func(a *App) { a.Unconfined, a.User = true, "app" },
		"user-manager": func(a *App) {
			a.UserManager, a.User, a.Listeners = true, "", listeners(t, "8080=3000", "admin@unix:/run/user/1000/app.sock")
			a.Directory, a.Config, a.Rondo = "/home/alice/app", "/home/alice/.config/rondo/app.toml", "/home/alice/.local/bin/rondo"
		},
		"run-as": func(a *App) {
			a.User, a.Group, a.Directory, a.Args = "alice", "web", "/home/alice/app", []string{"/home/alice/app/server.js"}
			a.Writes = []string{"/home/alice/app/uploads", "/srv/50% of \"all\"/up loads"}
		},
		"environment": func(a *App) {
			a.Environment = []string{"NODE_ENV=production", `GREETING=50% "off" it's \o/ $HOME`, "EMPTY="}
			a.EnvironmentFiles = []string{"/etc/default/app", "-/etc/50% more env"}
			a.Credentials = map[string]string{"tls.key": "/etc/app/tls.key", "tls.crt": "/etc/app/50%-tls.crt"}
			a.LimitNOFILE, a.MemoryMax, a.TasksMax, a.CPUQuota = 65536, 1<<30, 512, 150
			a.StartTimeout, a.DrainTimeout, a.KillTimeout = 90*time.Second, 4*time.Minute+500*time.Millisecond, 10*time.Second
		},
		"no-listeners": func(a *App) { a.Listeners = nil },
		"temporary": func(a *App) {
			a.User, a.Directory, a.Writes = "app", "/var/tmp/app", []string{"/var/tmp/app/data"}
		},
	}
}

// files renders one case for one class.
func files(t testing.TB, systemd int, change func(*App)) []File {
	t.Helper()
	a := simple(t, systemd)
	change(&a)
	list, err := a.Files(testVersion)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestFilesAreAsTheGoldenOnes(t *testing.T) {
	want := make(map[string]string) // path -> text
	for name, change := range cases(t) {
		for _, systemd := range classes {
			for _, f := range files(t, systemd, change) {
				want[filepath.Join("testdata", strconv.Itoa(systemd), name, f.Name)] = f.Text
			}
		}
	}
	if *update {
		writeGolden(t, want)
	}
	have := golden(t)
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if have[path] != want[path] {
			t.Errorf("%s is not what Files gives, which is:\n%s", path, want[path])
		}
		delete(have, path)
	}
	for path := range have {
		t.Errorf("%s is rendered by no case: remove it, or run the test with -update", path)
	}
}

func writeGolden(t *testing.T, want map[string]string) {
	for path := range golden(t) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range want {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// golden are the units in testdata.
func golden(t *testing.T) map[string]string {
	texts := make(map[string]string)
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".socket") && !strings.HasSuffix(path, ".service") {
			return err
		}
		text, err := os.ReadFile(path)
		texts[path] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return texts
}

package units

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"howett.net/plist"
)

// launchdCases change a simple App into what a golden property list is named after.
func launchdCases(t testing.TB) map[string]func(*App) {
	return map[string]func(*App){
		"tcp": func(a *App) { a.Listeners = listeners(t, "http@127.0.0.1:80=3000", "http@[::1]:80=3000") },
		"unix": func(a *App) {
			a.Listeners = listeners(t, "unix:/var/run/app/app.sock=3000", "80=3000")
			a.Listeners[0].Mode = 0o660
			a.Environment, a.LimitNOFILE, a.Group = []string{"NODE_ENV=production", "A=<&>"}, 65536, "staff"
		},
		"udp":     func(a *App) { a.Listeners = listeners(t, "dns@udp:0.0.0.0:53") },
		"none":    func(a *App) { a.Listeners = nil },
		"user":    func(a *App) { a.User, a.UserManager, a.RuntimeDirectory = "", true, "" },
		"foreign": func(a *App) { a.Listeners = listeners(t, "http@[::]:8080", "fd:http=3000") },
	}
}

// macApp is a simple App for launchd, changed.
func macApp(t *testing.T, change func(*App)) App {
	t.Helper()
	a := simple(t, oldest)
	a.Logs, a.RuntimeDirectory = "/Library/Logs", "/usr/local/var/run/rondo/app"
	change(&a)
	return a
}

func TestPropertyListsAreAsGolden(t *testing.T) {
	for name, change := range launchdCases(t) {
		t.Run(name, func(t *testing.T) {
			a := macApp(t, change)
			f, err := a.Plist(testVersion)
			if err != nil {
				t.Fatal(err)
			}
			if f.Name != "rondo.app.plist" {
				t.Errorf("the file is named %q", f.Name)
			}
			golden := filepath.Join("testdata", "launchd", name+".plist")
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(f.Text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if f.Text != string(want) {
				t.Errorf("%s differs (go test ./units -update):\n%s", golden, f.Text)
			}
		})
	}
}

// TestPropertyListsMeanTheSameToAForeignReader has plistutil, of the libimobiledevice
// project, read each and write it as a binary one.
func TestPropertyListsMeanTheSameToAForeignReader(t *testing.T) {
	if _, err := exec.LookPath("plistutil"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("missing: %v (package libplist-utils)", err)
		}
		t.Skipf("not checked that others read the property lists: %v (package libplist-utils)", err)
	}
	for name, change := range launchdCases(t) {
		t.Run(name, func(t *testing.T) {
			a := macApp(t, change)
			f, err := a.Plist(testVersion)
			if err != nil {
				t.Fatal(err)
			}
			in, out := filepath.Join(t.TempDir(), "in.plist"), filepath.Join(t.TempDir(), "out.plist")
			if err := os.WriteFile(in, []byte(f.Text), 0o644); err != nil {
				t.Fatal(err)
			}
			if said, err := exec.Command("plistutil", "-i", in, "-o", out).CombinedOutput(); err != nil {
				t.Fatalf("plistutil: %v: %s", err, said)
			}
			binary, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(binary, []byte("bplist00")) {
				t.Fatalf("plistutil wrote %q", binary)
			}
			var got, want map[string]any
			if _, err := plist.Unmarshal(binary, &got); err != nil {
				t.Fatal(err)
			}
			if _, err := plist.Unmarshal([]byte(f.Text), &want); err != nil {
				t.Fatal(err)
			}
			if len(want) < 8 || !reflect.DeepEqual(got, want) {
				t.Errorf("plistutil read %v, want %v", got, want)
			}
		})
	}
}

func TestWhatLaunchdCannotDoIsRefused(t *testing.T) {
	for want, change := range map[string]func(*App){
		"User: launchd makes no account":                func(a *App) { a.User = "" },
		"EnvironmentFiles: launchd reads none":          func(a *App) { a.EnvironmentFiles = []string{"/etc/app.env"} },
		"MemoryMax: launchd has nothing like it":        func(a *App) { a.MemoryMax = 1 << 30 },
		"TasksMax: launchd has nothing like it":         func(a *App) { a.TasksMax = 10 },
		"CPUQuota: launchd has nothing like it":         func(a *App) { a.CPUQuota = 50 },
		"NoNetwork: launchd has nothing like it":        func(a *App) { a.NoNetwork = true },
		"Credentials: launchd has nothing like it":      func(a *App) { a.Credentials = map[string]string{"key": "/etc/key"} },
		"macOS has no abstract sockets":                 func(a *App) { a.Listeners = listeners(t, "unix:@app=3000") },
		"macOS has room for 103":                        func(a *App) { a.Listeners = listeners(t, "unix:/"+strings.Repeat("a", 103)+"=3000") },
		"User: launchd gives the socket to":             func(a *App) { a.Listeners = listeners(t, "unix:/run/s=3000"); a.Listeners[0].User = "www" },
		"Group: launchd gives the socket to":            func(a *App) { a.Listeners = listeners(t, "unix:/run/s=3000"); a.Listeners[0].Group = "www" },
		"Environment: RUNTIME_DIRECTORY is where":       func(a *App) { a.Environment = []string{"RUNTIME_DIRECTORY=/x"} },
		"Logs: it is empty":                             func(a *App) { a.Logs = "" },
		`RuntimeDirectory: "x" is not an absolute path`: func(a *App) { a.RuntimeDirectory = "x" },
		"Backlog: launchd chooses it":                   func(a *App) { a.Listeners[0].Backlog = 100 },
	} {
		a := macApp(t, change)
		if _, err := a.Plist(testVersion); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Plist = %v, want %q", err, want)
		}
	}
}

func TestPropertyListsTellWhoWroteThemAndWhatFrom(t *testing.T) {
	for name, change := range launchdCases(t) {
		a := macApp(t, change)
		a.Args = []string{"a--b---", "-->"} // which would end a comment
		f, err := a.Plist(testVersion)
		if err != nil {
			t.Fatal(err)
		}
		if h, ours := f.Header(); !ours || h.Edited || h.Version != testVersion {
			t.Errorf("%s: Header = %+v, %v", name, h, ours)
		}
		if got, err := f.App(); err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("%s: App = %+v, %v, want %+v", name, got, err, a)
		}
		if body := f.Body(); !strings.HasPrefix(body, recordBegins) || !strings.HasSuffix(f.Text, body) {
			t.Errorf("%s: Body = %q", name, body)
		}
		var read map[string]any
		if _, err := plist.Unmarshal([]byte(f.Text), &read); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, edit := range [][2]string{{"</plist>", "</plist> "}, {recordBegins, "<!-- "}} {
			edited := File{f.Name, strings.Replace(f.Text, edit[0], edit[1], 1)}
			if h, ours := edited.Header(); !ours || !h.Edited {
				t.Errorf("%s: an edit of %q is not seen: %+v, %v", name, edit[0], h, ours)
			}
		}
		other := File{f.Name, strings.Replace(f.Text, "<!-- rondo ", "<!-- ", 1)}
		if _, ours := other.Header(); ours || other.Body() != other.Text {
			t.Errorf("%s: what rondo did not write is ours", name)
		}
	}
}

package install

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rondokit/rondo/internal/settings"
)

// yard is a directory that everybody can reach, with a program and a file in it.
func yard(t *testing.T) (dir string, trial Trial) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rondo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for path, mode := range map[string]os.FileMode{"a/b": 0, "server.sh": 0o755, "rondo": 0o755, "a/b/main.js": 0o644} {
		path = filepath.Join(dir, path)
		if mode == 0 {
			err = os.MkdirAll(path, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, []byte("#!/bin/sh\n"), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "server.sh")
	return dir, Trial{
		Account: Account{Name: "self", UID: os.Getuid(), GID: os.Getgid()}, Rondo: filepath.Join(dir, "rondo"), Program: program,
		Settings: settings.Settings{Name: "app", Directory: filepath.Join(dir, "a"), Command: []string{program, "b/main.js"}},
		Reads:    []string{filepath.Join(dir, "a/b/main.js")},
		Sockets:  []Socket{{Name: "app.socket", Kind: settings.KindTCP, Port: 80}},
	}
}

func TestATrialThatWorks(t *testing.T) {
	t.Parallel()
	_, trial := yard(t)
	if err := TryAs(t.Context(), trial, roleArgument); err != nil {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		trial.Account.UID++
		if err := TryAs(t.Context(), trial, roleArgument); !errors.Is(err, ErrNotTried) {
			t.Errorf("as another: %v, want ErrNotTried", err)
		}
	}
}

func TestATrialSaysWhatIsWrongForWhom(t *testing.T) {
	t.Parallel()
	dir, trial := yard(t)
	trial.Settings.Listen = []settings.Listen{{Kind: settings.KindTCP, Port: 81}}
	err := TryAs(t.Context(), trial, roleArgument)
	if err == nil || err.Error() != "--listen 81: no such socket was passed; passed are: app.socket@[::]:80" {
		t.Errorf("a mapping that fits no socket: %v", err)
	}
	trial.Settings.Listen = nil
	if os.Geteuid() != 0 {
		t.Skip("not checked as another account: only root can become one")
	}
	web := Account{Name: "web", UID: 65534, GID: 65534, Groups: []int{65533}}
	trial.Account = web
	if err := TryAs(t.Context(), trial, roleArgument); err != nil {
		t.Errorf("as another account: %v", err)
	}
	for _, row := range []struct {
		path string
		mode os.FileMode
		what string
		mend string
	}{
		{"a", 0o700, "directory: web may not enter DIR/a (owner root, mode 0700)", "chmod o+x DIR/a"},
		{"a", 0o750, "directory: web may not enter DIR/a (owner root, mode 0750)", "chmod o+x DIR/a"},
		{".", 0o700, "directory: DIR/a: web may not enter DIR (owner root, mode 0700)", "chmod o+x DIR"},
		{"server.sh", 0o700, "command: web may not execute DIR/server.sh (owner root, mode 0700)", "chmod o+rx DIR/server.sh"},
		{"rondo", 0o700, "rondo: web may not execute DIR/rondo (owner root, mode 0700)", "chmod o+rx DIR/rondo"},
		{"a/b", 0o700, "command: DIR/a/b/main.js: web may not enter DIR/a/b (owner root, mode 0700)", "chmod o+x DIR/a/b"},
		{"a/b/main.js", 0o600, "command: web may not read DIR/a/b/main.js (owner root, mode 0600)", "chmod o+r DIR/a/b/main.js"},
	} {
		t.Run(row.path, func(t *testing.T) {
			t.Parallel() // under the race detector each process takes a second to end
			dir, trial := yard(t)
			trial.Account = web
			if err := os.Chmod(filepath.Join(dir, row.path), row.mode); err != nil {
				t.Fatal(err)
			}
			err := TryAs(t.Context(), trial, roleArgument)
			wrong, ok := errors.AsType[*TrialError](err)
			if !ok || wrong.What != strings.ReplaceAll(row.what, "DIR", dir) || wrong.Mend != strings.ReplaceAll(row.mend, "DIR", dir) {
				t.Errorf("with mode %o of %s: %v, want %s: %s", row.mode, row.path, err, row.what, row.mend)
			}
		})
	}
	for _, row := range []struct {
		uid, gid int
		mode     os.FileMode
		mend     string
	}{
		{65533, 0, 0o700, "chmod o+x DIR/a, or run it as the owner: --run-as 65533"},
		{0, 65534, 0o705, "chmod g+x DIR/a"},
		{0, 65533, 0o705, "chmod g+x DIR/a"}, // one of its other groups
		{65534, 0, 0o077, "chmod u+x DIR/a"},
	} {
		path := filepath.Join(dir, "a")
		if err := errors.Join(os.Chown(path, row.uid, row.gid), os.Chmod(path, row.mode)); err != nil {
			t.Fatal(err)
		}
		err := TryAs(t.Context(), trial, roleArgument)
		if want := strings.ReplaceAll(row.mend, "DIR", dir); err == nil || !strings.HasSuffix(err.Error(), "): "+want) {
			t.Errorf("in a directory of %d:%d with mode %o: %v, want %s", row.uid, row.gid, row.mode, err, want)
		}
	}
}

func TestNobodyIsAdvisedToOpenAHome(t *testing.T) {
	web := Trial{Account: Account{Name: "web", UID: 65534, GID: 65534}, Program: "/home/bob/bin/node",
		Settings: settings.Settings{Name: "app", Directory: "/home/bob/site"}}
	for _, row := range []struct {
		path, at string
		uid      uint32
		want     string
	}{
		{"/root/app", "/root", 0, "homes stay closed: put it into a directory like /srv/app"},
		{"/home/bob/site", "/home/bob", 65533, "homes stay closed: put it into a directory like /srv/app, or run it as the owner: --run-as 65533"},
		{"/home/bob/site/x.js", "/home/bob/site/x.js", 65533, "homes stay closed: put it into a directory like /srv/app, or run it as the owner: --run-as 65533"},
		{"/home/bob/bin/node", "/home/bob", 65533, "homes stay closed: install it for all accounts, as in /usr/local/bin, or run it as the owner: --run-as 65533"},
		{"/home/web/app", "/home/web", 65534, "chmod u+x /home/web"},
		{"/home/bob/site", "/home", 0, "chmod o+x /home"},
		{"/srv/app", "/srv/app", 65533, "chmod o+x /srv/app, or run it as the owner: --run-as 65533"},
		{"/rooted/app", "/rooted", 0, "chmod o+x /rooted"},
	} {
		err := web.refused(row.path, row.at, "enter", "x", fileOf{uid: row.uid})
		if got := strings.TrimPrefix(err.Error(), err.What+": "); got != row.want {
			t.Errorf("of %s, which is closed at %s: %q, want %q", row.path, row.at, got, row.want)
		}
	}
}

// fileOf is a file of uid, closed to others.
type fileOf struct {
	os.FileInfo
	uid uint32
}

func (f fileOf) Sys() any { return &syscall.Stat_t{Uid: f.uid, Gid: f.uid} }

func (fileOf) Mode() os.FileMode { return 0o700 }

func TestATrialFollowsLinksToWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not checked as another account: only root can become one")
	}
	dir, trial := yard(t)
	if err := os.Chmod(filepath.Join(dir, "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.js")
	if err := os.Symlink("a/b/main.js", link); err != nil {
		t.Fatal(err)
	}
	trial.Account, trial.Reads = Account{Name: "web", UID: 65534, GID: 65534}, []string{link}
	want := "command: " + link + ": web may not enter " + filepath.Join(dir, "a/b")
	if err := TryAs(t.Context(), trial, roleArgument); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("by a link: %v, want %s", err, want)
	}
}

func TestATrialThatCannotBeMade(t *testing.T) {
	t.Parallel()
	_, trial := yard(t)
	if err := TryAs(t.Context(), trial, "-test.run=NoSuchTest", "-no-such-flag"); err == nil || !strings.Contains(err.Error(), "cannot try it as self: exit status 2: flag provided but not defined") {
		t.Errorf("a process that is no trial: %v", err)
	}
	if err := Attempt(strings.NewReader("{"), nil, check); err == nil {
		t.Error("half a trial is none")
	}
}

func TestPlacesAreAllThatALinkLeadsTo(t *testing.T) {
	dir, _ := yard(t)
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"abs": dir + "/a", "rel": "abs/b", "a/up": "../rel/main.js", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"a/b/main.js": "", "nowhere": "", "rel/main.js": "abs/b/main.js a/b/main.js", "a/up": "rel/main.js abs/b/main.js a/b/main.js",
	} {
		var got []string
		for _, place := range places(filepath.Join(dir, path)) {
			rel, _ := filepath.Rel(dir, place)
			got = append(got, rel)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("places(%s) = %q, want %q", path, got, want)
		}
	}
	if got := len(places(filepath.Join(dir, "loop"))); got != maxLinks {
		t.Errorf("a loop has %d places", got)
	}
}

func TestInterpretersOfScripts(t *testing.T) {
	dir, _ := yard(t)
	for text, want := range map[string]interpreter{
		"#!/bin/sh\n": {path: "/bin/sh"}, "#! /usr/bin/env node\n": {path: "/usr/bin/env", env: "node"}, "#!/usr/bin/env -S node\n": {path: "/usr/bin/env"},
		"#!": {}, "": {}, "\x7fELF": {}, "x\n#!/bin/sh\n": {}, "#!/bin/" + strings.Repeat("x", 300): {path: "/bin/" + strings.Repeat("x", 249)},
	} {
		path := filepath.Join(dir, "script")
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if got := interpreterOf(path); got != want {
			t.Errorf("interpreterOf(%q) = %+v, want %+v", text, got, want)
		}
	}
	if got := interpreterOf(filepath.Join(dir, "nowhere")); got != (interpreter{}) {
		t.Errorf("interpreterOf nothing = %+v", got)
	}
}

func TestAScriptThatNodeWouldNotFind(t *testing.T) {
	dir, _ := yard(t)
	for _, row := range []struct {
		program, args, want string
	}{
		{"/usr/bin/node", "a/b/main.js", ""},
		{"/usr/bin/node", "a/b/main", ""},
		{"/usr/bin/node", "a", ""},
		{"/usr/bin/node", dir + "/a/b/main.js x", ""},
		{"/usr/bin/node", "a/b/min.js x", "a/b/min.js"},
		{"/usr/bin/nodejs", "x", "x"},
		{"/usr/bin/node", "--title x y.js", ""},
		{"/usr/bin/node", "", ""},
		{"/usr/bin/server", "x.js", ""},
	} {
		got := missingScript(row.program, dir, strings.Fields(row.args))
		if got != row.want && got != filepath.Join(dir, row.want) {
			t.Errorf("missingScript(%s %s) = %q, want %q", row.program, row.args, got, row.want)
		}
	}
}

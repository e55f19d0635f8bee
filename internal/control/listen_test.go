package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestASocketOfADeadMasterIsReplaced(t *testing.T) {
	path := socketPath(t, shortDir(t))
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	serve(t, path, &Server{Backend: new(backend)})
	if err := At(path).Status(t.Context(), new(identity)); err != nil {
		t.Error(err)
	}
}

func TestALiveMasterIsNamedWithItsPid(t *testing.T) {
	path := socketPath(t, shortDir(t))
	stop := serve(t, path, &Server{Backend: new(backend)})
	want := `rondo "app" is already running (pid ` + strconv.Itoa(os.Getpid()) + ")"
	if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) || !AlreadyRunning(err) {
		t.Errorf("Listen beside a live master = %v, want %s", err, want)
	}
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Listen beside a live master without its lock = %v, want %s", err, want)
	}
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket of a master that ended: %v, want none", err)
	}
	serve(t, path, &Server{Backend: new(backend)})
}

func TestAMasterThatDoesNotAnswerIsNamedByTheKernel(t *testing.T) {
	path := socketPath(t, shortDir(t))
	hung, err := Listen(t.Context(), path) // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	want := `rondo "app" is already running (pid ` + strconv.Itoa(os.Getpid()) + ") and does not answer"
	if _, err := Listen(t.Context(), path); err == nil || err.Error() != want {
		t.Errorf("Listen beside a hung master = %v, want %s", err, want)
	}
}

func TestOfManyMastersThatStartAtOnceOneWins(t *testing.T) {
	path := socketPath(t, shortDir(t))
	var all sync.WaitGroup
	won := make(chan *Listener, 20)
	for range cap(won) {
		all.Go(func() {
			if l, err := Listen(t.Context(), path); err == nil {
				won <- l
			}
		})
	}
	all.Wait()
	close(won)
	if len(won) != 1 {
		t.Errorf("%d of %d masters got the socket, want 1", len(won), cap(won))
	}
	for l := range won {
		l.Close()
	}
}

func TestListenSaysWhatIsInItsWay(t *testing.T) {
	dir := shortDir(t)
	file := socketPath(t, dir)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                               "is not a socket: remove it",
		filepath.Join(dir, "none", "sock"): "no such file or directory",
		"/" + strings.Repeat("a", 200):     "is 201 bytes long, and a socket's path has",
	} {
		if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Listen(%q) = %v, want %q", path, err, want)
		}
	}
}

func TestTheSocketIsForItsUserAlone(t *testing.T) {
	path := socketPath(t, shortDir(t))
	serve(t, path, &Server{Backend: new(backend)})
	for name, info := range map[string]string{"socket": path, "lock": path + ".lock"} {
		stat, err := os.Lstat(info)
		if err != nil || stat.Mode().Perm() != 0o600 {
			t.Errorf("the %s has mode %v, %v, want 0600", name, stat.Mode(), err)
		}
	}
}

func TestPathIsWhereTheEnvironmentSays(t *testing.T) {
	dir := shortDir(t)
	uid := strconv.Itoa(os.Getuid())
	t.Setenv("TMPDIR", dir)
	for _, row := range []struct{ runtime, user, want string }{
		{"/run/rondo/app:/run/other", dir, "/run/rondo/app/control.sock"},
		{"", dir, dir + "/rondo/app/control.sock"},
		{"", "", dir + "/rondo-" + uid + "/app/control.sock"},
		{"", dir + "/none", dir + "/rondo-" + uid + "/app/control.sock"},
		{"", "relative", dir + "/rondo-" + uid + "/app/control.sock"},
	} {
		t.Setenv("RUNTIME_DIRECTORY", row.runtime)
		t.Setenv("XDG_RUNTIME_DIR", row.user)
		if got, err := Path("app"); err != nil || got != row.want {
			t.Errorf("Path with RUNTIME_DIRECTORY=%q XDG_RUNTIME_DIR=%q = %q, %v, want %q", row.runtime, row.user, got, err, row.want)
		}
	}
	if _, err := Path("../x"); err == nil {
		t.Error("Path(\"../x\") = nil error, want one")
	}
}

func TestPathRefusesADirectoryThatIsNotOursAlone(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	for want, spoil := range map[string]func(dir string) error{
		"is a symbolic link":              func(dir string) error { return os.Symlink(t.TempDir(), dir) },
		"is not a directory":              func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"is writable for others":          func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o770)) },
		"belongs to uid 65534 and not to": func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 65534, -1)) },
	} {
		temp := shortDir(t)
		t.Setenv("TMPDIR", temp)
		err := spoil(TempDirectory())
		if errors.Is(err, fs.ErrPermission) {
			t.Logf("not checked without root: %s", want)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Path("app"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Path = %v, want %q", err, want)
		}
	}
}

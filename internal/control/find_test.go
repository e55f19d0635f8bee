package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// home gives this test an environment of its own with no master in it.
func home(t *testing.T) (user, temp string) {
	t.Helper()
	user, temp = shortDir(t), shortDir(t)
	t.Setenv("RUNTIME_DIRECTORY", "")
	t.Setenv("XDG_RUNTIME_DIR", user)
	t.Setenv("TMPDIR", temp)
	return filepath.Join(user, "rondo"), TempDirectory()
}

// start runs a master called name below dir and returns its socket.
func start(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name, socketName)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, path, &Server{Backend: new(backend)})
	return path
}

func TestFindTakesTheMasterThatRuns(t *testing.T) {
	user, temp := home(t)
	app := start(t, user, "app")
	for _, name := range []string{"app", "", app} {
		if c, err := Find(t.Context(), name); err != nil || c.Path() != app {
			t.Errorf("Find(%q) = %v, %v, want %s", name, c, err, app)
		}
	}
	shop := start(t, temp, "shop")
	if c, err := Find(t.Context(), "shop"); err != nil || c.Path() != shop {
		t.Errorf("Find(shop) = %v, %v, want %s", c, err, shop)
	}
}

func TestFindSaysWhereItLooked(t *testing.T) {
	user, temp := home(t)
	for name, want := range map[string][]string{
		"app": {`no rondo "app" is running: looked at `, user + "/app/control.sock", temp + "/app/control.sock", "/run/rondo/app/control.sock"},
		"":    {`no rondo is running: looked at `, user + "/*/control.sock"},
		"a b": {`"a b" is not a name`},
	} {
		_, err := Find(t.Context(), name)
		if NotRunning(err) != (name != "a b") {
			t.Errorf("NotRunning(%v) = %v", err, NotRunning(err))
		}
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("Find(%q) = %v, want %q", name, err, part)
			}
		}
	}
}

func TestFindDoesNotChooseBetweenTwo(t *testing.T) {
	user, temp := home(t)
	one := start(t, user, "app")
	start(t, user, "shop")
	if _, err := Find(t.Context(), ""); err == nil || !strings.HasSuffix(err.Error(), "say which: app, shop") {
		t.Errorf("Find(\"\") with two masters = %v, want both names", err)
	}
	two := start(t, temp, "app")
	_, err := Find(t.Context(), "app")
	if err == nil || !strings.Contains(err.Error(), one) || !strings.Contains(err.Error(), two) {
		t.Errorf("Find(app) with two of the name = %v, want both sockets", err)
	}
	if _, err := Find(t.Context(), ""); err == nil || !strings.Contains(err.Error(), two) {
		t.Errorf("Find(\"\") with two of one name = %v, want their sockets", err)
	}
	t.Setenv("RUNTIME_DIRECTORY", filepath.Dir(two))
	if c, err := Find(t.Context(), "app"); err != nil || c.Path() != two {
		t.Errorf("Find(app) in the unit of one = %v, %v, want %s", c, err, two)
	}
	if c, err := Find(t.Context(), "shop"); err != nil || !strings.Contains(c.Path(), "shop") {
		t.Errorf("Find(shop) in another's unit = %v, %v, want shop's", c, err)
	}
}

func TestFindIsNotLedByALink(t *testing.T) {
	user, _ := home(t)
	app := start(t, shortDir(t), "app")
	if err := os.MkdirAll(filepath.Join(user, "shop"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(app, filepath.Join(user, "shop", socketName)); err != nil {
		t.Fatal(err)
	}
	if c, err := Find(t.Context(), "shop"); err == nil {
		t.Errorf("Find(shop) over a link = %s, want an error", c.Path())
	}
}

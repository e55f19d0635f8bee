package main

import (
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// completes fails the test unless the word after words is completed by want, a line each.
func (h *home) completes(words, want string) {
	h.t.Helper()
	r := h.rondo(append(append([]string{"__complete"}, strings.Fields(words)...), "")...)
	names, _, _ := strings.Cut(r.stdout, ":") // what the shell is to do follows
	if r.code != 0 || strings.Join(strings.Fields(names), " ") != want {
		h.t.Errorf("rondo %s is completed by %q %q, want %q", words, r.stdout, r.stderr, want)
	}
}

func TestNamesAreCompleted(t *testing.T) {
	h := newHome(t)
	h.env = append(h.env, "HOME="+h.dir, "XDG_CONFIG_HOME="+filepath.Join(h.dir, ".config"))
	h.completes("reload", "")
	p := h.service()
	for _, command := range []string{"reload", "status", "stop", "upgrade", "scale", "send"} {
		h.completes(command, "app")
		h.completes(command+" app", "")
	}
	for _, name := range []string{"one", "two"} {
		args := "units generate --user --directory " + h.dir + " --listen 8080=3000 --name " + name + " --output " + h.dir + "/.config/systemd/user -- /bin/true"
		if r := h.rondo(strings.Fields(args)...); r.code != 0 {
			t.Fatalf("rondo %s = %d %q", args, r.code, r.stderr)
		}
	}
	h.completes("uninstall --user", "one two")
	h.completes("uninstall --user one", "")
	h.completes("logs --user", "one two")
	h.completes("doctor --user one", "two")
	h.completes("units verify --user", "one two")
	h.completes("install --user --refresh two", "one")
	h.completes("install --user --listen 80=3000 --", "")
	p.signal(syscall.SIGTERM)
	p.ends()
}

func TestVersionTellsWhatWasBuilt(t *testing.T) {
	r := newHome(t).rondo("version")
	want := regexp.MustCompile(`^rondo \S+ \(commit (unknown|[0-9a-f]{12}(, changed since)?), ` + runtime.Version() + `, ` + runtime.GOOS + `/` + runtime.GOARCH + `\)\n$`)
	if !want.MatchString(r.stdout) || r.code != 0 {
		t.Errorf("rondo version = %d %q", r.code, r.stdout)
	}
}

func TestUpgradeOfAllIsBounded(t *testing.T) {
	h := newHome(t)
	if r := h.rondo("upgrade", "--all"); r.code != 0 || r.stdout != "no rondo is running\n" {
		t.Errorf("with none running: %d %q %q", r.code, r.stdout, r.stderr)
	}
	h.fails(exitUsage, "--within: -1s is less than nothing", "upgrade", "--all", "--within", "-1s")
	p := h.service()
	h.fails(exitFailed, "control.sock: not upgraded: not within 1ns; the rondo that it runs serves on", "upgrade", "--all", "--within", "1ns")
	h.get()
	p.signal(syscall.SIGTERM)
	p.ends()
}

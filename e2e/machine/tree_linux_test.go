package machine

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMirrorIsTheOneThatAptHasDebianFrom(t *testing.T) {
	for targets, want := range map[string]string{
		"": "",
		"Debian|bookworm-security|http://m/security/\nDebian|bookworm-updates|http://m/d/\nDebian|bookworm|http://mirror/debian/\n": "http://mirror/debian/",
		"Tool|stable|https://tool/\nDebian|sid|file:/srv/debian\nDebian|trixie|http://second/\n":                                    "file:/srv/debian",
		"Debian|stable/updates|http://old/\nUbuntu|noble|http://ubuntu/\nDebian|bad\n":                                              "",
	} {
		if got := mirror(targets); got != want {
			t.Errorf("mirror(%q) = %q, want %q", targets, got, want)
		}
	}
}

func TestTreeThatIsThereIsNotBuilt(t *testing.T) {
	dir := t.TempDir()
	want := filepath.Join(dir, "trixie-"+Trixie.hash())
	if err := os.Mkdir(want, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := tree(dir, Trixie, t.Output()); err != nil || got != want {
		t.Errorf("tree = %q, %v, want %q", got, err, want)
	}
	if Trixie.hash() == Bookworm.hash() {
		t.Error("two recipes have one hash")
	}
}

// fakeMmdebstrap puts a script first in PATH. Its $into is the directory to make.
func fakeMmdebstrap(t *testing.T, script string) {
	t.Helper()
	if _, err := prerequisites(); err != nil {
		missing(t, Trixie, err)
	}
	if _, err := os.Stat(keyring); err != nil {
		missing(t, Trixie, err)
	}
	bin := t.TempDir()
	text := "#!/bin/sh\nfor a; do case $a in */trixie.building) into=$a;; esac; done\n" + script
	if err := os.WriteFile(filepath.Join(bin, "mmdebstrap"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

func TestManyWhoWantATreeBuildItOnce(t *testing.T) {
	fakeMmdebstrap(t, `mkdir "$into" && echo "$@" >"$into/args" && echo built >>"$into/../count"`)
	dir := t.TempDir()
	// What a builder that was killed left.
	if err := os.MkdirAll(filepath.Join(dir, "trixie.building", "half"), 0o755); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { // ends with tree
			got, err := tree(dir, Trixie, t.Output())
			if want := filepath.Join(dir, "trixie-"+Trixie.hash()); err != nil || got != want {
				t.Errorf("tree = %q, %v, want %q", got, err, want)
			}
			if _, err := os.Stat(filepath.Join(got, "half")); err == nil {
				t.Error("the tree is that of a builder that was killed")
			}
		})
	}
	all.Wait()
	if count, err := os.ReadFile(filepath.Join(dir, "count")); err != nil || string(count) != "built\n" {
		t.Errorf("built %q, %v, want once", count, err)
	}
	args, err := os.ReadFile(filepath.Join(dir, "trixie-"+Trixie.hash(), "args"))
	if want := "[signed-by=" + keyring + "]"; err != nil || !strings.Contains(string(args), want) {
		t.Errorf("arguments %s, %v, want %s", args, err, want)
	}
}

func TestTreeThatCannotBeBuiltSaysWhyAndLeavesNothing(t *testing.T) {
	fakeMmdebstrap(t, `mkdir "$into"; echo no such suite >&2; exit 1`)
	dir := t.TempDir()
	if _, err := tree(dir, Trixie, t.Output()); err == nil || !strings.Contains(err.Error(), "no such suite") {
		t.Errorf("tree: %v, want what mmdebstrap said", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "trixie*")); len(left) != 1 || filepath.Base(left[0]) != "trixie.lock" {
		t.Errorf("left: %v, want the lock only", left)
	}
}

// builder builds a tree in the directory that TREES names.
func builder() int {
	_, err := tree(os.Getenv("TREES"), Trixie, io.Discard)
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func TestKilledBuilderTakesItsProgramsWithIt(t *testing.T) {
	// The children are apt and dpkg, of which mmdebstrap knows nothing once it is dead.
	fakeMmdebstrap(t, `mkdir "$into"; sleep infinity <"$into/../hold" & echo up >"$into/../up"; wait`)
	dir := t.TempDir()
	for _, name := range []string{"up", "hold"} {
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVar+"=builder", "TREES="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hold, err := os.OpenFile(filepath.Join(dir, "hold"), os.O_WRONLY, 0) // returns when sleep has it too
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	if said, err := os.ReadFile(filepath.Join(dir, "up")); err != nil || string(said) != "up\n" {
		t.Fatalf("the build says %q, %v", said, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	// A pipe without a reader is an error to who polls it.
	poll := []unix.PollFd{{Fd: int32(hold.Fd())}}
	if n, err := unix.Poll(poll, 10_000); n != 1 || poll[0].Revents&unix.POLLERR == 0 {
		t.Errorf("10 s after its builder was killed sleep still runs: %v", err)
	}
	unlock, err := lock(filepath.Join(dir, "trixie.lock")) // which nobody holds
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// roleVariable names what a process that runs the test binary is to be, unless
// it is called rondo.
const roleVariable = "RONDO_TEST_ROLE"

// roles are what the test binary can be besides the tests and rondo itself.
var roles = map[string]func() int{
	"rondo":  func() int { main(); return exitDone }, // for the workers of rondo demo
	"hidden": hidden,
}

// rolesUsed has the roles that role gave out, for TestMain.
var rolesUsed sync.Map

// role is the environment entry that makes a process that runs the test binary
// what name says.
func role(name string) string {
	if roles[name] == nil {
		panic("no role " + name)
	}
	rolesUsed.Store(name, true)
	return roleVariable + "=" + name
}

// binary is the path of rondo: the test binary under another name.
var binary string

func TestMain(m *testing.M) {
	tries := len(os.Args) == 2 && os.Args[1] == "install-trial" // by the path of the program itself
	if filepath.Base(os.Args[0]) == "rondo" || tries {
		main()
	}
	if name := os.Getenv(roleVariable); name != "" {
		os.Exit(roles[name]())
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "rondo-test")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "rondo")
	if err := os.Symlink(self, binary); err != nil {
		panic(err)
	}
	flag.Parse()
	before := takeCensus()
	code := m.Run()
	if code == 0 && !before.holds() {
		return 1
	}
	if full := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""; full && code == 0 {
		for name := range roles {
			if _, used := rolesUsed.Load(name); !used {
				fmt.Printf("the role %s was never used\n", name)
				return 1
			}
		}
	}
	return code
}

// A home is an environment in which no other rondo runs.
type home struct {
	t   *testing.T
	dir string // short enough for sockets; gone after the test
	env []string
}

func newHome(t *testing.T, extra ...string) *home {
	t.Helper()
	dir, err := os.MkdirTemp("", "rondo-home")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &home{t: t, dir: dir}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "RONDO_") || strings.HasPrefix(name, "LISTEN_") || slices.Contains(notInherited, name) {
			continue
		}
		h.env = append(h.env, e)
	}
	// The race detector has a process that ends well sleep for a second.
	h.env = append(h.env, "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	h.env = append(h.env, extra...)
	return h
}

var notInherited = []string{"RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM", "WATCHDOG_USEC", "WATCHDOG_PID"}

// file writes a file into h's directory and returns its path.
func (h *home) file(name, text string, mode os.FileMode) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// result is how a rondo ended.
type result struct {
	stdout, stderr string
	code           int
}

// rondo runs rondo to its end.
func (h *home) rondo(args ...string) result {
	h.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = h.env, h.dir, &stdout, &stderr
	guard := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer guard.Stop()
	if err := cmd.Run(); cmd.ProcessState == nil {
		h.t.Fatalf("rondo %q: %v", args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// fails runs rondo, which is to end with code and one line that has want.
func (h *home) fails(code int, want string, args ...string) {
	h.t.Helper()
	r := h.rondo(args...)
	if r.code != code || !strings.Contains(r.stderr, want) || !strings.HasPrefix(r.stderr, "rondo: ") ||
		strings.Count(r.stderr, "\n") != 1 || r.stdout != "" {
		h.t.Errorf("rondo %q = %d, stdout %q, stderr %q, want %d and one line with %q", args, r.code, r.stdout, r.stderr, code, want)
	}
}

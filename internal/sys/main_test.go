package sys

import (
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// roleKey names the variable by which this binary is started as a child process.
const roleKey = "RONDO_TEST_ROLE"

// roles are what a child process can be; each sits beside the test that uses it.
var roles = map[string]func() int{}

// used holds the roles that tests have started.
var used sync.Map

func TestMain(m *testing.M) {
	if role := os.Getenv(roleKey); role != "" {
		os.Exit(roles[role]())
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // the runtime opens its poller, once
		l.Close()
	}
	code := m.Run()
	if code == 0 && fullRun() {
		for role := range roles {
			if _, ok := used.Load(role); !ok {
				fmt.Fprintf(os.Stderr, "role %q was never used\n", role)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// fullRun says whether no flag picked some of the tests.
func fullRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

// as gives the command that makes this binary play role, with files as its descriptors.
func as(t *testing.T, role string, files ...int) Command {
	t.Helper()
	used.Store(role, true)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The race detector's own wait at exit would make every child last a second.
	return Command{Path: path, Args: []string{"test"}, Files: files,
		Env: append(os.Environ(), roleKey+"="+role, "GORACE=atexit_sleep_ms=0")}
}

// census fails the test if, after all its other clean-ups, more or fewer
// descriptors are open than now.
func census(t *testing.T) {
	t.Helper()
	before := openDescriptors(t)
	t.Cleanup(func() {
		if now := openDescriptors(t); now != before {
			t.Errorf("%d descriptors are open after the test, want %d as before", now, before)
		}
	})
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// pair gives two connected sockets that are closed with the test.
func pair(t testing.TB) (a, b int) {
	t.Helper()
	a, b, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(a); Close(b) })
	return a, b
}

// null gives a descriptor of /dev/null, closed with the test.
func null(t testing.TB) int {
	t.Helper()
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(fd) })
	return fd
}

// checkFlags fails the test unless fd is close-on-exec and non-blocking.
func checkFlags(t *testing.T, what string, fd int) {
	t.Helper()
	fdFlags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	flFlags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if fdFlags&unix.FD_CLOEXEC == 0 || flFlags&unix.O_NONBLOCK == 0 {
		t.Errorf("%s: close-on-exec %v, non-blocking %v, want both", what, fdFlags&unix.FD_CLOEXEC != 0, flFlags&unix.O_NONBLOCK != 0)
	}
}

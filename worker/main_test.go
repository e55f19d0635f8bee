package worker

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
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
	return flag.Lookup("test.short").Value.String() == "false"
}

// asRole gives the environment that makes this binary play role.
func asRole(role string, env ...string) []string {
	used.Store(role, true)
	// The race detector's own wait at exit would make every child last a second.
	return append(append(os.Environ(), roleKey+"="+role, "GORACE=atexit_sleep_ms=0"), env...)
}

// child gives this binary in a role. It is killed when ctx ends.
func child(ctx context.Context, role string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = asRole(role, env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// fail is how a role ends early.
func fail(err error) int {
	fmt.Fprintln(os.Stderr, os.Getenv(roleKey)+":", err)
	return 1
}

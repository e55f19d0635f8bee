package activation

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
)

// roleKey names the variable by which this binary is started as a child process.
const roleKey = "RONDO_TEST_ROLE"

// roles are what a child process can be; each sits beside the test that uses it.
// It is filled by platform files, so a platform without children has none.
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
	return true
}

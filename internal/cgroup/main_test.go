package cgroup

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// roleKey names the variable by which this binary is started as a child process.
const roleKey = "RONDO_TEST_ROLE"

// roles are what a child process can be; each sits beside the test that uses it.
var roles = map[string]func() int{}

// used has the roles that tests have started.
var used = map[string]bool{}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleKey); role != "" {
		os.Exit(roles[role]())
	}
	code := m.Run()
	if full := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""; full && code == 0 && len(used) > 0 {
		for role := range roles {
			if !used[role] {
				fmt.Fprintf(os.Stderr, "role %q was never used\n", role)
				code = 1
			}
		}
	}
	os.Exit(code)
}

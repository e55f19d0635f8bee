package install

import (
	"fmt"
	"os"
	"testing"
)

// roleArgument makes the test binary the process that TryAs starts.
const roleArgument = "try"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == roleArgument {
		if err := Attempt(os.Stdin, os.Stdout, check); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

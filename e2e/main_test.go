package e2e

import (
	"fmt"
	"hash/maphash"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// roleVar makes the test binary a worker: the value names one of roles.
const roleVar = "RONDO_E2E_ROLE"

// soak is true for the full counts of `make soak`; `make test` runs a tenth.
var soak = os.Getenv("RONDO_SOAK") != ""

// seed is of everything random in a run. RONDO_SEED repeats one.
var seed = func() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("RONDO_SEED"), 10, 64); err == nil {
		return n
	}
	return new(maphash.Hash).Sum64() % 1_000_000
}()

// count is n in a soak and a tenth of it otherwise.
func count(n int) int {
	if soak {
		return n
	}
	return max(1, n/10)
}

// told prints what a counting test did, also without -v.
func told(t *testing.T, format string, args ...any) {
	t.Helper()
	fmt.Printf("e2e: %s: seed %d: %s\n", t.Name(), seed, fmt.Sprintf(format, args...))
}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		run, ok := roles[role]
		if !ok {
			fmt.Fprintf(os.Stderr, "no role %q\n", role)
			os.Exit(2)
		}
		os.Exit(run())
	}
	code := m.Run()
	if code == 0 && tests.npmDir != "" {
		fmt.Printf("e2e: seed %d, soak %v\n", seed, soak)
	}
	os.RemoveAll(tests.binDir)
	os.Exit(code)
}

// tests is what the tests of a run share.
var tests struct {
	npmOnce, binOnce sync.Once
	npmDir, binDir   string
	npmErr, binErr   error
}

// npm gives the directory of the npm packages, installing them when they are missing.
func npm(t *testing.T) string {
	t.Helper()
	tests.npmOnce.Do(func() {
		out, err := exec.Command("./deps.sh").Output()
		tests.npmDir, tests.npmErr = strings.TrimSpace(string(out)), err
	})
	if tests.npmErr != nil {
		need(t, "the npm packages (real Node releases, express, ws)", tests.npmErr)
	}
	return filepath.Join(tests.npmDir, "node_modules")
}

// node gives the program of one release of Node.
func node(t *testing.T, release int) string {
	return filepath.Join(npm(t), fmt.Sprintf("node%d", release), "bin", "node")
}

// releases are the releases of Node that the tests run; a short run takes one.
func releases() []int {
	if testing.Short() {
		return []int{20}
	}
	return []int{18, 20, 22, 24, 26}
}

// rondo gives the program, as it is released.
func rondo(t *testing.T) string {
	t.Helper()
	tests.binOnce.Do(func() {
		tests.binDir, tests.binErr = os.MkdirTemp("", "rondo-e2e-")
		if tests.binErr != nil {
			return
		}
		build := exec.Command("go", "build", "-tags", buildTags, "-o", tests.binDir, "../cmd/rondo")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // it runs on machines with another C library, too
		out, err := build.CombinedOutput()
		if err != nil {
			tests.binErr = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if tests.binErr != nil {
		t.Fatalf("building rondo: %v", tests.binErr)
	}
	return filepath.Join(tests.binDir, "rondo")
}

// need ends a test whose prerequisite is missing: a failure in CI, elsewhere a skip
// that says what was not checked.
func need(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s: %v", what, err)
	}
	t.Skipf("not checked, for want of %s: %v", what, err)
}

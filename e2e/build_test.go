package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// A build is the program as it is not released.
type build struct {
	version string
	format  string // of the state; "" as it is
	faults  bool   // with the points of internal/fault
}

// The builds of these tests.
var (
	nextBuild   = build{version: "2.0.0-next", faults: true}
	futureBuild = build{version: "3.0.0-future", format: "2"}
)

var builds sync.Map // of functions that give a path, by build

// path gives the program.
func (b build) path(t *testing.T) string {
	t.Helper()
	dir := filepath.Dir(rondo(t))
	made, _ := builds.LoadOrStore(b, sync.OnceValues(func() (string, error) {
		const module = "github.com/rondokit/rondo"
		flags := "-X " + module + "/master.Version=" + b.version
		if b.format != "" {
			flags += " -X " + module + "/internal/state.format=" + b.format
		}
		tags := buildTags
		if b.faults {
			tags += ",faults"
		}
		path := filepath.Join(dir, "rondo-"+b.version)
		cmd := exec.Command("go", "build", "-tags", tags, "-ldflags", flags, "-o", path, "../cmd/rondo")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", b.version, err, out)
		}
		return path, nil
	}))
	path, err := made.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

package launchd

import (
	"debug/macho"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestProgramForMacsImportsLaunchd links rondo as it is published for a Mac, and looks at
// what it wants of whom.
func TestProgramForMacsImportsLaunchd(t *testing.T) {
	if testing.Short() {
		t.Skip("not checked what the program for a Mac imports: -short")
	}
	for _, arch := range []string{"arm64", "amd64"} {
		path := filepath.Join(t.TempDir(), "rondo")
		build := exec.Command("go", "build", "-o", path, "../../cmd/rondo")
		build.Env = append(os.Environ(), "GOOS=darwin", "GOARCH="+arch, "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", arch, err, out)
		}
		f, err := macho.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		symbols, err := f.ImportedSymbols()
		if err != nil {
			t.Fatal(err)
		}
		libraries, err := f.ImportedLibraries()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"_launch_activate_socket", "_free"} {
			if !slices.Contains(symbols, want) {
				t.Errorf("%s: %s is not imported", arch, want)
			}
		}
		if !slices.Contains(libraries, "/usr/lib/libSystem.B.dylib") {
			t.Errorf("%s: libraries %v, want libSystem among them", arch, libraries)
		}
	}
}

package fault

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAReleaseHasNoFaults builds the program as it is released, and with the faults.
func TestAReleaseHasNoFaults(t *testing.T) {
	for tags, want := range map[string]bool{"": false, "faults": true} {
		out := filepath.Join(t.TempDir(), "rondo")
		if said, err := exec.Command("go", "build", "-tags", tags, "-o", out, "../../cmd/rondo").CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, said)
		}
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(text, []byte("RONDO_FAULT_FILE")); got != want {
			t.Errorf("tags %q: the program knows faults: %v, want %v", tags, got, want)
		}
	}
}

//go:build !portable

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// hidden hides its memory and prints whether it is dumpable.
func hidden() int {
	if err := hideMemory(); err != nil {
		fmt.Println(err)
		return exitFailed
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	fmt.Print(dumpable, err)
	return exitDone
}

func TestTheMastersMemoryIsHidden(t *testing.T) {
	h := newHome(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(h.env, role("hidden"))
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "0 <nil>" {
		t.Errorf("PR_GET_DUMPABLE = %s, %v, want 0", out, err)
	}
}

// descriptorsOf is what the descriptors of a process are.
func descriptorsOf(t *testing.T, pid int) []string {
	t.Helper()
	names, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	if err != nil || len(names) == 0 {
		t.Fatalf("descriptors of %d: %v, %v", pid, names, err)
	}
	var links []string
	for _, name := range names {
		if link, err := os.Readlink(name); err == nil {
			links = append(links, link)
		}
	}
	return links
}

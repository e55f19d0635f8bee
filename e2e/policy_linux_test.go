//go:build !portable

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/settings"
	"golang.org/x/sys/unix"
)

// policies gives how many threads of a process are under each scheduling policy and at
// each nice value.
func policies(t *testing.T, pid int) map[string]int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("threads of %d: %v, %v", pid, tasks, err)
	}
	n := map[string]int{}
	for _, task := range tasks {
		id, _ := strconv.Atoi(filepath.Base(task))
		attr, err := unix.SchedGetAttr(id, 0)
		if err == unix.ESRCH { // has just ended
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		n[fmt.Sprintf("policy %d nice %d", attr.Policy, attr.Nice)]++
	}
	return n
}

// children gives the pids of a process's children.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.Fields(string(text)) {
			n, _ := strconv.Atoi(word)
			pids = append(pids, n)
		}
	}
	return pids
}

// TestWorkersRunUnderThePolicyThatRondoWasGiven reads back what the kernel knows: the
// master's loop alone is under SCHED_BATCH, and not where the service has another policy.
func TestWorkersRunUnderThePolicyThatRondoWasGiven(t *testing.T) {
	const usual = "policy 0 nice 0"
	for given, row := range map[string]struct {
		chrt           []string
		loop, everyone string
	}{
		"usual": {nil, "policy 3 nice 0", usual},
		"nice":  {[]string{"nice", "-n", "5"}, "policy 3 nice 5", "policy 0 nice 5"},
		"batch": {[]string{"chrt", "--batch", "0"}, "policy 3 nice 0", "policy 3 nice 0"},
		"idle":  {[]string{"chrt", "--idle", "0"}, "policy 5 nice 0", "policy 5 nice 0"},
	} {
		t.Run(given, func(t *testing.T) {
			pid, _, stop := runMaster(t, newLogbook(t), "go", func(c *exec.Cmd) {
				if row.chrt != nil {
					path, err := exec.LookPath(row.chrt[0])
					if err != nil {
						t.Fatal(err)
					}
					c.Path, c.Args = path, slices.Concat(row.chrt, c.Args)
				}
			})
			master := policies(t, pid)
			if want := map[string]int{row.loop: 1, row.everyone: 1}; row.loop != row.everyone && (len(master) != len(want) || master[row.loop] != 1) ||
				row.loop == row.everyone && len(master) != 1 || master[row.everyone] == 0 {
				t.Errorf("the master's threads: %v, want one of %s and others of %s", master, row.loop, row.everyone)
			}
			workers := children(t, pid)
			if len(workers) != 2 {
				t.Fatalf("workers %v, want 2", workers)
			}
			for _, w := range workers {
				if n := policies(t, w); len(n) != 1 || n[row.everyone] == 0 {
					t.Errorf("a worker's threads: %v, want all of %s", n, row.everyone)
				}
				env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w))
				if err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprintf("GOMAXPROCS=%d", (settings.Processors()+1)/2)
				if !slices.Contains(strings.Split(string(env), "\x00"), want) {
					t.Errorf("a worker's environment lacks %s", want)
				}
			}
			stop()
		})
	}
}

package proc_test

import (
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rondokit/rondo/bench/proc"
)

func TestProcessesStayOnTheProcessorsTheyWereStartedOn(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("not checked: one processor cannot be divided")
	}
	measured, load, err := proc.Apart()
	if err != nil {
		t.Fatal(err)
	}
	if got := measured.Count() + load.Count(); got != runtime.NumCPU() {
		t.Errorf("%d processors of %d are used", got, runtime.NumCPU())
	}
	for _, half := range []unix.CPUSet{measured, load} {
		if err := proc.On(half, func() error {
			out, err := exec.Command("nproc").Output()
			if got := strings.TrimSpace(string(out)); got != strconv.Itoa(half.Count()) {
				t.Errorf("a process has %s processors, and was started on %d", got, half.Count())
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	var after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &after); err != nil || after.Count() != runtime.NumCPU() {
		t.Errorf("afterwards this thread has %d processors, %v", after.Count(), err)
	}
}

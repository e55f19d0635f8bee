package proc

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "4711 (a (b) c) S 42 4711 4711 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5 6 7"
	got, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	if want := (process{pid: 4711, parent: 42, cpu: 1270 * time.Millisecond}); got != want {
		t.Errorf("parseStat = %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "1 no name", "1 (short) S 1 2", "x (sh) S 42 1 1 0 -1 0 1 2 3 4 5 6 7 8 9", "1 (sh) S 42 1 1 0 -1 0 1 2 3 4 5 x 7 8 9"} {
		if p, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", bad, p)
		}
	}
}

func TestParseThread(t *testing.T) {
	if got, err := parseSchedstat("7756135 42 1\n"); err != nil || got != 7756135*time.Nanosecond {
		t.Errorf("parseSchedstat = %v, %v", got, err)
	}
	const status = "Name:\tvoluntary_ctxt_switches\nVmHWM:\t  8192 kB\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n"
	for name, want := range map[string]uint64{"VmHWM": 8192, "voluntary_ctxt_switches": 150, "nonvoluntary_ctxt_switches": 545} {
		if got, err := statusField(status, name); err != nil || got != want {
			t.Errorf("statusField(%s) = %v, %v, want %v", name, got, err, want)
		}
	}
	if _, err := statusField(status, "VmRSS"); err == nil {
		t.Error("a field that is not there is no error")
	}
	if _, err := parseSchedstat("1 2"); err == nil {
		t.Error("a schedstat of two fields is no error")
	}
}

func TestParseMachine(t *testing.T) {
	got, err := parseMachine("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	if want := (machine{busy: 190 * time.Millisecond, steal: 80 * time.Millisecond}); err != nil || got != want {
		t.Errorf("parseMachine = %+v, %v, want %+v", got, err, want)
	}
	if _, err := parseMachine("cpu0 1 2 3 4 5 6 7 8"); err == nil {
		t.Error("another line is no error")
	}
	if load, err := parseLoad("2.41 5.02 5.17 3/120 4711\n"); err != nil || load != 2.41 {
		t.Errorf("parseLoad = %v, %v", load, err)
	}
}

func TestSince(t *testing.T) {
	before := Threads{1: {10, 100}, 2: {20, 200}, 3: {30, 300}}
	after := Threads{1: {11, 102}, 2: {20, 200}, 4: {5, 7}} // 3 has ended, 4 is new
	if got, want := after.Since(before), (Use{6, 9}); got != want {
		t.Errorf("Since = %+v, want %+v", got, want)
	}
}

func TestDescendants(t *testing.T) {
	all := map[int]process{1: {1, 0, 0}, 2: {2, 1, 0}, 3: {3, 2, 0}, 4: {4, 3, 0}, 5: {5, 1, 0}}
	got := slices.Sorted(slices.Values(descendants(all, 2)))
	if want := []int{3, 4}; !slices.Equal(got, want) {
		t.Errorf("descendants = %v, want %v", got, want)
	}
}

func TestWhatAChildUsesIsNotOthers(t *testing.T) {
	before, err := family()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo; read x")
	in, _ := c.StdinPipe()
	out, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 1)) // the loop has ended, the process has not
	threads, err := Of(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	used := threads.Since(Threads{}).CPU
	for _, ended := range []bool{false, true} {
		if ended {
			in.Close()
			c.Wait()
		}
		after, err := family()
		if err != nil {
			t.Fatal(err)
		}
		if used == 0 || after-before < used-2*tick {
			t.Errorf("ended %v: family used %v more, and the child alone %v", ended, after-before, used)
		}
	}
	if _, err := Of(c.Process.Pid); err == nil {
		t.Error("Of a process that has ended is no error")
	}
}

func TestUseAndMemoryOfThisProcess(t *testing.T) {
	before, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for used := false; !used; { // until the kernel has counted it
		after, err := Of(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		used = after.Since(before).CPU > 0
	}
	m, err := MemoryOf(os.Getpid())
	if err != nil || m.Resident < 1<<20 || m.Peak < m.Resident {
		t.Errorf("memory = %+v, %v", m, err)
	}
}

func TestAProcessThatHasEndedIsLeftOut(t *testing.T) {
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if threads, err := Of(c.Process.Pid, os.Getpid()); err != nil || len(threads) == 0 {
		t.Errorf("Of = %v, %v, want this process's", threads, err)
	}
}

//go:build !portable

package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/master"
)

func init() {
	roles["hungry"] = hungryWorker
	roles["hog"] = func() int {
		io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(takeMemory())
		return 0
	}
}

// takeMemory takes 1 GiB.
func takeMemory() (all [64][]byte) {
	for i := range all {
		all[i] = make([]byte, 1<<24)
		for page := 0; page < len(all[i]); page += 4096 {
			all[i][page] = 1
		}
	}
	return all
}

// hungryWorker serves, and takes memory at SIGUSR2.
func hungryWorker() int {
	wanted := make(chan os.Signal, 1)
	signal.Notify(wanted, syscall.SIGUSR2)
	go func() { // ends with the process
		<-wanted
		all := takeMemory()
		<-wanted
		runtime.KeepAlive(all)
	}()
	return goWorker()
}

// limited makes a cgroup below the test's own whose processes may have so much memory
// together, and removes it at the end.
func limited(t *testing.T, bytes int) (group string) {
	t.Helper()
	own, ok := strings.CutSuffix(sys.OOMFile(), "/memory.oom_control")
	if !ok {
		need(t, "a memory controller in the old hierarchy of cgroups", errors.New("the own cgroup has no memory.oom_control"))
	}
	group, err := os.MkdirTemp(own, "rondo-e2e-")
	if err != nil {
		need(t, "a cgroup with a limit of memory", err)
	}
	t.Cleanup(func() {
		for limit := time.Now().Add(patience); ; {
			alone(t, group, 0)
			err := os.Remove(group)
			if err == nil {
				return
			}
			if time.Now().After(limit) {
				t.Fatal(err)
			}
			runtime.Gosched()
		}
	})
	if err := os.Chmod(group, 0o755); err != nil { // as cgroups are
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(group, "memory.limit_in_bytes"), []byte(strconv.Itoa(bytes)), 0); err != nil {
		t.Fatal(err)
	}
	return group
}

// enter moves a process into a cgroup; what it starts from then on is in there, too.
func enter(t *testing.T, group string, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
}

// alone moves all but one process out of a cgroup that limited gave. As the kernel frees
// the memory of one that it killed, it may kill another that asks for some meanwhile.
func alone(t *testing.T, group string, pid int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if err != nil {
		t.Error(err)
	}
	for _, other := range strings.Fields(string(b)) {
		if other == strconv.Itoa(pid) {
			continue
		}
		err := os.WriteFile(filepath.Join(filepath.Dir(group), "cgroup.procs"), []byte(other), 0)
		if err != nil && !errors.Is(err, syscall.ESRCH) { // it has ended
			t.Error(err)
		}
	}
}

// killedHog has the kernel kill a process of the group that is no worker.
func killedHog(t *testing.T, group string) {
	t.Helper()
	c := exec.Command(goCommand(t)[0])
	c.Env = []string{roleVar + "=hog"}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	enter(t, group, c.Process.Pid)
	in.Close()
	if err := c.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("a process that takes more memory than there is: %v, want it killed", err)
	}
}

// TestDeathForWantOfMemoryIsToldApart has the kernel kill a worker of a service that may
// have little memory. Its successors are killed by hand, and by the master: what the
// kernel has counted is no word on that.
func TestDeathForWantOfMemoryIsToldApart(t *testing.T) {
	const plain = "was killed by SIGKILL"
	group, run := limited(t, 256<<20), t.TempDir()
	address := fmt.Sprintf("%s:%d", loopback(), 1024+rand.IntN(20000))
	a := activate(t, "web", []string{address},
		[]string{roleVar + "=hungry", "TEST_LISTEN=" + address, "GORACE=atexit_sleep_ms=0", "RUNTIME_DIRECTORY=" + run},
		append([]string{"run", "--name", "app", "--workers", "2", "--"}, goCommand(t)...))
	enter(t, group, a.cmd.Process.Pid)
	curl(t, "http://"+address+"/") // which starts it
	st := whole(a, 0)
	other := st.Workers[1]
	for i, row := range []struct {
		way  string
		do   func(master.Worker) error
		want string
	}{
		{"for its hunger", func(w master.Worker) error {
			alone(t, group, w.PID)
			return syscall.Kill(w.PID, syscall.SIGUSR2)
		}, plain + ": out of memory (oom_kill rose to 1 in " + group + "/memory.oom_control)"},
		{"by hand", func(w master.Worker) error { return syscall.Kill(w.PID, syscall.SIGKILL) }, plain},
		{"by the master", func(w master.Worker) error {
			killedHog(t, group)
			curl(t, "--fail", "--unix-socket", filepath.Join(run, "control.sock"), "-X", "POST", fmt.Sprintf("http://app/v1/workers/%d/kill", w.ID))
			return nil
		}, plain},
	} {
		if err := row.do(st.Workers[0]); err != nil {
			t.Fatal(err)
		}
		st = whole(a, i+1)
		if e := st.Workers[0].LastExit; e == nil || e.Signal == nil || *e.Signal != "SIGKILL" || e.Code != nil || e.Reason != row.want {
			t.Errorf("killed %s: the last exit is %+v, want %q and its signal", row.way, e, row.want)
		}
		if table := a.rondo("status", "app"); !strings.Contains(table, row.want+"\n") {
			t.Errorf("killed %s: rondo status tells %s, want %q", row.way, table, row.want)
		}
		if is := st.Workers[1]; is.PID != other.PID || is.Restarts != 0 {
			t.Errorf("killed %s: the other worker is %+v, was %+v", row.way, is, other)
		}
	}
}

// whole waits until both workers are ready, the first one's slot after so many restarts.
func whole(a *activated, restarts int) master.Status {
	a.t.Helper()
	for limit := time.Now().Add(patience); ; {
		st := a.status()
		if ready(st) == 2 && len(st.Workers) == 2 && st.Workers[0].Restarts == restarts {
			return st
		}
		if time.Now().After(limit) {
			a.t.Fatalf("never whole with %d restarts; status %+v", restarts, st)
		}
		runtime.Gosched()
	}
}

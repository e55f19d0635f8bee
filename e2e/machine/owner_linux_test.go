package machine

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// owner boots a machine, tells where it is and waits to be killed.
func owner() int {
	// What a test would do, without one: a testing.T cannot be had here.
	dir, err := treesDir()
	if err == nil {
		var root string
		if root, err = tree(dir, Bookworm, os.Stderr); err == nil {
			err = own(dir, root)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func own(dir, root string) error {
	k, err := newKeeper(dir, root)
	if err != nil {
		return err
	}
	b, err := k.boot(Config{Suite: Bookworm})
	if err != nil {
		return errors.Join(err, k.end())
	}
	fmt.Println(k.cgroup.path)
	<-b.ended
	return errors.New("the machine ended")
}

func TestKilledOwnerLeavesNothing(t *testing.T) {
	Boot(t, Config{Suite: Bookworm}) // or skip
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVar+"=owner")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	defer func() {
		if !killed {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the owner said nothing: %v", err)
	}
	path := line[:len(line)-1]
	if n := len(processes(path)); n < 4 {
		t.Fatalf("%d processes in %s, want a machine", n, path)
	}

	// While the owner lives a sweep leaves its machine alone.
	swept(t)
	if n := len(processes(path)); n < 4 {
		t.Fatalf("%d processes are left after a sweep, want the machine", n)
	}

	killed = true
	cmd.Process.Kill()
	cmd.Wait()
	if err := awaitEmpty(path, 10*time.Second); err != nil {
		t.Errorf("after kill -9 of its owner: %v", err)
	}
	swept(t)
	_, all, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		if _, err := os.Stat(filepath.Join(h, filepath.Base(path))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after a sweep its cgroup is in %s: %v", h, err)
		}
	}
}

func TestSweepKillsWhatHasNoOwner(t *testing.T) {
	Boot(t, Config{Suite: Bookworm}) // or skip
	v2, _, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.MkdirTemp(v2, cgroupPrefix)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "infinity")
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &unix.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	err = cmd.Start()
	dir.Close()
	if err != nil {
		t.Fatal(err)
	}
	swept(t)
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the process without an owner: %v, want killed", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its cgroup is still there: %v", err)
	}
}

// swept does what every Boot does first.
func swept(t *testing.T) {
	t.Helper()
	dir, err := treesDir()
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
}

func TestTreeThatCannotBootSaysWhy(t *testing.T) {
	Boot(t, Config{Suite: Bookworm}) // or skip
	dir, err := treesDir()
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKeeper(dir, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.boot(Config{Suite: Bookworm}); err == nil || !strings.Contains(err.Error(), "stage/root") {
		t.Errorf("boot of an empty tree: %v, want what systemd-nspawn says of it", err)
	}
	if err := k.end(); err != nil {
		t.Error(err)
	}
}

func TestClosedMachineLeavesNothingInThisProcess(t *testing.T) {
	Boot(t, Config{Suite: Bookworm}).Close() // what the runtime opens once is open now
	held := func() (descriptors, goroutines int) {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open), runtime.NumGoroutine()
	}
	descriptors, goroutines := held()
	m := Boot(t, Config{Suite: Bookworm})
	m.Start(Command{Args: []string{"sleep", "infinity"}})
	m.AwaitEntry(Filter{}, func(Entry) bool { return true })
	m.Await("init.scope", func(map[string]string) bool { return true })
	if conn, err := m.Dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		conn.Close()
	}
	m.Reboot()
	m.Close()
	limit := time.Now().Add(10 * time.Second)
	for {
		d, g := held()
		if d <= descriptors && g <= goroutines {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("%d descriptors and %d goroutines, %d and %d before", d, g, descriptors, goroutines)
		}
		runtime.Gosched() // a goroutine that has done its work may still be ending
	}
}

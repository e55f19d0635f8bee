//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/master"
)

// upgraded is what rondo status tells, and what became of the last upgrade.
type upgraded struct {
	master.Status
	Upgrade *struct {
		From  string
		Error *string
	}
}

// unmanaged is rondo without an init system, as in a container.
type unmanaged struct {
	t        *testing.T
	dir      string
	env      []string
	address  string
	cmd      *exec.Cmd
	exited   chan struct{}
	out, log *lockedBuffer
}

// runUnmanaged runs the program of host.survive and waits until it is served.
func runUnmanaged(t *testing.T, program string) *unmanaged {
	t.Helper()
	a := &unmanaged{t: t, dir: t.TempDir(), exited: make(chan struct{}),
		address: fmt.Sprintf("%s:%d", loopback(), 1024+rand.IntN(20000)),
		out:     &lockedBuffer{wrote: make(chan struct{}, 1)}, log: &lockedBuffer{wrote: make(chan struct{}, 1)}}
	a.env = append(os.Environ(), "XDG_RUNTIME_DIR="+a.dir, "RONDO_FAULT_FILE="+a.dir+"/fault")
	// It also counts fast: many lines are in the pipe, and one of them half read, at any time.
	text := surviving(t, "3000") + `
let m = 0;
setInterval(() => { for (let i = 0; i < 200; i++) console.log(` + "`tick fast-${process.pid} ${m++} ${'-'.repeat(99)}`" + `); }, 40).unref();
`
	if err := os.WriteFile(filepath.Join(a.dir, "server.js"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(a.dir+"/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	a.put(program)
	a.cmd = exec.Command(a.dir+"/bin/rondo", "run", "--name", "app", "--workers", "2", "--drain-timeout", "5s",
		"--listen", a.address+"=3000", "--", node(t, 20), "server.js")
	a.cmd.Dir, a.cmd.Env = a.dir, a.env
	a.cmd.Stdout, a.cmd.Stderr = struct{ io.Writer }{a.out}, struct{ io.Writer }{a.log} // no other methods of a Buffer
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		a.cmd.Wait()
		close(a.exited)
	}()
	t.Cleanup(func() {
		a.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-a.exited:
		case <-time.After(patience):
			a.cmd.Process.Kill()
			<-a.exited
			t.Error("SIGTERM does not end rondo")
		}
		if t.Failed() {
			t.Logf("its log:\n%s", a.log.String())
		}
	})
	a.log.until(t, "msg=serving")
	return a
}

// put has another program be at the path that a was started from.
func (a *unmanaged) put(program string) {
	a.t.Helper()
	from, err := os.Open(program)
	if err != nil {
		a.t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(a.dir+"/bin/new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err == nil {
		_, err = io.Copy(to, from)
	}
	if err == nil {
		err = to.Close()
	}
	if err == nil {
		err = os.Rename(a.dir+"/bin/new", a.dir+"/bin/rondo")
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// rondo runs one more command of the program.
func (a *unmanaged) rondo(args ...string) (string, error) {
	cmd := exec.Command(a.dir+"/bin/rondo", args...)
	cmd.Env = a.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("rondo %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), err
}

func (a *unmanaged) status() (u upgraded) {
	a.t.Helper()
	out, err := a.rondo("status", "app", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &u)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

// until waits until the status is as wanted; in an upgrade there is none for a moment.
func (a *unmanaged) until(what string, is func(upgraded) bool) (u upgraded) {
	a.t.Helper()
	for limit := time.Now().Add(patience); ; runtime.Gosched() {
		out, err := a.rondo("status", "app", "--json")
		if err == nil {
			u = upgraded{}
			err = json.Unmarshal([]byte(out), &u)
		}
		if err == nil && is(u) {
			return u
		}
		select {
		case <-a.exited:
			a.t.Fatalf("rondo ended before %s: %v", what, a.cmd.ProcessState)
		default:
		}
		if time.Now().After(limit) {
			a.t.Fatalf("never %s: %+v, %v", what, u, err)
		}
	}
}

func (a *unmanaged) signal(sig syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(sig); err != nil {
		a.t.Fatal(err)
	}
}

// fault has the next program at that point do what the line says.
func (a *unmanaged) fault(line string) {
	a.t.Helper()
	if err := os.WriteFile(a.dir+"/fault", []byte(line), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// reached waits until the fault has happened.
func (a *unmanaged) reached() {
	a.t.Helper()
	for limit := time.Now().Add(patience); ; runtime.Gosched() {
		if _, err := os.Stat(a.dir + "/fault"); os.IsNotExist(err) {
			return
		}
		if time.Now().After(limit) {
			a.t.Fatal("the fault never happened")
		}
	}
}

// signals are the lines of a process's status about what it blocks and ignores.
func (a *unmanaged) signals(pid int) string {
	a.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		a.t.Fatal(err)
	}
	return strings.Join(regexp.MustCompile(`(?m)^(SigBlk|SigIgn):.*$`).FindAllString(string(text), -1), " ")
}

// listener is the inode of the listening socket.
func (a *unmanaged) listener() string {
	a.t.Helper()
	var ip [4]byte
	var port int
	fmt.Sscanf(a.address, "%d.%d.%d.%d:%d", &ip[0], &ip[1], &ip[2], &ip[3], &port)
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], port)
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		a.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 9 && f[1] == local && f[3] == "0A" {
			return f[9]
		}
	}
	a.t.Fatalf("nobody listens on %s", a.address)
	return ""
}

// loads runs the three kinds of clients.
func (a *unmanaged) loads() func() ledger.Report {
	a.t.Helper()
	stop := loads(&service{t: a.t, address: a.address})
	return func() ledger.Report { return stop(a.t) }
}

// descriptors is how many the master has open.
func (a *unmanaged) descriptors() int {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.cmd.Process.Pid))
	if err != nil {
		a.t.Fatal(err)
	}
	return len(open)
}

// ticks fails the test if a worker's counting has a gap in the output.
func (a *unmanaged) ticks() {
	a.t.Helper()
	a.out.Lock()
	defer a.out.Unlock()
	next := map[string]int{}
	for line := range strings.Lines(a.out.String()) {
		var slot int
		var pid string
		var n int
		if _, err := fmt.Sscanf(line, "[%d] tick %s %d", &slot, &pid, &n); err != nil {
			a.t.Errorf("output has %q: %v", line, err)
		} else if n != next[pid] {
			a.t.Errorf("the output of worker %s goes from %d to %d", pid, next[pid]-1, n)
		}
		next[pid] = n + 1
	}
	if len(next) < 2 {
		a.t.Errorf("the output has the counting of %d workers, want 2 at least", len(next))
	}
}

func workersOf(u upgraded) map[int]int {
	found := map[int]int{}
	for _, w := range u.Workers {
		found[w.PID] = w.ID
	}
	return found
}

func TestUpgradesWithoutAnInitSystemLoseNothing(t *testing.T) {
	release, next := rondo(t), nextBuild.path(t)
	a := runUnmanaged(t, release)
	before := a.status()
	stop := a.loads()
	workers, listener, signals := workersOf(before), a.listener(), a.signals(before.Workers[0].PID)
	programs := []struct{ path, version string }{{next, nextBuild.version}, {release, before.Version}}
	upgrades, open := max(4, count(100)), 0
	for i := range upgrades {
		p := programs[i%2]
		a.put(p.path)
		if i%4 < 2 {
			if out, err := a.rondo("upgrade", "app"); err != nil {
				t.Fatalf("upgrade %d: %q, %v", i+1, out, err)
			}
		} else {
			a.signal(syscall.SIGUSR2)
		}
		now := a.until("version "+p.version, func(u upgraded) bool { return u.Version == p.version })
		if fmt.Sprint(workersOf(now)) != fmt.Sprint(workers) || now.PID != before.PID || now.Adopted != i+1 {
			t.Fatalf("upgrade %d: %+v, before %+v", i+1, now, before)
		}
		if i == 1 {
			open = a.descriptors()
		}
	}
	a.put(next)
	a.fault("panic 0 before adoption")
	if out, err := a.rondo("upgrade", "app"); err == nil || !strings.Contains(err.Error(), "gave up: panic: fault: at before adoption; version "+before.Version+" serves on") {
		t.Errorf("upgrade to a version that panics = %q, %v", out, err)
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", before.PID)); string(name) != "rondo\n" {
		t.Errorf("the process is called %q, %v", name, err)
	}
	if now := a.listener(); now != listener {
		t.Errorf("the listening socket is %s, before %s", now, listener)
	}
	if out, err := a.rondo("reload", "app"); err != nil {
		t.Fatalf("reload: %q, %v", out, err)
	}
	a.until("left by the workers of before", func(u upgraded) bool { return len(u.Workers) == len(workers) })
	if now := a.signals(a.status().Workers[1].PID); now != signals {
		t.Errorf("a worker that was started after an upgrade has %s, before %s", now, signals)
	}
	sum := stop()
	if now := a.descriptors(); now > open { // with those of connections under way
		t.Errorf("%d descriptors after %d upgrades, %d after two", now, upgrades, open)
	}
	a.signal(syscall.SIGTERM)
	<-a.exited
	if code := a.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("rondo exited with %d", code)
	}
	a.ticks()
	told(t, "%d upgrades and a reload: %d requests, %d answered, %d lost, %d closed-idle", upgrades, sum.Requests, sum.Answered, sum.Lost, sum.ClosedIdle)
}

// TestSignalsInAnUpgrade sends signals while one program takes the place of another.
func TestSignalsInAnUpgrade(t *testing.T) {
	next := nextBuild.path(t)
	a := runUnmanaged(t, next)
	generation := func(n int) func(upgraded) bool {
		return func(u upgraded) bool { return u.Generation == n && u.Reload.State == "done" }
	}

	// After the master has ended, and before exec(2).
	a.fault("300ms 0 before exec")
	adopted := a.status().Adopted
	a.signal(syscall.SIGUSR2)
	a.reached()
	a.signal(syscall.SIGHUP)
	a.until("reloaded by a SIGHUP that came in an upgrade", generation(2))
	if now := a.status().Adopted; now != adopted+1 {
		t.Errorf("adopted %d times, before %d", now, adopted)
	}
	// In the new program, before it listens to anything else.
	a.fault("300ms 0 after exec")
	a.signal(syscall.SIGUSR2)
	a.reached()
	a.signal(syscall.SIGHUP)
	a.until("reloaded by a SIGHUP that came early", generation(3))

	// All the time: most are refused, and none ends it.
	stop, ended := make(chan struct{}), make(chan int)
	go func() { // ends with stop
		for n := 0; ; n++ {
			select {
			case <-stop:
				ended <- n
				return
			case <-time.After(time.Millisecond):
				a.cmd.Process.Signal(syscall.SIGHUP)
			}
		}
	}()
	upgrades := max(3, count(30))
	for range upgrades {
		before := a.until("there", func(upgraded) bool { return true }).Adopted
		out, err := a.rondo("upgrade", "app")
		for err != nil && strings.Contains(err.Error(), "a reload is about to begin; try again") { // of one of the signals
			out, err = a.rondo("upgrade", "app")
		}
		if err != nil {
			t.Fatalf("rondo upgrade: %q, %v", out, err)
		}
		a.until("upgraded", func(u upgraded) bool { return u.Adopted > before })
	}
	close(stop)
	told(t, "%d upgrades under %d SIGHUPs", upgrades, <-ended)

	a.fault("300ms 0 before exec")
	a.signal(syscall.SIGUSR2)
	a.reached()
	a.signal(syscall.SIGTERM)
	<-a.exited
	if code := a.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(a.log.String(), "msg=upgraded") {
		t.Errorf("a SIGTERM in an upgrade ended rondo with %v", a.cmd.ProcessState)
	}
}

//go:build !portable

package cgroup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/sys"
)

func init() {
	roles["idle"] = idle
	roles["service"] = service
}

// idle says that it is up, and lasts until its standard input ends.
func idle() int {
	fmt.Println("up")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// service does what each line says, and answers by one line.
func service() int {
	os.Setenv("SYSTEMD_EXEC_PID", strconv.Itoa(os.Getpid()))
	fmt.Println("up")
	child := exec.Command("sleep", "100") // which belongs to it, and ends with its group
	if err := child.Start(); err != nil {
		fmt.Println(err)
	}
	var list []Process
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verb, text, _ := strings.Cut(lines.Text(), " ")
		var err error
		var answer any
		switch verb {
		case "unit":
			os.Setenv("SYSTEMD_EXEC_PID", text)
			answer = Unit()
		case "leftovers":
			keep, _ := strconv.Atoi(text)
			list, err = Leftovers([]int{keep}, nil)
			slices.SortFunc(list, func(a, b Process) int { return a.PID - b.PID })
			answer = list
		case "others": // as if the pids had been used again
			for i := range list {
				list[i].began--
			}
			answer = len(list)
		case "kill":
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			err, answer = Kill(ctx, list), "killed"
			cancel()
		}
		if err != nil {
			answer = err
		}
		fmt.Println(answer)
	}
	return 0
}

// control is a control group of the test, made where that is possible.
type control struct {
	t   *testing.T
	dir string
}

func newControl(t *testing.T, name string) *control {
	t.Helper()
	own, err := here().own()
	if err != nil {
		t.Skipf("not checked in a real control group: %v", err)
	}
	top, err := os.MkdirTemp(own.dir, "rondo-cgroup-test-")
	if err != nil {
		t.Skipf("not checked in a real control group: %v", err)
	}
	t.Cleanup(func() { os.Remove(top) })
	c := &control{t, filepath.Join(top, name)}
	return c.make()
}

func (c *control) make() *control {
	c.t.Helper()
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(c.remove)
	return c
}

// below makes a group in c.
func (c *control) below(name string) *control {
	c.t.Helper()
	return (&control{c.t, filepath.Join(c.dir, name)}).make()
}

// child is a process in a group of the test.
type child struct {
	t     *testing.T
	pid   int
	stdin io.Writer
	lines *bufio.Reader
	end   *sys.Handle
	reap  func() // once it has ended
}

// start starts one that plays role. It is ended with the test, with all that is in c.
func (c *control) start(role string, environ ...string) *child {
	c.t.Helper()
	used[role] = true
	exe, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	dir, err := os.Open(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), roleKey+"="+role), environ...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Setpgid: true}
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	end, err := sys.OpenHandle(cmd.Process.Pid)
	if err != nil {
		c.t.Fatal(err)
	}
	reap := sync.OnceFunc(func() { cmd.Wait() }) // killed, so it has no good end
	c.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		reap()
		end.Close()
	})
	p := &child{c.t, cmd.Process.Pid, stdin, bufio.NewReader(stdout), end, reap}
	if got := p.line(); got != "up" {
		c.t.Fatalf("%s said %q", role, got)
	}
	return p
}

// remove waits for what was killed to leave the group, of which there is no event
// without a process of ours in it.
func (c *control) remove() {
	c.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var err error
	for range 10_000 {
		if err = os.Remove(c.dir); err == nil {
			return
		}
		<-tick.C
	}
	c.t.Error(err)
}

func (p *child) line() string {
	p.t.Helper()
	text, err := p.lines.ReadString('\n')
	if err != nil {
		p.t.Fatalf("process %d: %v", p.pid, err)
	}
	return strings.TrimSuffix(text, "\n")
}

// ask says a line to a service, and gives its answer.
func (p *child) ask(format string, args ...any) string {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.stdin, format+"\n", args...); err != nil {
		p.t.Fatal(err)
	}
	return p.line()
}

// lives fails the test if the process has ended.
func (p *child) lives(what string) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	cancel()
	if p.end.Wait(ctx) == nil {
		p.t.Errorf("%s has ended", what)
	}
}

// gone waits for the end of the process.
func (p *child) gone() {
	p.t.Helper()
	if err := p.end.Wait(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

func TestAnEarlierRunIsKilledAndNothingElse(t *testing.T) {
	c := newControl(t, "app.service")
	main := c.start("service")
	kept := c.start("idle", "RONDO_WORKER_ID=7")
	helper := c.start("idle", "RONDO_WORKER_ID=7")
	old := c.start("idle")
	under := c.below("sub").start("idle", "RONDO_WORKER_ID=8")

	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSpace(string(comm))
	want := fmt.Sprintf("[%s (%d) %s (%d)]", name, old.pid, name, under.pid)
	if got := main.ask("leftovers %d", kept.pid); got != want {
		t.Fatalf("left over are %s, want %s", got, want)
	}
	main.ask("others")
	if got := main.ask("kill"); got != "killed" {
		t.Errorf("kill = %s", got)
	}
	old.lives("a process with the pid of a leftover")

	main.ask("leftovers %d", kept.pid)
	if got := main.ask("kill"); got != "killed" {
		t.Errorf("kill = %s", got)
	}
	old.gone()
	under.gone()
	for what, p := range map[string]*child{"a kept worker": kept, "its helper": helper, "the service": main} {
		p.lives(what)
	}
	old.reap()
	if got := main.ask("kill"); got != "killed" {
		t.Errorf("kill of what has ended = %s", got)
	}
	if got := main.ask("leftovers %d", kept.pid); got != "[]" {
		t.Errorf("left over after the kill are %s", got)
	}
}

func TestAProcessThatLeftTheGroupIsSpared(t *testing.T) {
	c, other := newControl(t, "app.service"), newControl(t, "app.service2")
	main, old := c.start("service"), c.start("idle")
	if got := main.ask("leftovers 0"); !strings.Contains(got, strconv.Itoa(old.pid)) {
		t.Fatalf("left over are %s, want %d", got, old.pid)
	}
	if err := os.WriteFile(filepath.Join(other.dir, "cgroup.procs"), []byte(strconv.Itoa(old.pid)), 0); err != nil {
		t.Fatal(err)
	}
	if got := main.ask("kill"); got != "killed" {
		t.Errorf("kill = %s", got)
	}
	old.lives("a process that has left")
}

func TestOnlyWhatSystemdStartedItselfIsOfAUnit(t *testing.T) {
	main := newControl(t, "app.service").start("service")
	for pid, want := range map[int]string{main.pid: "app.service", os.Getpid(): ""} {
		if got := main.ask("unit %d", pid); got != want {
			t.Errorf("the unit of %d, where systemd started %d, is %q, want %q", main.pid, pid, got, want)
		}
	}
	person := newControl(t, "session-1.scope").start("service")
	if got := person.ask("unit %d", person.pid); got != "" {
		t.Errorf("the unit of a session is %q, want none", got)
	}
}

func TestAwaitNamesWhoLives(t *testing.T) {
	self, err := sys.OpenHandle(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	err = await(ctx, []victim{{Process{PID: 7, Comm: "node"}, self}})
	if err == nil || err.Error() != "killed, and did not end: node (7): enough" {
		t.Errorf("await = %v", err)
	}
}

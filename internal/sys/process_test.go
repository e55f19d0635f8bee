package sys

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	roles["exit 7"] = func() int { return 7 }
	roles["wait"] = wait
	roles["leave one behind"] = leaveOneBehind
	roles["say hello"] = func() int {
		dir, _ := os.Getwd()
		fmt.Fprint(os.NewFile(3, "three"), strings.Join(os.Args, " "), " in ", dir, ", X=", os.Getenv("X"))
		return 0
	}
}

// wait says that it is up, and lasts until standard input ends, which it does not.
func wait() int {
	fmt.Println("up")
	os.Stdin.Read(make([]byte, 1))
	return 0
}

// leaveOneBehind ends after it has started a process that waits.
func leaveOneBehind() int {
	path, err := os.Executable()
	if err != nil {
		return 1
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), roleKey+"=wait")
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	if err := cmd.Start(); err != nil {
		return 1
	}
	return 0
}

func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pipes gives the ends of a child's standard input and output, closed with the test.
func pipes(t *testing.T) (in, stdin, out, stdout *os.File) {
	t.Helper()
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{in, stdin, out, stdout} {
			f.Close()
		}
	})
	return in, stdin, out, stdout
}

// ended waits for the end of p as the master does.
func ended(t *testing.T, p *Process) {
	t.Helper()
	poller, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer poller.Close()
	if err := poller.Watch(p.ExitFD, 7, Read); err != nil {
		t.Fatal(err)
	}
	ready, err := poller.Wait(nil, time.Minute)
	for err == nil && len(ready) == 0 { // a signal, such as that of the end
		ready, err = poller.Wait(nil, time.Minute)
	}
	if err != nil || len(ready) != 1 || ready[0].Tag != 7 || !ready[0].Read {
		t.Fatalf("ExitFD: ready %+v, %v, want readable", ready, err)
	}
	if err := poller.Watch(p.ExitFD, 0, 0); err != nil {
		t.Fatal(err)
	}
}

func TestAChildGetsWhatItsCommandSays(t *testing.T) {
	census(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := null(t)
	c := as(t, "say hello", n, n, 2, int(w.Fd()))
	c.Args, c.Dir = []string{"one", "two"}, "/"
	c.Env = append(c.Env, "X=y")
	p, err := Start(c)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := readAll(t, r), "one two in /, X=y"; got != want {
		t.Errorf("the child found %q, want %q", got, want)
	}
	ended(t, p)
	if status, err := p.Reap(); err != nil || !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("Reap = %v, %v, want exit status 0", status, err)
	}
}

func TestReapGivesTheExitCode(t *testing.T) {
	census(t)
	n := null(t)
	p, err := Start(as(t, "exit 7", n, n, 2))
	if err != nil {
		t.Fatal(err)
	}
	ended(t, p)
	if err := p.Signal(syscall.SIGTERM); err != nil && err != unix.ESRCH {
		t.Errorf("Signal to a process that has ended = %v, want nil or ESRCH", err)
	}
	status, err := p.Reap()
	if err != nil || !status.Exited() || status.ExitStatus() != 7 {
		t.Errorf("Reap = %v, %v, want exit status 7", status, err)
	}
}

func TestReapGivesTheSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		census(t)
		_, stdin, out, stdout := pipes(t)
		p, err := Start(as(t, "wait", int(stdin.Fd()), int(stdout.Fd()), 2))
		if err != nil {
			t.Fatal(err)
		}
		out.Read(make([]byte, 3))
		if err := p.Signal(sig); err != nil {
			t.Errorf("Signal(%v) = %v, want nil", sig, err)
		}
		ended(t, p)
		status, err := p.Reap()
		if err != nil || !status.Signaled() || status.Signal() != sig {
			t.Errorf("Reap = %v, %v, want signal %v", status, err, sig)
		}
	}
}

func TestKillGroupEndsWhatAChildLeftBehind(t *testing.T) {
	census(t)
	_, stdin, out, stdout := pipes(t)
	used.Store("wait", true)
	p, err := Start(as(t, "leave one behind", int(stdin.Fd()), int(stdout.Fd()), 2))
	if err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	ended(t, p)
	if n, _ := out.Read(make([]byte, 3)); n != 3 {
		t.Fatalf("the one left behind said %d bytes, want 3", n)
	}
	if err := p.KillGroup(); err != nil {
		t.Errorf("KillGroup = %v, want nil", err)
	}
	if got := readAll(t, out); got != "" { // ends when nobody has the other end
		t.Errorf("read %q of the one left behind, want its end", got)
	}
	if _, err := p.Reap(); err != nil {
		t.Errorf("Reap = %v, want nil", err)
	}
}

func TestAChildHasAGroupOfItsOwn(t *testing.T) {
	census(t)
	in, stdin, out, stdout := pipes(t)
	p, err := Start(as(t, "wait", int(stdin.Fd()), int(stdout.Fd()), 2))
	if err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 3))
	if group, err := unix.Getpgid(p.PID); group != p.PID || err != nil {
		t.Errorf("the group of process %d is %d, %v, want its own", p.PID, group, err)
	}
	in.Close()
	stdin.Close()
	ended(t, p)
	p.Reap()
}

func TestStartOfNothingIsAnErrorAndLeavesNothing(t *testing.T) {
	census(t)
	n := null(t)
	p, err := Start(Command{Path: "/no/such/program", Args: []string{"x"}, Files: []int{n, n, n}})
	if err != unix.ENOENT {
		t.Errorf("Start = %v, %v, want %v", p, err, unix.ENOENT)
	}
}

//go:build !portable

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() { roles["sweeper"] = sweepRole }

// sweepRole is systemd-sweep, started by a systemd that has the job of its environment.
func sweepRole() int {
	os.Setenv("SYSTEMD_EXEC_PID", strconv.Itoa(os.Getpid()))
	c := systemdCommand{name: "app", patience: patience}
	c.plan = func(context.Context) (plan, error) {
		job, socket, _ := strings.Cut(os.Getenv("JOB"), " and ")
		if job == "unknown" {
			return plan{}, errors.New("no answer")
		}
		p := plan{job: job}
		if socket != "" {
			p.before = []string{socket}
		}
		return p, nil
	}
	if err := c.sweep(context.Background(), func(err error) { fmt.Println(err) }); err != nil {
		fmt.Println("error:", err)
		return exitFailed
	}
	return exitDone
}

// newGroup makes the control group of app.service, for the processes of a test.
func newGroup(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	mount := ""
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.Contains(line, " - cgroup2 ") && f[3] == "/" {
			mount = f[4]
		}
	}
	top, err := os.MkdirTemp(mount, "rondo-sweep-test-")
	if mount == "" || err != nil {
		t.Skipf("not checked in a real control group: %q, %v", mount, err)
	}
	group := filepath.Join(top, "app.service")
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // a process leaves its group a moment after its end
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for range 10_000 {
			if err = errors.Join(os.Remove(group), os.Remove(top)); errors.Is(err, unix.ENOENT) || err == nil {
				return
			}
			<-tick.C
		}
		t.Error(err)
	})
	return group
}

// in has cmd start in a control group.
func in(t *testing.T, group string, cmd *exec.Cmd) {
	t.Helper()
	dir, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Setpgid: true}
}

func TestOnlyAFinalStopIsSwept(t *testing.T) {
	group := newGroup(t)
	left := exec.Command("sleep", "1000")
	in(t, group, left)
	p := start(t, left)
	pid := strconv.Itoa(left.Process.Pid)
	marked := newHome(t).dir
	if err := os.WriteFile(filepath.Join(marked, "unended"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ job, result, want string }{
		{"restart", "success", ""},
		{"restart and restart app.socket", "signal", ""},
		{"", "signal", ""},
		{"", "success", "error: " + errUnasked.Error() + "\n"},
		{"start", "timeout", ""},
		{"unknown", "success", "whether this stop is final is not known, so the next start has to end what is left, sleep (" + pid + "): no answer\n"},
		{"stop", "success", "processes left in the stopped service are killed: sleep (" + pid + ")\n"},
		{"stop", "success", ""}, // nothing is
		{"", "success", "error: " + errUnasked.Error() + "\n"},
		{"restart", "success", ""},
		{"restart and restart app.socket", "success", ""},
	} {
		if row.want != "" && row.job == "stop" {
			p.lives()
		}
		sweep := exec.Command(binary)
		sweep.Args[0] = "sweeper" // which is not rondo
		sweep.Env = append(newHome(t).env, role("sweeper"), "JOB="+row.job, "SERVICE_RESULT="+row.result)
		in(t, group, sweep)
		sweep.Env = append(sweep.Env, "RUNTIME_DIRECTORY="+marked)
		out, err := sweep.CombinedOutput()
		if failed := strings.HasPrefix(row.want, "error: "); (err != nil) != failed || string(out) != row.want {
			t.Errorf("with job %q and result %s: %v, told %q, want %q", row.job, row.result, err, out, row.want)
		}
	}
	if code := p.ends(); code != -1 {
		t.Errorf("what was left exited with %d, want to be killed", code)
	}
}

//go:build !portable

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/internal/sys"
	"github.com/rondokit/rondo/internal/systemd"
)

func init() { roles["leaver"] = leaver }

// leaver is a master that does with a leave what its environment says: it ends, before
// or after its answer, it stays, or it refuses.
func leaver() int {
	path, err := control.Path("app")
	if err != nil {
		fmt.Println(err)
		return exitFailed
	}
	l, err := control.Listen(context.Background(), path)
	if err != nil {
		fmt.Println(err)
		return exitFailed
	}
	ctx, end := context.WithCancel(context.Background())
	server := control.Server{Listener: l, Backend: leaving{end: end}}
	fmt.Println("up")
	if err := server.Run(ctx); err != nil {
		return exitFailed
	}
	return exitDone
}

type leaving struct {
	control.Backend // asked for nothing else
	end             func()
}

func (b leaving) Status(context.Context) (any, error) {
	pid := os.Getpid()
	if os.Getenv("LEAVE") == "of another" {
		pid++
	}
	return map[string]any{"name": "app", "pid": pid}, nil
}

func (b leaving) Stop(context.Context) error {
	fmt.Println("drains")
	return nil
}

func (b leaving) Leave(context.Context) error {
	switch os.Getenv("LEAVE") {
	case "at once":
		os.Exit(exitDone)
	case "refused":
		return errors.New("the master is starting")
	case "answered":
		b.end()
	}
	return nil
}

// startLeaver starts such a master, which this process finds as systemd-stop would.
func startLeaver(t *testing.T, leave string) *process {
	t.Helper()
	h := newHome(t, "LEAVE="+leave, role("leaver"))
	h.env = append(h.env, "RUNTIME_DIRECTORY="+h.dir)
	t.Setenv("RUNTIME_DIRECTORY", h.dir)
	cmd := exec.Command(binary)
	cmd.Args[0] = "leaver" // which is not rondo
	cmd.Env = h.env
	p := start(t, cmd)
	p.stdout.await(t, p.exited, "up", 1)
	return p
}

// planned is a plan for a service of this process's account.
func planned(job string, before ...string) plan {
	return plan{job, before, systemd.Unit{Account: strconv.Itoa(os.Getuid())}}
}

// leaveFor has a service whose unit has that job be left by p.
func leaveFor(t *testing.T, p *process, job string, err error) error {
	t.Helper()
	c := systemdCommand{name: "app", patience: patience}
	c.plan = func(context.Context) (plan, error) { return planned(job), err }
	return c.leaveOrDrain(t.Context(), p.cmd.Process.Pid)
}

// lives fails the test unless p has not ended.
func (p *process) lives() {
	p.t.Helper()
	h, err := sys.OpenHandle(p.cmd.Process.Pid)
	if err != nil {
		p.t.Errorf("the master has ended: %v", err)
		return
	}
	defer h.Close()
	ended, cancel := context.WithCancel(p.t.Context())
	cancel()
	if h.Wait(ended) == nil {
		p.t.Error("the master has ended")
	}
}

func TestOnlyARestartHasTheMasterLeave(t *testing.T) {
	p := startLeaver(t, "answered")
	for i, job := range []string{"", "stop", "start", "reload"} {
		if err := leaveFor(t, p, job, nil); err != nil {
			t.Errorf("with job %q: %v", job, err)
		}
		p.stdout.await(t, p.exited, "drains", i+1)
	}
	err := leaveFor(t, p, "", errors.New("no answer"))
	if err == nil || !strings.Contains(err.Error(), "not known, so the service drains as for a stop: no answer") {
		t.Errorf("without an answer of systemd: %v, want that it drains", err)
	}
	p.lives()
	if err := leaveFor(t, p, "restart", nil); err != nil {
		t.Errorf("with job restart: %v", err)
	}
	if code := p.ends(); code != exitDone {
		t.Errorf("the master exited with %d", code)
	}
	if err := leaveFor(t, p, "restart", nil); err != nil {
		t.Errorf("of a master that has ended: %v", err)
	}
}

func TestAMasterMayEndBeforeItAnswers(t *testing.T) {
	p := startLeaver(t, "at once")
	if err := leaveFor(t, p, "restart", nil); err != nil {
		t.Error(err)
	}
	p.ends()
}

func TestAMasterThatDoesNotLeaveIsTold(t *testing.T) {
	for leave, want := range map[string]string{
		"refused":    "drains as for a stop: the master is starting",
		"not at all": " has not ended after 2s",
		"of another": " and the service's main process is ",
	} {
		p := startLeaver(t, leave)
		c := systemdCommand{name: "app", patience: 2 * time.Second}
		c.plan = func(context.Context) (plan, error) { return planned("restart"), nil }
		err := c.leaveOrDrain(t.Context(), p.cmd.Process.Pid)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a leave that is %s: %v, want %q", leave, err, want)
		}
		p.lives()
	}
}

func TestAStopWaitsNoLongerThanTheMasterLives(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir()) // where no master answers
	silent := exec.Command("sleep", "infinity")
	if err := silent.Start(); err != nil {
		t.Fatal(err)
	}
	defer silent.Wait()
	defer silent.Process.Kill()
	asked := make(chan struct{})
	c := systemdCommand{name: "app", patience: time.Hour}
	c.plan = func(context.Context) (plan, error) { close(asked); return planned("stop"), nil }
	done := make(chan error, 1)
	go func() { done <- c.leaveOrDrain(t.Context(), silent.Process.Pid) }()
	<-asked
	silent.Process.Kill()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it still asks a master that has ended")
	}
}

func TestCommandsOfSystemdAreForSystemd(t *testing.T) {
	h := newHome(t)
	h.fails(exitUsage, "systemd-stop is for systemd, which runs it for app.service: systemctl restart app.service", "systemd-stop", "app")
	h.fails(exitUsage, "systemd-sweep is for systemd, which runs it for app.service: systemctl stop app.service", "systemd-sweep", "app")
	h.fails(exitUsage, `"../x" is not a name`, "systemd-stop", "../x")
	h.fails(exitUsage, "systemd-sweep takes a NAME, not 2 arguments, like: ExecStopPost=", "systemd-sweep", "a", "b")
	for _, name := range []string{"systemd-stop", "systemd-sweep"} {
		if r := h.rondo("help"); strings.Contains(r.stdout, name) {
			t.Errorf("rondo help lists %s", name)
		}
		if r := h.rondo(name, "--help"); r.code != exitDone || !strings.Contains(r.stdout, "is what systemd runs") || !strings.Contains(r.stdout, "--user") {
			t.Errorf("%s --help = %d %q", name, r.code, r.stdout)
		}
	}
}

func TestSystemdStopNeverFails(t *testing.T) {
	h := newHome(t, "SERVICE_RESULT=success") // where no manager of this user runs
	for pid, want := range map[string]string{
		"":                        "",
		"gone":                    "",
		"2147483647":              "",
		strconv.Itoa(os.Getpid()): "rondo: systemd-stop: whether this is a restart is not known, so the service drains as for a stop: systemd does not run here for this user",
	} {
		h.env = append(h.env, "MAINPID="+pid)
		r := h.rondo("systemd-stop", "--user", "app")
		if r.code != exitDone || r.stdout != "" || !strings.HasPrefix(r.stderr, want) || (r.stderr == "") != (want == "") {
			t.Errorf("with MAINPID=%s: %d %q %q, want 0 and %q", pid, r.code, r.stdout, r.stderr, want)
		}
	}
}

func TestSystemdSweepLooksInItsServiceAlone(t *testing.T) {
	h := newHome(t, "SERVICE_RESULT=success")
	r := h.rondo("systemd-sweep", "app")
	if r.code != exitDone || !strings.Contains(r.stderr, `not one that systemd started for app.service, but for ""`) {
		t.Errorf("systemd-sweep = %d %q, want 0 and that nothing is looked for", r.code, r.stderr)
	}
}

func TestWhichStopIsFinal(t *testing.T) {
	for _, row := range []struct {
		job, result string
		want        bool
	}{
		{"stop", "success", true}, {"stop", "timeout", true}, {"stop", "signal", true}, {"", "success", true},
		{"", "signal", false}, {"", "exit-code", false}, {"", "watchdog", false}, {"", "core-dump", false}, {"", "", false},
		{"restart", "success", false}, {"restart", "timeout", false}, {"start", "timeout", false}, {"start", "success", false},
		{"start", "exec-condition", true}, {"", "exec-condition", true}, {"restart", "exec-condition", false},
	} {
		if got := final(plan{job: row.job}, row.result); got != row.want {
			t.Errorf("final(%q, %q) = %v, want %v", row.job, row.result, got, row.want)
		}
	}
	for result, want := range map[string]bool{"success": true, "timeout": true, "signal": false, "watchdog": false} {
		if got := final(planned("restart", "restart app.socket"), result); got != want {
			t.Errorf("of a restart with its socket, with %q: final = %v, want %v", result, got, want)
		}
	}
}

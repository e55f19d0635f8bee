//go:build linux

package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a command to run in a machine.
type Command struct {
	Args  []string      // required; found in PATH
	User  string        // an account of the machine; "" means root
	Env   []string      // added to PATH, LANG, HOME, USER, LOGNAME and, not for root, XDG_RUNTIME_DIR
	Dir   string        // "" means /
	Stdin io.Reader     // nil means none
	Limit time.Duration // after which it is killed; 0 means two minutes; not for Start
}

// ExitError is of a command that did not exit with 0.
type ExitError struct {
	Args   []string
	Code   int            // -1 if a signal ended it
	Signal syscall.Signal // or 0
	Stdout string
	Stderr string
}

func (e *ExitError) Error() string {
	end := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != 0 {
		end = e.Signal.String()
	}
	said := strings.TrimSpace(e.Stderr)
	if said == "" {
		said = strings.TrimSpace(e.Stdout)
	}
	return fmt.Sprintf("%s: %s: %s", strings.Join(e.Args, " "), end, said)
}

// Run runs a command as root and gives what it wrote to stdout, without the last
// newline. The error is an *ExitError if it did not exit with 0.
func (m *Machine) Run(args ...string) (string, error) {
	return m.RunIn(Command{Args: args})
}

// Must is Run for a command whose failure ends the test.
func (m *Machine) Must(args ...string) string {
	m.t.Helper()
	out, err := m.Run(args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// RunIn runs a command and waits for it, as Run does.
func (m *Machine) RunIn(c Command) (string, error) {
	limit := c.Limit
	if limit == 0 {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd, err := m.command(ctx, c)
	if err != nil {
		return "", err
	}
	out, err := finish(cmd, c.Args, m.launch)
	if ctx.Err() != nil {
		err = fmt.Errorf("machine: %s: still running after %v: %w", strings.Join(c.Args, " "), limit, err)
	}
	return out, err
}

// finish starts a command and waits for it.
func finish(cmd *exec.Cmd, args []string, start func(*exec.Cmd) error) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	out := strings.TrimSuffix(stdout.String(), "\n")
	return out, exitError(args, err, out, stderr.String())
}

// exitError makes the error of a command of that of its exec.Cmd.
func exitError(args []string, err error, stdout, stderr string) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		if err != nil {
			err = fmt.Errorf("machine: %s: %w", strings.Join(args, " "), err)
		}
		return err
	}
	e := &ExitError{Args: args, Code: exit.ExitCode(), Stdout: stdout, Stderr: stderr}
	if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		e.Signal = w.Signal()
	}
	return e
}

// command prepares a command; launch starts it.
func (m *Machine) command(ctx context.Context, c Command) (*exec.Cmd, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("machine: a command without Args")
	}
	if c.User == "" {
		c.User = "root"
	}
	a, err := m.account(c.User)
	if err != nil {
		return nil, err
	}
	// Only in a cgroup of the machine are commands its processes to its systemd,
	// which then may move them; so they enter its cgroup namespace last.
	args := []string{"--target=1", "--cgroup", "--"}
	if a.uid != "0" {
		args = append(args, "setpriv", "--reuid="+a.uid, "--regid="+a.gid, "--init-groups", "--")
	}
	cmd := exec.CommandContext(ctx, "/usr/bin/nsenter", append(args, c.Args...)...)
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
		"HOME=" + a.home, "USER=" + c.User, "LOGNAME=" + c.User, "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0",
	}, c.Env...)
	if a.uid != "0" { // as a login has it; root has none after sudo or ssh without PAM
		cmd.Env = append([]string{"XDG_RUNTIME_DIR=/run/user/" + a.uid}, cmd.Env...)
	}
	cmd.Stdin, cmd.Dir = c.Stdin, c.Dir
	if c.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.WaitDelay = 5 * time.Second // for a child that keeps its output open
	return cmd, nil
}

// launch starts a command in the machine.
func (m *Machine) launch(cmd *exec.Cmd) error {
	if m.boot.Load() == nil {
		return errOff
	}
	// Made anew if systemd has tidied it away.
	path := m.commands()
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("machine: cgroup: %w", err)
	}
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("machine: cgroup: %w", err)
	}
	defer dir.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Setsid: true}
	return m.inside(unix.CLONE_NEWNS|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC|unix.CLONE_NEWNET|unix.CLONE_NEWPID, cmd.Start)
}

// commands is the cgroup of what tests run in the machine.
func (m *Machine) commands() string { return filepath.Join(m.payload(), "commands") }

type account struct{ uid, gid, home string }

// account looks up a name, in the machine's file.
func (m *Machine) account(name string) (account, error) {
	if name == "root" {
		return account{"0", "0", "/root"}, nil
	}
	var text []byte
	err := m.inside(unix.CLONE_NEWNS, func() (err error) {
		text, err = os.ReadFile("/etc/passwd")
		return err
	})
	if err != nil {
		return account{}, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) == 7 && f[0] == name {
			return account{f[2], f[3], f[5]}, nil
		}
	}
	return account{}, fmt.Errorf("machine: no account %q", name)
}

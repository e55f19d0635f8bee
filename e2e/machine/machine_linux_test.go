package machine

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// roleVar makes the test binary something else: the value names one of roles.
const roleVar = "RONDO_MACHINE_ROLE"

var roles = map[string]func() int{"owner": owner, "builder": builder}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(roles[role]())
	}
	os.Exit(m.Run())
}

// on runs a test on a machine of each suite.
func on(t *testing.T, test func(t *testing.T, m *Machine)) {
	for _, s := range Suites() {
		t.Run(string(s), func(t *testing.T) { test(t, Boot(t, Config{Suite: s})) })
	}
}

func TestMachineRunsTheSystemdOfItsSuite(t *testing.T) {
	on(t, func(t *testing.T, m *Machine) {
		want := map[Suite]string{Bookworm: "systemd 252 ", Trixie: "systemd 257 "}[m.cfg.Suite]
		if got := m.Must("systemctl", "--version"); !strings.HasPrefix(got, want) {
			t.Errorf("systemctl --version = %q, want %q first", got, want)
		}
		if got := m.Must("cat", "/proc/1/comm"); got != "systemd" {
			t.Errorf("process 1 is %q, want systemd", got)
		}
		if got := m.Must("hostname"); got != string(m.cfg.Suite) {
			t.Errorf("hostname = %q, want %q", got, m.cfg.Suite)
		}
		fmt.Printf("machine: %s booted in %.2f s\n", m.cfg.Suite, m.BootTook().Seconds())
	})
}

func TestCommandsRunAsAskedAndSayHowTheyEnded(t *testing.T) {
	on(t, func(t *testing.T, m *Machine) {
		m.Must("useradd", "--create-home", "--groups", "mail", "app")
		out, err := m.RunIn(Command{
			Args: []string{"sh", "-c", `id -un; id -Gn; pwd; echo "$HOME $XDG_RUNTIME_DIR $MORE"; cat`},
			User: "app", Env: []string{"MORE=more"}, Dir: "/var", Stdin: strings.NewReader("given"),
		})
		if want := "app\napp mail\n/var\n/home/app /run/user/1000 more\ngiven"; err != nil || out != want {
			t.Errorf("as app: %q, %v, want %q", out, err, want)
		}
		if got := m.Must("cat", "/proc/self/cgroup"); !strings.HasSuffix(got, "0::/commands") {
			t.Errorf("a command is in cgroup %q, want one of the machine", got)
		}
		out, err = m.Run("sh", "-c", "echo some; echo wrong >&2; exit 3")
		exit, ok := errors.AsType[*ExitError](err)
		if out != "some" || !ok || exit.Code != 3 || exit.Stderr != "wrong\n" {
			t.Errorf("Run = %q, %v, want some and exit code 3: wrong", out, err)
		}
		_, err = m.Run("sh", "-c", "kill -USR1 $$")
		if exit, ok := errors.AsType[*ExitError](err); !ok || exit.Signal.String() != "user defined signal 1" {
			t.Errorf("Run = %v, want the signal", err)
		}
		if _, err = m.RunIn(Command{Args: []string{"true"}, User: "nobody-there"}); err == nil {
			t.Error("ran as an account that is not there")
		}
		_, err = m.RunIn(Command{Args: []string{"sleep", "infinity"}, Limit: 1})
		if err == nil || !strings.Contains(err.Error(), "still running") {
			t.Errorf("a command beyond its limit: %v", err)
		}
	})
}

func TestBackgroundCommandsAreFollowedAndSignalled(t *testing.T) {
	m := Boot(t, Config{Suite: Bookworm})
	p := m.Start(Command{Args: []string{"sh", "-c", `sleep infinity & trap 'echo told; kill $!; exit 7' TERM; echo $$; wait`}})
	if line := p.Line(func(string) bool { return true }); line != fmt.Sprint(p.PID()) {
		t.Errorf("PID() = %d, want %s as in the machine", p.PID(), line)
	}
	if host := m.HostPID(p.PID()); host != p.cmd.Process.Pid {
		t.Errorf("HostPID = %d, want %d", host, p.cmd.Process.Pid)
	}
	back := m.Baseline(p.PID())
	if open := m.Descriptors(p.PID()); len(open) < 3 || open[0] != "0 /dev/null" || !strings.HasPrefix(open[1], "1 pipe:") {
		t.Errorf("descriptors %v, want those it was started with", open)
	}
	back()
	if err := p.Signal(15); err != nil {
		t.Fatal(err)
	}
	p.Line(func(line string) bool { return line == "told" })
	if exit, ok := errors.AsType[*ExitError](p.Wait()); !ok || exit.Code != 7 {
		t.Errorf("Wait = %v, want exit code 7", p.Wait())
	}
}

func TestFilesAreWrittenCopiedAndBound(t *testing.T) {
	host := t.TempDir()
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "deep/data": 0o640} {
		if err := os.MkdirAll(host+"/deep", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(host+"/"+name, []byte("#!/bin/sh\necho "+name+"\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("tool", host+"/link"); err != nil {
		t.Fatal(err)
	}
	m := Boot(t, Config{Suite: Bookworm, Bind: map[string]string{"/opt/bound": host}})
	m.Copy(host, "/srv/all")
	m.Copy(host+"/tool", "/usr/local/bin/tool")
	for _, program := range []string{"/srv/all/link", "/usr/local/bin/tool", "/opt/bound/tool"} {
		if got := m.Must(program); got != "tool" {
			t.Errorf("%s says %q, want tool", program, got)
		}
	}
	if got := m.Must("stat", "-c", "%a %U %F", "/srv/all/deep/data", "/srv/all/link"); got != "640 root regular file\n777 root symbolic link" {
		t.Errorf("the copies are %q", got)
	}
	if _, err := m.Run("touch", "/opt/bound/tool"); err == nil {
		t.Error("what is bound can be written")
	}
	// /var/run is an absolute link, to be followed there and not here.
	m.WriteFile("/var/run/deep/er", 0o604, "text")
	if got := m.Must("stat", "-c", "%a", "/run/deep/er"); got != "604" {
		t.Errorf("mode %s, want 604", got)
	}
	if got, err := m.ReadFile("/var/run/deep/er"); err != nil || got != "text" {
		t.Errorf("ReadFile = %q, %v, want text", got, err)
	}
	if _, err := m.ReadFile("/absent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadFile of nothing: %v", err)
	}
}

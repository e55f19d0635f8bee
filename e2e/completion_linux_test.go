//go:build !portable

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestShellsCompleteNames asks the shells themselves, on a terminal: the name is begun,
// and the command runs with what TAB has made of it.
func TestShellsCompleteNames(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	if out, err := exec.Command("dpkg-deb", "--extract", filepath.Join(dist(t, "1.0.0"), debOf("1.0.0")), root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	env := append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir(), "TERM=dumb", "PATH="+root+"/usr/bin:"+os.Getenv("PATH"))
	served := exec.Command(root+"/usr/bin/rondo", "run", "--name", "blackbird", "--workers", "1", "--listen", loopback()+":3000", "--", node(t, 20), "../examples/node-http/server.js")
	served.Env = env
	out, err := served.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := served.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		served.Process.Signal(syscall.SIGTERM)
		if err := served.Wait(); err != nil {
			t.Errorf("rondo ended with %v", err)
		}
	}()
	said := seen{t: t, in: bufio.NewReader(out)}
	said.await("ready")
	go io.Copy(io.Discard, out) // ends with rondo

	for _, s := range []struct{ shell, setup string }{
		{"bash --norc --noprofile -i", fmt.Sprintf("source /usr/share/bash-completion/bash_completion; source %s/usr/share/bash-completion/completions/rondo", root)},
		{"zsh -f -i", fmt.Sprintf("fpath=(%s/usr/share/zsh/vendor-completions $fpath); autoload -Uz compinit; compinit -u -D", root)},
		{"fish --no-config -i", fmt.Sprintf("source %s/usr/share/fish/vendor_completions.d/rondo.fish", root)},
	} {
		name, _, _ := strings.Cut(s.shell, " ")
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				need(t, name, err)
			}
			cmd := exec.Command("script", "--quiet", "--flush", "--return", "--command", s.shell, "/dev/null")
			cmd.Env = append(env, "HOME="+t.TempDir())
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
				cmd.Wait()
			}()
			terminal := seen{t: t, in: bufio.NewReader(out)}
			io.WriteString(in, s.setup+"; echo set''tled\n")
			terminal.await("settled")
			io.WriteString(in, "rondo status bl\t\n")
			terminal.await("blackbird: ready")
		})
	}
}

// seen is what a program says.
type seen struct {
	t  *testing.T
	in *bufio.Reader
}

// await reads until it has said that.
func (s seen) await(text string) {
	s.t.Helper()
	var all strings.Builder
	found := make(chan error, 1)
	go func() { // ends with the program, if not before
		for !strings.Contains(all.String(), text) {
			b, err := s.in.ReadByte()
			if err != nil {
				found <- err
				return
			}
			all.WriteByte(b)
		}
		found <- nil
	}()
	select {
	case err := <-found:
		if err != nil {
			s.t.Fatalf("it ended (%v) without %q: %q", err, text, all.String())
		}
	case <-time.After(patience):
		s.t.Fatalf("it has not said %q", text)
	}
}

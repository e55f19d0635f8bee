package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience guards against a hang; no test measures it.
const patience = 30 * time.Second

// A process is a rondo that runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr *lines
	stdout *lines
	exited chan struct{} // closed after the last output
}

// start starts rondo; it is killed with its test.
func (h *home) start(args ...string) *process {
	h.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Dir = h.env, h.dir
	return start(h.t, cmd)
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, stderr: newLines(), stdout: newLines(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s wrote:\n%s%s", cmd, p.stdout, p.stderr)
		}
	})
	return p
}

// says waits until standard error has text.
func (p *process) says(text string) {
	p.t.Helper()
	p.stderr.await(p.t, p.exited, text, 1)
}

// repeats waits until standard error has text so many times.
func (p *process) repeats(text string, times int) {
	p.t.Helper()
	p.stderr.await(p.t, p.exited, text, times)
}

// signal sends sig.
func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the end and returns the exit code.
func (p *process) ends() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s did not end", p.cmd)
		return -1
	}
}

// lines is output that can be waited for.
type lines struct {
	mu   sync.Mutex // guards text and more
	text bytes.Buffer
	more chan struct{} // closed by the next write
}

func newLines() *lines { return &lines{more: make(chan struct{})} }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) await(t *testing.T, ended <-chan struct{}, text string, times int) {
	t.Helper()
	guard := time.After(patience)
	for {
		l.mu.Lock()
		got, more := l.text.String(), l.more
		l.mu.Unlock()
		if strings.Count(got, text) >= times {
			return
		}
		select {
		case <-more:
		case <-ended:
			if strings.Count(l.String(), text) < times {
				t.Fatalf("the process ended without %d times %q", times, text)
			}
			return
		case <-guard:
			t.Fatalf("no %d times %q in %q", times, text, got)
		}
	}
}

// service starts a rondo called app, with the demo's workers behind a unix
// socket, and waits until it serves.
func (h *home) service(flags ...string) *process {
	h.t.Helper()
	args := append([]string{"run", "--name", "app", "--workers", "2", "--listen", "unix:" + h.web() + "=3000"}, flags...)
	p := h.start(append(args, "--", binary, "demo-worker")...)
	p.says("msg=serving")
	return p
}

// web is the path that service serves on.
func (h *home) web() string { return filepath.Join(h.dir, "web.sock") }

// get asks the service once, on a connection of its own.
func (h *home) get() string {
	h.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", h.web())
	}}
	c := &http.Client{Transport: transport, Timeout: patience}
	answer, err := c.Get("http://rondo/")
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

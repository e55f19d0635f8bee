package side

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// command is a program to be started.
type command struct {
	args  []string
	env   []string
	files []*os.File // from descriptor 3 on; borrowed
	dir   string
	line  string // of its output, of which process.said tells; empty for none
}

// A process is a program of a side that runs.
type process struct {
	name  string
	pid   int
	began time.Time
	said  chan struct{} // closed when it has printed command.line
	ended chan struct{}
	err   error // once ended
	told  bool  // that it ended early
	out   *tail
}

// name is the program's, also where passed starts it.
func (c command) name() string {
	if wrapper := passed(); len(c.args) > len(wrapper) && slices.Equal(c.args[:len(wrapper)], wrapper) {
		return filepath.Base(c.args[len(wrapper)])
	}
	return filepath.Base(c.args[0])
}

func (c command) start() (*process, error) {
	p := &process{name: c.name(), said: make(chan struct{}), ended: make(chan struct{})}
	p.out = &tail{line: c.line, said: p.said}
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Env, cmd.Dir, cmd.ExtraFiles = c.env, c.dir, c.files
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.WaitDelay = afterwards // for a descendant that keeps the output open
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.began = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	go func() { // ends with the process
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// await waits until ready is closed.
func (p *process) await(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-p.ended:
		return p.early()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(patience):
		return fmt.Errorf("%s is not ready after %v; it printed:\n%s", p.name, patience, p.out)
	}
}

// early is the error of a process that has ended and was not told to. It is given once.
func (p *process) early() error {
	if p.told {
		return nil
	}
	p.told = true
	return fmt.Errorf("%s ended: %v; it printed:\n%s", p.name, p.err, p.out)
}

// stop ends the process by SIGTERM.
func (p *process) stop() error {
	select {
	case <-p.ended:
		return p.early()
	default:
	}
	syscall.Kill(p.pid, syscall.SIGTERM) // it is not waited for yet, so the pid is its own
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.ended
		return fmt.Errorf("%s did not end by SIGTERM and was killed; it printed:\n%s", p.name, p.out)
	}
}

// run runs a program to its end and gives its output.
func run(ctx context.Context, c command) (string, error) {
	p, err := c.start()
	if err != nil {
		return "", err
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		return "", errors.Join(context.Cause(ctx), p.stop())
	case <-time.After(patience):
		return "", errors.Join(fmt.Errorf("%s takes longer than %v", p.name, patience), p.stop())
	}
	if p.err != nil {
		return "", p.early()
	}
	return p.out.String(), nil
}

// tail keeps the last of what is written to it.
type tail struct {
	line string
	said chan struct{}

	mu   sync.Mutex // guards text and the closing of said
	text string
	told bool
}

const tailSize = 1 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text += string(b)
	if t.line != "" && !t.told && strings.Contains(t.text, t.line) {
		t.told = true
		close(t.said)
	}
	if len(t.text) > 2*tailSize {
		t.text = t.text[len(t.text)-tailSize:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.text[max(0, len(t.text)-tailSize):])
}

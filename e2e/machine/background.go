//go:build linux

package machine

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Background is a command that runs while the test goes on. Cleanup kills it.
type Background struct {
	m    *Machine
	args []string
	cmd  *exec.Cmd
	out  *io.PipeReader
	done chan struct{} // closed once it has been waited for
	err  error         // how it ended, once done is closed

	mu     sync.Mutex // guards lines
	lines  []string
	wake   chan struct{}
	stderr output
}

// Start starts a command and does not wait for it.
func (m *Machine) Start(c Command) *Background {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd, err := m.command(ctx, c)
	if err != nil {
		cancel()
		m.t.Fatal(err)
	}
	p := &Background{m: m, args: c.Args, cmd: cmd, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	out, in := io.Pipe()
	p.out, cmd.Stdout, cmd.Stderr = out, in, &p.stderr
	if err := m.launch(cmd); err != nil {
		cancel()
		m.t.Fatal(err)
	}
	var read sync.WaitGroup
	read.Go(p.read) // ends with in
	go func() {     // ends with the command
		defer cancel()
		err := cmd.Wait()
		in.Close()
		read.Wait()
		p.err = exitError(c.Args, err, "", p.stderr.String())
		close(p.done)
	}()
	m.background = append(m.background, p)
	return p
}

// read collects the lines of stdout.
func (p *Background) read() {
	lines := bufio.NewReader(p.out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return // what has no newline is no line
		}
		p.mu.Lock()
		p.lines = append(p.lines, line[:len(line)-1])
		p.mu.Unlock()
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// take gives the lines from number n on.
func (p *Background) take(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[n:]
}

// Line waits for a line on stdout that is as wanted, from the first on, and gives
// it. It ends the test if the command ends without.
func (p *Background) Line(is func(string) bool) string {
	p.m.t.Helper()
	limit := time.After(patience)
	for n, ended := 0, false; ; {
		for _, line := range p.take(n) {
			if n++; is(line) {
				return line
			}
		}
		if ended {
			p.m.t.Fatalf("machine: %v ended without the line: %v", p.args, p.err)
		}
		select {
		case <-p.wake:
		case <-p.done:
			ended = true // what it wrote last is there to be looked at
		case <-limit:
			p.m.t.Fatalf("machine: %v: no such line after %v; stderr: %s", p.args, patience, &p.stderr)
		}
	}
}

// Output is what it wrote to stdout, once it has been waited for.
func (p *Background) Output() string { return strings.Join(p.take(0), "\n") }

// PID is the command's, in the machine.
func (p *Background) PID() int {
	proc, _ := process(p.cmd.Process.Pid) // gone: 0
	return proc.PID
}

// Signal sends a signal to the command itself.
func (p *Background) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Wait waits until the command has ended. The error is an *ExitError if it did not
// exit with 0.
func (p *Background) Wait() error {
	p.m.t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		p.m.t.Fatalf("machine: %v still runs after %v", p.args, patience)
		return nil
	}
}

// kill ends the command.
func (p *Background) kill() {
	p.cmd.Process.Kill() // fails only if it has ended
	<-p.done
}

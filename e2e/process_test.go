package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/master"
	"golang.org/x/sys/unix"
)

// masterProcess is a master in a process of its own, whose limits a test may change.
// It serves until its input ends, with at most TEST_NOFILE descriptors, and logs to its output after its address.
func masterProcess() int {
	if n, err := strconv.ParseUint(os.Getenv("TEST_NOFILE"), 10, 64); err == nil {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	exe, _ := os.Executable()
	address := ln.Addr().String()
	cfg := master.Config{Settings: quick([]string{exe}, 2), Logger: slog.New(slog.NewTextHandler(os.Stdout, nil)),
		Env: append([]string{roleVar + "=" + os.Getenv("TEST_ROLE"), "TEST_LISTEN=" + address}, os.Environ()...), Stdout: os.Stderr,
		Sockets: []activation.Socket{{Name: "web", Kind: activation.TCP, Addr: ln.Addr(), Listening: true, File: f}}}
	ln.Close()
	cfg.Notify = func(e master.Event) {
		if e.Ready {
			fmt.Println("serving at", address)
		}
	}
	m, err := master.New(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { // ends with the input, and Drain with Run
		io.Copy(io.Discard, os.Stdin)
		m.Drain(context.Background())
	}()
	if err := m.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runMaster starts a master process over workers of a role, and gives its address once
// it serves. stop ends it. as, when not nil, changes who and what is started.
func runMaster(t *testing.T, log *logbook, role string, as func(*exec.Cmd), env ...string) (pid int, address string, stop func()) {
	t.Helper()
	c := exec.Command(goCommand(t)[0])
	c.Env = append(append(os.Environ(), env...), roleVar+"=master", "TEST_ROLE="+role, "GORACE=atexit_sleep_ms=0")
	if as != nil {
		as(c)
	}
	c.Stderr = t.Output()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	serving, ended := make(chan string, 1), make(chan struct{})
	go func() { // ends with the process
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if at, ok := strings.CutPrefix(lines.Text(), "serving at "); ok {
				serving <- at
				continue
			}
			log.Write(append(lines.Bytes(), '\n'))
		}
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		in.Close()
		<-ended
		if err := c.Wait(); err != nil {
			t.Errorf("the master: %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case address = <-serving:
	case <-time.After(patience):
		t.Fatal("the master never serves")
	}
	return c.Process.Pid, address, stop
}

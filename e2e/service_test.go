package e2e

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/ledger"
	"github.com/rondokit/rondo/internal/settings"
	"github.com/rondokit/rondo/master"
)

// patience guards against a hang; no test measures it.
const patience = 60 * time.Second

// service is a master that runs in this process.
type service struct {
	*master.Master
	t       *testing.T
	address string
	ended   chan error
	stopped bool

	mu     sync.Mutex // guards events
	events []master.Event
	wake   chan struct{}
}

// start runs a master with cfg over a passed socket on a free loopback port, and
// waits until it is ready. Its end is checked: nothing may be left.
func start(t *testing.T, cfg master.Config, env ...string) *service {
	t.Helper()
	before := takeCensus()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	cfg.Sockets = []activation.Socket{{Name: "web", Kind: activation.TCP, Addr: ln.Addr(), Listening: true, File: f}}
	ln.Close()
	// Of a name given twice the first counts. A worker under the race detector would
	// linger for a second when it exits.
	cfg.Env = append(append(env, "TEST_LISTEN="+address, "GORACE=atexit_sleep_ms=0"), os.Environ()...)
	s := launch(t, cfg, before)
	s.address = address
	s.await(func(e master.Event) bool { return e.Ready })
	return s
}

// launch runs a master and does not wait.
func launch(t *testing.T, cfg master.Config, before census) *service {
	t.Helper()
	s := &service{t: t, ended: make(chan error, 1), wake: make(chan struct{}, 1)}
	cfg.Notify = s.notify
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	if cfg.Stdout == nil {
		cfg.Stdout, cfg.Stderr = t.Output(), t.Output()
	}
	m, err := master.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Master = m
	go func() { s.ended <- m.Run(context.Background()) }() // ends in stop
	t.Cleanup(func() {
		if !s.stopped {
			if err := s.stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
		}
		before.compare(t)
	})
	return s
}

func (s *service) notify(e master.Event) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// await waits for an event that has come or will come.
func (s *service) await(is func(master.Event) bool) {
	s.t.Helper()
	limit := time.After(patience)
	for seen := 0; ; {
		s.mu.Lock()
		for ; seen < len(s.events); seen++ {
			if is(s.events[seen]) {
				s.mu.Unlock()
				return
			}
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case err := <-s.ended:
			s.stopped = true
			s.t.Fatalf("the master ended early: %v", err)
		case <-limit:
			s.t.Fatalf("no such event; status %+v", s.status())
		}
	}
}

// until waits until the status is as wanted. Changes of the status wake it.
func (s *service) until(what string, is func(master.Status) bool) master.Status {
	s.t.Helper()
	limit := time.Now().Add(patience)
	for {
		st := s.status()
		if is(st) {
			return st
		}
		if time.Now().After(limit) {
			s.t.Fatalf("never %s; status %+v", what, st)
		}
		runtime.Gosched()
	}
}

func (s *service) status() master.Status {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	if err != nil && s.t.Context().Err() == nil {
		s.t.Fatalf("Status: %v", err)
	}
	return st
}

// stop drains the master and gives what Run returned.
func (s *service) stop() error {
	s.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		s.t.Errorf("Drain: %v", err)
	}
	return <-s.ended
}

// load runs a ledger against s until the returned function is called, which gives
// its report.
func (s *service) load(cfg ledger.Config) func() ledger.Report {
	s.t.Helper()
	if cfg.Address == "" {
		cfg.Network, cfg.Address = "tcp", s.address
	}
	return runLedger(s.t, cfg)
}

// runLedger runs a load until the returned function is called, which gives its report.
func runLedger(t *testing.T, cfg ledger.Config) func() ledger.Report {
	t.Helper()
	l, err := ledger.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan ledger.Report, 1)
	go func() { // ends with cancel
		r, err := l.Run(ctx)
		if err != nil {
			t.Errorf("ledger: %v", err)
		}
		done <- r
	}()
	return func() ledger.Report {
		cancel()
		return <-done
	}
}

// goCommand is the test binary as a worker.
func goCommand(t *testing.T) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe}
}

const goRole = roleVar + "=go"

// quick are settings under which restarts do not hold up a test.
func quick(command []string, workers int) settings.Settings {
	return settings.Settings{Name: "app", Command: command, Workers: workers,
		BackoffMin: 5 * time.Millisecond, BackoffMax: 50 * time.Millisecond}
}

// census counts what a test must leave as it found it.
type census struct {
	descriptors []string
	goroutines  int
	children    []string
}

func takeCensus() census {
	c := census{goroutines: runtime.NumGoroutine()}
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil {
			c.descriptors = append(c.descriptors, filepath.Base(l)+" "+to)
		}
	}
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		c.children = append(c.children, strings.Fields(string(b))...)
	}
	return c
}

// differs says in what now is more than c, or nothing.
func (c census) differs(now census) string {
	var s []string
	if len(now.descriptors) > len(c.descriptors) {
		s = append(s, "descriptors: "+strings.Join(now.descriptors, ", ")+"; before: "+strings.Join(c.descriptors, ", "))
	}
	if now.goroutines > c.goroutines {
		buf := make([]byte, 1<<20)
		s = append(s, "goroutines: "+strconv.Itoa(now.goroutines)+", before "+strconv.Itoa(c.goroutines)+"\n"+
			string(buf[:runtime.Stack(buf, true)]))
	}
	if len(now.children) > len(c.children) {
		s = append(s, "processes: "+strings.Join(now.children, ", "))
	}
	return strings.Join(s, "\n")
}

// compare fails t if anything is left. What is ending may take a moment.
func (c census) compare(t *testing.T) {
	t.Helper()
	limit := time.Now().Add(5 * time.Second)
	for {
		diff := c.differs(takeCensus())
		if diff == "" {
			return
		}
		if time.Now().After(limit) {
			t.Errorf("left over: %s", diff)
			return
		}
		runtime.Gosched()
	}
}

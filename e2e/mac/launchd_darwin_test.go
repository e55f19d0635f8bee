package mac

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is for one thing to happen: launchd may wait ten seconds between two starts.
const patience = time.Minute

// app is one that is installed in the domain of the user who runs the tests.
type app struct {
	t       *testing.T
	rondo   string
	name    string
	address string
}

// state is what rondo status tells, as far as the tests look at it.
type state struct {
	PID, Generation, Adopted int
	Listeners                []listener
	Workers                  []struct{ ID, PID int }
}

type listener struct{ Passed bool }

// installed builds rondo, and installs an app whose workers are rondo's own demo.
func installed(t *testing.T) *app {
	t.Helper()
	a := &app{t: t, rondo: filepath.Join(t.TempDir(), "rondo"), name: fmt.Sprintf("test-%d", os.Getpid())}
	a.build("1.0.0")
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	a.address = ln.Addr().String()
	ln.Close()
	a.must("install", "--user", "--name", a.name, "--listen", a.address+"=3000", "--workers", "2", "--", a.rondo, "demo-worker")
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := a.run("logs", a.name, "-n", "100")
			t.Logf("its log:\n%s", out)
			job, err := exec.Command("launchctl", "print", a.job()).CombinedOutput()
			t.Logf("launchctl print: %v\n%s", err, job)
		}
		if out, err := a.run("uninstall", "--user", a.name); err != nil {
			t.Errorf("uninstall: %v: %s", err, out)
		}
		if out, err := exec.Command("launchctl", "print", a.job()).CombinedOutput(); err == nil {
			t.Errorf("launchd has the job after it was uninstalled:\n%s", out)
		}
	})
	return a
}

func (a *app) job() string { return fmt.Sprintf("gui/%d/rondo.%s", os.Getuid(), a.name) }

// build puts a rondo of that version in the place where the job has it.
func (a *app) build(version string) {
	a.t.Helper()
	next := a.rondo + ".new"
	out, err := exec.Command("go", "build", "-ldflags", "-X github.com/rondokit/rondo/master.Version="+version, "-o", next, "../../cmd/rondo").CombinedOutput()
	if err == nil {
		err = os.Rename(next, a.rondo)
	}
	if err != nil {
		a.t.Fatalf("%v: %s", err, out)
	}
}

func (a *app) run(args ...string) (string, error) {
	out, err := exec.Command(a.rondo, args...).CombinedOutput()
	return string(out), err
}

func (a *app) must(args ...string) string {
	a.t.Helper()
	out, err := a.run(args...)
	if err != nil {
		a.t.Fatalf("rondo %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func (a *app) status() (s state) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.must("status", a.name, "--json")), &s); err != nil {
		a.t.Fatal(err)
	}
	return s
}

// get makes a request over a connection of its own.
func (a *app) get() error {
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + a.address + "/")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && !strings.HasPrefix(string(text), "hello from worker ") {
		err = fmt.Errorf("%s %q", r.Status, text)
	}
	return err
}

// under makes requests, four at a time, while do is done: none may be lost.
func (a *app) under(what string, do func()) {
	a.t.Helper()
	stop := make(chan struct{})
	var answered atomic.Int64
	errs := make([]error, 4)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if errs[i] = a.get(); errs[i] != nil {
					return
				}
				answered.Add(1)
			}
		})
	}
	do()
	close(stop)
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		a.t.Errorf("%s: a request was lost, after %d that were answered: %v", what, answered.Load(), err)
	}
	a.t.Logf("%s: %d requests answered", what, answered.Load())
}

// TestUnderLaunchd is the life of one app: the first connection starts it, it is reloaded
// and upgraded under load, its master is killed, and it is taken away.
func TestUnderLaunchd(t *testing.T) {
	a := installed(t)
	if err := a.get(); err != nil {
		t.Fatalf("the first connection: %v", err)
	}
	first := a.status()
	if len(first.Workers) != 2 || !slices.ContainsFunc(first.Listeners, func(l listener) bool { return l.Passed }) {
		t.Fatalf("status %+v, want two workers and a socket of launchd's", first)
	}
	a.under("reload", func() { a.must("reload", a.name) })
	if now := a.status(); now.PID != first.PID || now.Generation != first.Generation+1 {
		t.Errorf("after a reload %+v, before %+v", now, first)
	}
	before := a.status()
	a.build("2.0.0")
	a.under("upgrade", func() {
		if out := a.must("upgrade", a.name); !strings.Contains(out, "version 2.0.0 serves, before 1.0.0, with the same 2 workers") {
			t.Errorf("upgrade: %s", out)
		}
	})
	if now := a.status(); now.PID != before.PID || now.Adopted != 1 || fmt.Sprint(now.Workers) != fmt.Sprint(before.Workers) {
		t.Errorf("after an upgrade %+v, before %+v", now, before)
	}
	if out := a.must("doctor", "--user", a.name); strings.Contains(out, "rondo install") {
		t.Errorf("doctor: %s", out)
	}

	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := a.get(); err != nil { // it waits in launchd's socket until the next master takes it
		t.Errorf("after the master was killed: %v", err)
	}
	next := a.status()
	if next.PID == before.PID || len(next.Workers) != 2 {
		t.Errorf("after the master was killed %+v, before %+v", next, before)
	}
	for _, w := range before.Workers {
		for limit := time.Now().Add(patience); syscall.Kill(w.PID, 0) == nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("worker %d of the master that was killed is still there", w.PID)
			}
		}
	}
	a.must("stop", a.name)
	if err := a.get(); err != nil {
		t.Errorf("a connection after a stop, which starts it again: %v", err)
	}
}

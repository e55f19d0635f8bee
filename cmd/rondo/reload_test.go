package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/control"
	"github.com/rondokit/rondo/master"
)

// A dying is a master that ends during each reload, or just after, and the next one.
type dying struct {
	control.Backend                    // of which nothing else is called
	told            chan master.Status // without a state: it is no more
	managed, done   bool
}

var errEnded = control.Gone(errors.New("ended"))

func (d *dying) Status(context.Context) (any, error) {
	s := <-d.told
	if s.State == "" {
		return nil, errEnded
	}
	return s, nil
}

func (d *dying) Reload(context.Context) error {
	if d.done {
		return nil
	}
	return errEnded
}

func (d *dying) ManagedReload(ctx context.Context) error {
	d.managed = true
	return d.Reload(ctx)
}

// reloadUnder reloads a master of that process, and the statuses are told one after
// the other, before and after.
func reloadUnder(t *testing.T, pid int, reloads bool, told ...master.Status) (*dying, master.Status, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rondo") // whose path leaves room for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "control.sock")
	l, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	d := &dying{told: make(chan master.Status, len(told)+1), done: reloads}
	d.told <- master.Status{Name: "app", PID: pid, Generation: 3, State: "ready", Reload: ended("done", "")}
	for _, s := range told {
		d.told <- s
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&control.Server{Listener: l, Backend: d}).Run(ctx) }() // ends with cancel
	after, err := replaceWorkers(t.Context(), control.At(path))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(d.told) > 0 {
		t.Errorf("%d statuses were not asked for", len(d.told))
	}
	return d, after, err
}

func ended(state, why string) *master.Reload {
	r := &master.Reload{State: state}
	if state != "running" {
		at := "2026-01-02T03:04:05Z"
		r.Ended = &at
	}
	if why != "" {
		r.Error = &why
	}
	return r
}

func TestAReloadIsFollowedUnderTheNextMaster(t *testing.T) {
	starting := master.Status{PID: 8, Adopted: 1, Generation: 3, State: "starting", Reload: ended("running", "")}
	running := master.Status{PID: 8, Adopted: 1, Generation: 3, State: "reloading", Reload: ended("running", "")}
	for _, row := range []struct {
		what string
		told []master.Status
		want string // error; empty: it was done
	}{
		{"done", []master.Status{starting, running, running, {PID: 8, Adopted: 1, Generation: 4, State: "ready", Reload: ended("done", "")}}, ""},
		{"done, and killed then", []master.Status{{}, {PID: 8, Adopted: 1, Generation: 4, State: "ready", Reload: ended("done", "")}}, ""},
		{"failed", []master.Status{running, {PID: 8, Adopted: 1, Generation: 3, State: "ready", Reload: ended("failed", "worker of slot 1 died")}},
			"worker of slot 1 died"},
		{"not begun", []master.Status{{PID: 8, Adopted: 1, Generation: 3, State: "ready", Reload: ended("done", "")}},
			"the master ended before the reload had begun, and generation 3 serves on: reload again"},
		{"started anew", []master.Status{{PID: 8, Generation: 1, State: "ready"}},
			"the master ended, and the next one could not take over from it: it has started anew, and serves generation 1"},
		{"begun by nobody", []master.Status{{PID: 8, Adopted: 1, Generation: 3, State: "ready"}},
			"the master ended before the reload had begun, and generation 3 serves on: reload again"},
	} {
		d, after, err := reloadUnder(t, 7, row.what == "done, and killed then", row.told...)
		if text := ""; err != nil || row.want != "" {
			if err != nil {
				text = err.Error()
			}
			if text != row.want {
				t.Errorf("%s: %q, want %q", row.what, text, row.want)
			}
		} else if after.Generation != 4 {
			t.Errorf("%s: the status is %+v", row.what, after)
		}
		if d.managed {
			t.Errorf("%s: the master was told that the manager knows", row.what)
		}
	}
}

// Systemd waits for its ExecReload= before it starts the next master.
func TestAReloadBySystemdDoesNotWaitForTheNextMaster(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MAINPID", strconv.Itoa(ended.Process.Pid))
	d, _, err := reloadUnder(t, ended.Process.Pid, false)
	if err == nil || !strings.HasSuffix(err.Error(), "the master ended before it answered: the next one goes on with it, or it has to be asked for again: see rondo status app") {
		t.Errorf("the reload = %v", err)
	}
	if !d.managed {
		t.Error("the master was not told that the manager knows")
	}
}

func TestAReloadBySystemdIsFollowedThroughAnUpgrade(t *testing.T) {
	self := os.Getpid() // which does not end
	t.Setenv("MAINPID", strconv.Itoa(self))
	d, after, err := reloadUnder(t, self, false,
		master.Status{PID: self, Adopted: 1, Generation: 3, State: "reloading", Reload: &master.Reload{State: "running"}},
		master.Status{PID: self, Adopted: 1, Generation: 4, State: "ready", Reload: ended("done", "")})
	if err != nil || after.Generation != 4 || !d.managed {
		t.Errorf("the reload = %+v, %v", after, err)
	}
}

// Told of a reload that it has begun itself, systemd 257 would wait for its end also
// when the master has ended.
func TestTheManagerIsNotToldOfItsOwnReload(t *testing.T) {
	h := newHome(t)
	m := newManager(h)
	p := h.start("run", "--name", "app", "--workers", "1", "--listen", "unix:"+h.web()+"=3000", "--", binary, "demo-worker")
	m.hears("READY=1")
	h.env = append(h.env, "MAINPID="+strconv.Itoa(p.cmd.Process.Pid))
	if r := h.rondo("reload", "app"); r.code != 0 {
		t.Errorf("rondo reload = %+v", r)
	}
	for got := ""; !strings.Contains(got, "STATUS=generation 2: 1/1 ready"); {
		if got = m.hears(""); strings.Contains(got, "RELOADING=1") {
			t.Errorf("the manager is told %q of its own reload", got)
		}
	}
}

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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

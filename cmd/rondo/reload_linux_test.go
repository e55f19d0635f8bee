//go:build !portable

package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/master"
)

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

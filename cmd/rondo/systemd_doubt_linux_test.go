//go:build !portable

package main

import (
	"context"
	"os"
	"os/user"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

func TestAMasterOnlyLeavesForOneThatTakesOver(t *testing.T) {
	uid := os.Getuid()
	other := planned("restart")
	other.service.Account = strconv.Itoa(uid + 1)
	p := startLeaver(t, "answered")
	drains := 0
	for _, row := range []struct {
		plan   plan
		ofUser bool
		want   string
	}{
		{planned("restart", "restart app.socket", "start app-2.socket"), false,
			"systemd is also to restart app.socket, start app-2.socket, so the service drains as for a stop: if that fails, no next master comes; requests in flight are"},
		{planned("restart", "stop a.service"), true, "systemd is also to stop a.service, so the service drains"},
		{other, false, "the next master is to run as uid " + other.service.Account + " and process " + strconv.Itoa(p.cmd.Process.Pid) +
			" runs as uid " + strconv.Itoa(uid) + ", so the service drains as for a stop: it could not end workers of another account; requests"},
		{other, true, ""}, // last, as the master leaves
	} {
		c := systemdCommand{name: "app", user: row.ofUser, patience: patience}
		c.plan = func(context.Context) (plan, error) { return row.plan, nil }
		err := c.leaveOrDrain(t.Context(), p.cmd.Process.Pid)
		if row.want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("with %+v: %v, want %q", row.plan, err, row.want)
		}
		drains++
		p.stdout.await(t, p.exited, "drains", drains)
		p.lives()
	}
	if code := p.ends(); code != exitDone {
		t.Errorf("the master exited with %d", code)
	}
}

func TestWhatAStartDependsOn(t *testing.T) {
	service := systemd.Unit{Needs: []string{"app.socket", "app-2.socket", "a.mount", "b.mount", "c.service", "system.slice"}}
	jobs := map[string]string{"app.service": "restart", "app.socket": "restart", "app-2.socket": "start", "a.mount": "stop",
		"b.mount": "verify-active", "c.service": "reload", "other.socket": "restart"}
	if got, want := before(service, jobs), []string{"restart app.socket", "start app-2.socket", "stop a.mount"}; !reflect.DeepEqual(got, want) {
		t.Errorf("before = %q, want %q", got, want)
	}
}

func TestTheAccountOfAService(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name    string
		dynamic bool
		known   bool
		uid     string
	}{
		{"", false, true, "0"}, {"", true, false, "0"}, {"4711", false, true, "4711"},
		{"no-such-account", false, false, "0"}, {"no-such-account", true, false, "0"}, {me.Username, false, true, me.Uid}, {me.Username, true, true, me.Uid},
	} {
		if uid, known := accountOf(row.name, row.dynamic); strconv.Itoa(uid) != row.uid || known != row.known {
			t.Errorf("accountOf(%q, %v) = %d, %v, want %s, %v", row.name, row.dynamic, uid, known, row.uid, row.known)
		}
	}
}

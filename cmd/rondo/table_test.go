package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/rondokit/rondo/master"
)

func TestTheStatusTable(t *testing.T) {
	const text = `{"version": "1.2.3", "name": "app", "pid": 41, "generation": 3, "state": "ready", "adopted": 0, "refused": "a state: damaged", "scaled_from": 4,
		"reload": {"state": "failed", "error": "worker of slot 0\nexited", "cut": 2, "ended": "2026-11-22T10:00:00Z"},
		"upgrade": {"from": "1.2.3", "error": "version 1.3.0\ngave up"},
		"listeners": [{"name": "http", "key": "k", "address": "[::]:80", "passed": true, "accepting": true, "waiting": 0},
			{"name": "", "key": "k2", "address": "/run/\u001b[2Jx", "passed": false, "accepting": false, "waiting": 3},
			{"name": "dns", "key": "k3", "address": "udp:[::]:53", "passed": true, "schedule": "none", "accepting": true, "waiting": 0}],
		"counters": {"handed_over": 7, "redistributed": 1, "ambiguous": 0, "closed_undelivered": 2},
		"workers": [{"id": 12, "slot": 0, "pid": 99, "generation": 3, "state": "ready", "want": "up", "age_s": 3725, "handed_over": 7, "in_flight": 1, "restarts": 2, "last_exit": {"code": 3, "signal": null, "reason": "exited with code 3"}},
			{"id": 13, "slot": 1, "pid": 100, "generation": 2, "state": "draining", "want": "down", "age_s": 4.9, "handed_over": 0, "in_flight": 0, "restarts": 0, "last_exit": null, "opened": ["0.0.0.0:9229", "unix:/run/x"]}]}`
	var s status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	want := "app: ready, generation 3, 1 worker ready, pid 41, rondo 1.2.3; scaled from 4\n" +
		"reload: failed at 2026-11-22T10:00:00Z, 2 workers cut by drain-timeout: worker of slot 0 exited\n" +
		"upgrade: failed: version 1.3.0; gave up\n" +
		"not adopted: a state: damaged\n" +
		"connections: 7 handed over, 1 redistributed, 0 ambiguous, 2 closed undelivered\n" +
		"\n" +
		"LISTENER  ADDRESS      FROM    ACCEPTING  WAITING\n" +
		"http      [::]:80      passed  yes        0\n" +
		"-         /run/\uFFFD[2Jx   own     no         3\n" +
		"dns       udp:[::]:53  passed  workers    0\n" +
		"\n" +
		"SLOT  WORKER  PID  GENERATION  STATE     AGE    HANDED OVER  IN FLIGHT  RESTARTS  LAST EXIT\n" +
		"0     12      99   3           ready     1h02m  7            1          2         exited with code 3\n" +
		"1     13      100  2           draining  4s     0            0          0         -\n" +
		"worker 13 listens by itself on 0.0.0.0:9229, unix:/run/x (exclusive, or reusePort): a reload does not keep that open\n"
	if got := string(statusTable(s)); got != want {
		t.Errorf("statusTable =\n%s\nwant\n%s", got, want)
	}
	if got, want := reloaded(s.Status), "app: generation 3 serves with 1 worker; of the old ones 1 draining, 2 cut"; got != want {
		t.Errorf("reloaded = %q, want %q", got, want)
	}
}

func TestOneOfAThingIsNotMany(t *testing.T) {
	for n, want := range map[int]string{0: "0 workers", 1: "1 worker", 2: "2 workers"} {
		if got := counted(n, "worker"); got != want {
			t.Errorf("counted(%d) = %q, want %q", n, got, want)
		}
	}
	if got, want := reloadLine(master.Reload{State: "ok", Cut: 1}), "reload: ok, 1 worker cut by drain-timeout"; got != want {
		t.Errorf("reloadLine = %q, want %q", got, want)
	}
}

func TestAgesAreShort(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", 59.9: "59s", 60: "1m00s", 3599: "59m59s", 3600: "1h00m", 86400: "24h00m", 180000: "2d02h"} {
		if got := age(seconds); got != want {
			t.Errorf("age(%v) = %q, want %q", seconds, got, want)
		}
	}
}

func TestAnErrorIsOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a":                 "a",
		"a\nb\n\n c":        "a; b; c",
		"its output:\nboom": "its output: boom",
		"x\x1b[2Jy\r\nz":    "x\uFFFD[2Jy; z",
	} {
		if got := oneLine(errors.New(text)); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", text, got, want)
		}
	}
	joined := errors.Join(errors.New("one"), errors.New("two"))
	if got := oneLine(joined); got != "one; two" {
		t.Errorf("oneLine(%q) = %q", joined, got)
	}
}

func TestJournalctlGetsTheUnitAndTheFlags(t *testing.T) {
	h := newHome(t)
	h.env = append(h.env, "PATH="+h.dir)
	h.fails(1, "logs: journalctl was not found", "logs", "app")
	h.file("journalctl", "#!/bin/sh\necho \"$@\"\n", 0o755)
	for args, want := range map[string]string{
		"app":               "-u app.service",
		"app -fn 5":         "-u app.service -f -n 5",
		"--user app -n all": "--user-unit app.service -n all",
	} {
		if r := h.rondo(append([]string{"logs"}, strings.Fields(args)...)...); r.stdout != want+"\n" || r.code != 0 {
			t.Errorf("rondo logs %s = %d %q %q, want %q", args, r.code, r.stdout, r.stderr, want)
		}
	}
	if r := h.rondo("__complete", "logs", "--u"); !strings.HasPrefix(r.stdout, "--user\tof this user's manager") {
		t.Errorf("the completion of rondo logs --u is %q %q", r.stdout, r.stderr)
	}
}

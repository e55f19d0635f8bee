package master

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// texts gives the STATUS lines since the last call.
func (s *stage) texts() []string {
	var all []string
	for _, d := range s.took("notify") {
		_, text, _ := strings.Cut(d, "Status:")
		if text = strings.TrimSuffix(text, "}"); text != "" {
			all = append(all, text)
		}
	}
	return all
}

func TestStatusTellsWhatChanged(t *testing.T) {
	s, l := serve(t, 2)
	step := func(when string, want ...string) {
		t.Helper()
		if got := s.texts(); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", when, got, want)
		}
	}
	s.turn(event{kind: evTick})
	step("nothing")
	s.exits(s.peer(1), exit{code: 3, reason: "exited with code 3"})
	step("one died", "generation 1: 1/2 ready, 0 conn/s, 0 waiting; slot 1: last worker exited with code 3")
	s.pass(time.Second)
	s.opens(s.newest(), 0, port(80))
	step("it is replaced", "generation 1: 2/2 ready, 0 conn/s, 0 waiting")
	for range 100 {
		s.arrive(l, 2)
		s.everyoneAccepts()
	}
	s.pass(statusEvery)
	step("after ten seconds with connections", "generation 1: 2/2 ready, 20 conn/s, 0 waiting")
	s.pass(time.Hour)
	step("an hour without", "generation 1: 2/2 ready, 0 conn/s, 0 waiting")
	if s.t.next != 0 {
		t.Errorf("an idle table wakes up %v from now, want never", time.Duration(s.t.next-s.now))
	}
	s.arrive(l, 1)
	s.everyoneAccepts()
	s.pass(time.Hour)
	step("less than one a second")
	s.reload(nil)
	step("reload", "generation 1: 2/2 ready, 0 conn/s, 0 waiting; reloading to generation 2")
	s.ready()
	s.ready()
	at := s.t.wall().Local().Format("15:04")
	step("reloaded", "generation 2: 2/2 ready, 0 conn/s, 0 waiting; last reload ok "+at)
}

// The fields that readers of the JSON rely on; unknown is null.
func TestTheSnapshotIsWhatStatusShows(t *testing.T) {
	s, l := serve(t, 2)
	s.arrive(l, 3)
	s.accepts(s.peer(1))
	s.exits(s.peer(1), exit{code: -1, signal: "SIGKILL", reason: "was killed by SIGKILL"})
	s.pass(500 * time.Millisecond)
	b, err := json.Marshal(s.t.snapshot())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":"","name":"","pid":0,"generation":1,"state":"ready","adopted":0,"refused":null,"scaled_from":null,"reload":null,` +
		`"listeners":[{"name":"web","key":":::80:6:3:0","address":"[::]:80","passed":true,"asked":true,"schedule":"rr","accepting":true,"waiting":0}],` +
		`"counters":{"handed_over":1,"redistributed":0,"ambiguous":0,"closed_undelivered":0},` +
		`"workers":[{"id":1,"slot":0,"pid":1001,"generation":1,"state":"ready","want":"up","age_s":0.5,"handed_over":0,"in_flight":2,"restarts":0,"last_exit":null,"opened":null},` +
		`{"id":3,"slot":1,"pid":0,"generation":1,"state":"starting","want":"up","age_s":0.390,"handed_over":0,"in_flight":0,"restarts":1,"last_exit":{"code":null,"signal":"SIGKILL","reason":"was killed by SIGKILL"},"opened":null}]}`
	got := string(b)
	i, j := strings.LastIndex(got, `"age_s":`), strings.LastIndex(want, `"age_s":`)
	age := func(text string, at int) string { end := strings.IndexByte(text[at:], ','); return text[at : at+end] }
	got = strings.Replace(got, age(got, i), age(want, j), 1) // it depends on the jitter
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestListenersAreNamedAsNodeNamesHandles(t *testing.T) {
	for _, row := range []struct {
		l    *listener
		want string
	}{
		{tcp("web", "127.0.0.1:80"), "127.0.0.1:80:4:3:0"},
		{tcp("web", "[::1]:80"), "::1:80:6:3:0"},
		{ux("web", "/run/x"), "/run/x:-1:-1:3:0"},
	} {
		if got := row.l.keyText(); got != row.want {
			t.Errorf("keyText of %s = %q, want %q", row.l, got, row.want)
		}
	}
	own := tcp("", "[::]:80")
	own.index = -1
	if got, want := own.keyText(), ":::80:6:null:0"; got != want {
		t.Errorf("keyText of a listener of our own = %q, want %q", got, want)
	}
}

func TestASlotThatWaitsShowsHowItsWorkerEnded(t *testing.T) {
	s, _ := serve(t, 2)
	s.exits(s.peer(1), exit{code: 3, reason: "exited with code 3"})
	all := s.t.snapshot().Workers
	if len(all) != 2 {
		t.Fatalf("%d workers in status, want both slots: %+v", len(all), all)
	}
	w := all[1]
	if w.Slot != 1 || w.ID != 0 || w.PID != 0 || w.State != "exited" || w.Want != "up" || w.LastExit == nil || *w.LastExit.Code != 3 {
		t.Errorf("the waiting slot is %+v, want slot 1, exited, wanted up, last exit 3", w)
	}
}

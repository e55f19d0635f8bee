//go:build !portable

package cgroup

import (
	"errors"
	"slices"
	"testing"
)

func TestStrangersOfAServiceAreFoundFromOutside(t *testing.T) {
	f := newTree(t, "/", "/user.slice/session-2.scope")
	f.process("/user.slice/session-2.scope", 100, 90, 100, 700) // this process
	f.process(app, 150, 1, 150, 500)                            // the master
	f.process(app, 151, 150, 151, 501)                          // a worker that it started
	f.process(app, 200, 1, 200, 300, "RONDO_WORKER_ID=7")       // one that it adopted
	f.process(app, 201, 1, 201, 301, "RONDO_WORKER_ID=7")       // what that left
	f.process(app, 250, 1, 250, 600)                            // a rondo reload
	f.process(app, 300, 1, 300, 300, "RONDO_WORKER_ID=8")
	f.process(app+"/sub", 301, 1, 301, 301)
	find := func(keep ...int) []int {
		t.Helper()
		list, err := f.view().strangers(app, keep)
		if err != nil {
			t.Fatal(err)
		}
		var pids []int
		for _, p := range list {
			pids = append(pids, p.PID)
		}
		slices.Sort(pids)
		return pids
	}
	if got, want := find(200, 150, 250, 0), []int{300, 301}; !slices.Equal(got, want) {
		t.Errorf("strangers are %d, want %d", got, want)
	}
	if got, want := find(0, 0), []int{150, 151, 200, 201, 250, 300, 301}; !slices.Equal(got, want) {
		t.Errorf("strangers of a service that has stopped are %d, want all, %d", got, want)
	}
	if _, err := f.view().strangers("/none", nil); !errors.Is(err, errNoGroups) {
		t.Errorf("in a group that is not there: %v", err)
	}
}

package main

import (
	"testing"

	"github.com/rondokit/rondo/master"
)

func TestUpgradeTellsWhichWorkersAreTheSame(t *testing.T) {
	w := func(id, pid int) master.Worker { return master.Worker{ID: id, PID: pid} }
	for _, row := range []struct {
		before, after []master.Worker
		want          string
	}{
		{[]master.Worker{w(1, 11), w(2, 12)}, []master.Worker{w(1, 11), w(2, 12)}, "the same 2 workers"},
		{[]master.Worker{w(1, 11)}, []master.Worker{w(1, 11)}, "the same 1 worker"},
		{[]master.Worker{w(1, 11), w(2, 12)}, []master.Worker{w(2, 12), w(3, 13)}, "1 of the 2 workers of before, and 1 new"},
		{[]master.Worker{w(1, 11), w(2, 12)}, []master.Worker{w(2, 12)}, "1 of the 2 workers of before, and 0 new"},
		{[]master.Worker{w(1, 11)}, []master.Worker{w(1, 11), w(2, 12)}, "1 of the 1 worker of before, and 1 new"},
		{[]master.Worker{w(1, 11)}, []master.Worker{w(1, 12)}, "0 of the 1 worker of before, and 1 new"},
	} {
		if got := sameWorkers(row.before, row.after); got != row.want {
			t.Errorf("before %v, after %v: %q, want %q", row.before, row.after, got, row.want)
		}
	}
}

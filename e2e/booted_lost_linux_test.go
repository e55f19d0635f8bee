//go:build linux && !portable

package e2e

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/rondokit/rondo/e2e/machine"
	"github.com/rondokit/rondo/internal/ledger"
)

// records are what the workers have written down: see testdata/begun.js.
type records struct {
	requests    map[string]int     // how often each id was begun
	connections map[string][]int64 // when they had one of that port, in ms
}

func (h *host) records() records {
	h.t.Helper()
	text, err := h.ReadFile("/run/rondo/app/begun")
	if err != nil {
		h.t.Fatal(err)
	}
	r := records{map[string]int{}, map[string][]int64{}}
	for line := range strings.Lines(text) {
		var what, name string
		var at int64
		if _, err := fmt.Sscan(line, &what, &name, &at); err != nil {
			h.t.Fatalf("a worker has written %q: %v", line, err)
		}
		if what == "began" {
			r.requests[name]++
		} else {
			r.connections[name] = append(r.connections[name], at)
		}
	}
	return r
}

// may tells whether a kill of the master may have lost f: the first request on a
// connection that no worker was given.
func (r *records) may(f ledger.Failure) bool {
	if f.Class != ledger.Dropped || r.requests[f.ID] > 0 {
		return false
	}
	_, port, _ := net.SplitHostPort(f.Local)
	return !slices.ContainsFunc(r.connections[port], func(at int64) bool {
		return f.Started.UnixMilli() <= at && at <= f.Ended.UnixMilli()
	})
}

// end stops the loads. Nothing may be lost: what kills a master between its steps, holds
// it up or replaces it costs no connection. Connections are closed idle only by workers
// that leave.
func (s *survivor) end(what string) {
	s.t.Helper()
	if sum := s.endLosing(what); sum.Lost > 0 {
		s.t.Errorf("%s: %d lost, want none", what, sum.Lost)
	}
}

// endLosing is end where the master may have been killed between accepting a connection
// and handing it over. New connections that no worker was given may be lost, which the
// master's counters tell of.
func (s *survivor) endLosing(what string) ledger.Report {
	s.t.Helper()
	var sum ledger.Report
	for _, name := range slices.Sorted(maps.Keys(s.stops)) {
		r := s.stops[name]()
		records := s.records()
		rest := r.Without(slices.DeleteFunc(slices.Clone(r.Failures), func(f ledger.Failure) bool { return !records.may(f) }))
		if err := rest.Check(); err != nil {
			s.t.Errorf("%s: %v\n%s", name, err, r)
		}
		sum.Requests += r.Requests
		sum.Answered += r.Answered
		sum.ClosedIdle += r.ClosedIdle
		sum.Lost += r.Lost
	}
	echoed := 0
	for _, e := range s.echo {
		echoed += e.end(s.t)
	}
	st := s.status()
	c := st.Counters
	if counted := int(c.ClosedUndelivered + c.Ambiguous); sum.Lost > counted {
		s.t.Errorf("%d lost, of which the master counted %d", sum.Lost, counted)
	}
	if st.Generation == 1 && sum.ClosedIdle > 0 {
		s.t.Errorf("%d kept connections were closed by workers that were to serve on", sum.ClosedIdle)
	}
	accepted, unsent := s.lost()
	told(s.t, "%s: %d requests, %d answered, %d lost (masters tell of %d accepted and not handed over, %d under way and not taken), "+
		"%d closed-idle; %d WebSockets echoed %d messages and stayed open; counters %+v",
		what, sum.Requests, sum.Answered, sum.Lost, accepted, unsent, sum.ClosedIdle, len(s.echo), echoed, c)
	return sum
}

// lost gives what masters have logged of connections that ended with the last one: those
// that it had accepted and not handed over, and those under way that no worker had taken.
func (h *host) lost() (accepted, unsent int) {
	h.t.Helper()
	for _, e := range h.Journal(machine.Filter{Identifier: "app"}) {
		var n int
		rest, is := strings.CutPrefix(e.Message, "connections lost ")
		if _, held, found := strings.Cut(rest, " held="); !is || !found {
			continue
		} else if _, err := fmt.Sscan(held, &n); err != nil {
			h.t.Fatalf("%s: %v", e, err)
		}
		if strings.HasPrefix(rest, "worker=") {
			unsent += n
		} else {
			accepted += n
		}
	}
	return accepted, unsent
}

//go:build !portable

package e2e

import (
	"net"
	"slices"
	"testing"

	"github.com/rondokit/rondo/master"
)

// TestListenersThatWorkersDoNotShareAreNamed is of a listener that the master never hears of.
func TestListenersThatWorkersDoNotShareAreNamed(t *testing.T) {
	s, _ := program(t, "exclusive.js", nil)
	st := s.until("every worker listens by itself", func(st master.Status) bool {
		return !slices.ContainsFunc(st.Workers, func(w master.Worker) bool { return len(w.Opened) != 1 })
	})
	if len(st.Listeners) != 1 {
		t.Errorf("listeners %+v, want the passed one", st.Listeners)
	}
	for _, w := range st.Workers {
		if c, err := net.Dial("tcp", w.Opened[0]); err != nil {
			t.Errorf("%+v: %v", w, err)
		} else {
			c.Close()
		}
	}
}

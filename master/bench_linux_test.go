//go:build !portable

package master

import "testing"

func TestAHandoffThatIsKeptAllocatesNothing(t *testing.T) {
	for name, x := range map[string]*exchange{"plain": newExchange(t), "kept": newExchange(t).keep(t)} {
		for range 200 {
			x.one(t)
		}
		if n := testing.AllocsPerRun(1000, func() { x.one(t) }); n != 0 {
			t.Errorf("%s: it allocates %v times, want 0", name, n)
		}
	}
}

package raw

import (
	"os"
	"testing"
	"time"
)

func TestHandoffs(t *testing.T) {
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before := count()
	for _, last := range []bool{false, true} {
		got, err := Handoffs(10*turn, last)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v a handoff, closing last %v", got, last)
		if got < 100*time.Nanosecond { // four entries into the kernel
			t.Errorf("Handoffs = %v", got)
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

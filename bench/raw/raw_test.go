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
	got, err := Handoffs(10 * turn)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v a handoff", got)
	if got < 100*time.Nanosecond { // four entries into the kernel
		t.Errorf("Handoffs = %v", got)
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

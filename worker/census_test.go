package worker

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// atRest is what this process holds between tests. It is set by TestMain.
var atRest holdings

// census fails the test if, after all its other clean-ups, the process holds more
// or fewer descriptors or goroutines than at rest.
func census(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		want := atRest
		want.goroutines += 1 + strings.Count(t.Name(), "/") // the test's own, and those it is a part of
		deadline := time.Now().Add(guard)
		for now := count(); now != want; now = count() {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("held %v, want %v\n%s", now, want, stacks[:runtime.Stack(stacks, true)])
			}
			runtime.Gosched()
		}
	})
}

type holdings struct{ descriptors, goroutines int }

func (h holdings) String() string {
	return fmt.Sprintf("%d descriptors, %d goroutines", h.descriptors, h.goroutines)
}

func count() holdings {
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		panic(err)
	}
	return holdings{descriptors: len(open), goroutines: runtime.NumGoroutine()}
}

// warmUp opens what the runtime opens once and keeps, and takes the census.
func warmUp() {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
	atRest = count()
}

func TestTheCensusSeesALeak(t *testing.T) {
	before := count()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	go func() { <-stop }()
	after := count()
	f.Close()
	close(stop)
	if after.descriptors != before.descriptors+1 || after.goroutines != before.goroutines+1 {
		t.Fatalf("held before %v, with one more of each %v", before, after)
	}
}

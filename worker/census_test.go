package worker

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// atRest gives what this process holds between tests, from before the first test
// with a census: package testing itself opens a file after TestMain began.
var atRest = sync.OnceValue(func() holdings {
	warmUp()
	return count()
})

// census fails the test if, after all its other clean-ups, the process holds more
// or fewer descriptors or goroutines than at rest.
func census(t *testing.T) {
	t.Helper()
	if flag.Lookup("test.fuzzworker").Value.String() == "true" {
		return // the fuzzer has goroutines and files of its own
	}
	want := atRest()
	want.goroutines = 2 + strings.Count(t.Name(), "/") // main, the test's own, and those it is a part of
	t.Cleanup(func() {
		deadline := time.Now().Add(guard)
		for now := count(); now != want; now = count() {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("held %v, want %v\n%s\n%s", now, want, targets(), stacks[:runtime.Stack(stacks, true)])
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

// targets says what the descriptors are, where the system tells.
func targets() string {
	var b strings.Builder
	open, _ := os.ReadDir("/dev/fd")
	for _, entry := range open {
		target, _ := os.Readlink("/dev/fd/" + entry.Name())
		fmt.Fprintf(&b, "%s: %s\n", entry.Name(), target)
	}
	return b.String()
}

// warmUp opens what the runtime opens once and keeps.
func warmUp() {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
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

package control

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain counts descriptors and goroutines: after all tests there are as many
// as before.
func TestMain(m *testing.M) {
	l, err := net.Listen("unix", "") // the runtime's poller opens its own first
	if err == nil {
		l.Close()
	}
	files, routines := descriptors(), runtime.NumGoroutine()
	code := m.Run()
	tick := time.NewTicker(10 * time.Millisecond)
	for range 200 { // connections end on the other side a moment after the test
		if descriptors() == files && runtime.NumGoroutine() <= routines {
			os.Exit(code)
		}
		<-tick.C
	}
	fmt.Printf("census: %d descriptors and %d goroutines, want %d and %d\n", descriptors(), runtime.NumGoroutine(), files, routines)
	buf := make([]byte, 1<<16)
	fmt.Printf("%s\n", buf[:runtime.Stack(buf, true)])
	os.Exit(1)
}

// descriptors counts the open ones; where the platform does not tell, none.
func descriptors() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(names)
}

package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"time"
)

// A census counts what a test could leave behind.
type census struct{ descriptors, routines, children int }

func takeCensus() census {
	if l, err := net.Listen("unix", ""); err == nil {
		l.Close() // the runtime's poller opens its own descriptors first
	}
	adoptOrphans()
	return count()
}

func count() census {
	names, _ := os.ReadDir("/proc/self/fd") // where there is none, it is 0 both times
	return census{len(names), runtime.NumGoroutine(), children()}
}

// holds waits a little for what is on its way out, and says what stays.
func (before census) holds() bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 250 {
		if after := count(); after.descriptors == before.descriptors && after.children == before.children && after.routines <= before.routines {
			return true
		}
		<-tick.C
	}
	fmt.Printf("census: %+v after the tests, want %+v\n", count(), before)
	buf := make([]byte, 1<<16)
	fmt.Printf("%s\n", buf[:runtime.Stack(buf, true)])
	return false
}

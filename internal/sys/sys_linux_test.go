//go:build !portable

package sys

import (
	"net"
	"testing"
)

func TestSendAndRecvAllocateNothing(t *testing.T) {
	a, b := pair(t)
	line, buf := make([]byte, 120), make([]byte, 8192)
	room, many := make([]int, 0, MaxRights), make([]int, 64)
	for i := range many {
		many[i] = a
	}
	for name, f := range map[string]func(){
		"a line":                func() { Send(a, line, nil); Recv(b, buf, room) },
		"an empty socket":       func() { Recv(b, buf, room) },
		"a line and descriptor": func() { Send(a, line, many[:1]); closeAll(Recv(b, buf, room)) },
		"64 descriptors":        func() { Send(a, line, many); closeAll(Recv(b, buf, room)) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func TestAcceptAllocatesNothing(t *testing.T) {
	l, fd := listenRaw(t, "tcp", "127.0.0.1:0")
	const times = 50
	for range times + 1 { // as AllocsPerRun
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	n := testing.AllocsPerRun(times, func() {
		Waiting(fd)
		fd, err := Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		Release(fd)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

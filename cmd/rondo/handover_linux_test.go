package main

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/rondokit/rondo/activation"
	"github.com/rondokit/rondo/internal/sys"
	"golang.org/x/sys/unix"
)

// passes gives what one program passes to another: a socket, and two descriptors more.
func passes(t *testing.T) *passedOn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := &passedOn{Stored: map[string]int{}}
	fd, err := sys.DupFile(ln.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	p.Sockets = []passedSocket{{FD: fd, Name: "web", Kind: activation.TCP, Address: ln.Addr().String()}}
	for _, name := range []string{"w1.chan", "w1.pid"} {
		if p.Stored[name], err = sys.DupFile(ln.(*net.TCPListener)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// A program that others go back from takes what it got; nothing is lost where there are
// no descriptors for copies. One that can go back does that instead.
func TestWhatIsHandedOverIsTakenWholeOrNotAtAll(t *testing.T) {
	for _, old := range []bool{false, true} {
		p := passes(t)
		if old {
			var err error
			if p.Old, err = sys.Dup(p.Stored["w1.chan"]); err != nil {
				t.Fatal(err)
			}
		}
		for room := range 3 { // one too few
			before := openHere(t)
			empty := fillDescriptors(t, room)
			sockets, stored, err := takeDescriptors(p)
			empty()
			if old {
				if !errors.Is(err, unix.EMFILE) || len(p.Stored) != 2 || len(p.Sockets) != 1 {
					t.Errorf("with room for %d descriptors: %v, and %+v is left, want %v and all", room, err, p, unix.EMFILE)
				}
				if now := openHere(t); now != before {
					t.Errorf("with room for %d descriptors: %d are open, before %d", room, now, before)
				}
				continue
			}
			if err != nil || len(stored) != 2 || len(sockets) != 1 || len(p.descriptors()) != 0 {
				t.Errorf("with room for %d descriptors: %v, %v, %v, and %+v is left", room, sockets, stored, err, p)
			}
			for _, fd := range stored {
				sys.Close(fd)
			}
			for _, s := range sockets {
				s.File.Close()
			}
			p = passes(t)
		}
		p.close()
	}
}

// openHere is how many descriptors are open.
func openHere(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// fillDescriptors leaves this process room for that many more, until empty is called.
func fillDescriptors(t *testing.T, room int) (empty func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	now := was
	now.Cur = 256
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	var fds []int
	for {
		fd, err := sys.Dup(0)
		if err != nil {
			break
		}
		fds = append(fds, fd)
	}
	for range room {
		sys.Close(fds[0])
		fds = fds[1:]
	}
	return func() {
		for _, fd := range fds {
			sys.Close(fd)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
}

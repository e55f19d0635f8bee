package sys

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tcpPair gives the two ends of a TCP connection over loopback, not blocking.
func tcpPair(t *testing.T) (near, far int) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	defer Close(ln)
	must(unix.Bind(ln, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(unix.Listen(ln, 1))
	addr, err := unix.Getsockname(ln)
	must(err)
	far, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.Connect(far, addr))
	near, err = Accept(ln)
	must(err)
	return near, far
}

// fill writes until fd takes no more.
func fill(fd int) (sent int) {
	for {
		n, err := Send(fd, make([]byte, 64<<10), nil)
		if err != nil {
			return sent
		}
		sent += n
	}
}

func TestReleaseDoesNotLinger(t *testing.T) {
	near, far := tcpPair(t)
	defer Close(far)
	sent := fill(near)
	if err := unix.SetsockoptLinger(near, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 60}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	Release(near)
	if took := time.Since(began); took > 30*time.Second {
		t.Fatalf("Release took %v, want it not to wait for the peer", took)
	}
	got := 0
	for b := make([]byte, 64<<10); ; {
		n, err := unix.Read(far, b)
		if err != nil {
			t.Fatalf("read of %d bytes, then %v; want all %d and the end", got, err, sent)
		}
		if got += n; n == 0 {
			break
		}
	}
	if got != sent {
		t.Errorf("the peer got %d bytes, want all %d that were sent", got, sent)
	}
}

func TestReleaseLeavesAnAbortOne(t *testing.T) {
	near, far := tcpPair(t)
	defer Close(far)
	if err := unix.SetsockoptLinger(near, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		t.Fatal(err)
	}
	Release(near)
	if n, err := unix.Read(far, make([]byte, 1)); err != unix.ECONNRESET {
		t.Errorf("read = %d, %v; want %v", n, err, unix.ECONNRESET)
	}
}

func TestReleaseClosesWhatIsNoSocket(t *testing.T) {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	Release(fd)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("fcntl = %v, want %v: it is open", err, unix.EBADF)
	}
}

func TestUnreadCountsWhatWaits(t *testing.T) {
	a, b, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	defer Close(b)
	for _, text := range []string{"12345", "678"} {
		if _, err := Send(a, []byte(text), nil); err != nil {
			t.Fatal(err)
		}
	}
	Close(a)
	for _, want := range []int{8, 5, 2, 0} {
		if got := Unread(b); got != want {
			t.Errorf("Unread = %d, want %d", got, want)
		}
		if want > 0 {
			if _, err := unix.Read(b, make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

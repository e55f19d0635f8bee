package sys

import (
	"bytes"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// same tells whether two descriptors are of one open file's inode.
func same(t *testing.T, a, b int) bool {
	t.Helper()
	var sa, sb unix.Stat_t
	if err := unix.Fstat(a, &sa); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fstat(b, &sb); err != nil {
		t.Fatal(err)
	}
	return sa.Dev == sb.Dev && sa.Ino == sb.Ino
}

func TestDescriptorsTravelInTheirOrderAndArriveReady(t *testing.T) {
	for _, n := range []int{0, 1, 2, 64, MaxRights} {
		census(t)
		a, b := pair(t)
		var ours []int
		for range n {
			x, y := pair(t)
			_ = y
			ours = append(ours, x)
		}
		line := []byte("one line\n")
		if sent, err := Send(a, line, ours); sent != len(line) || err != nil {
			t.Fatalf("Send with %d descriptors = %d, %v, want %d, nil", n, sent, err, len(line))
		}
		buf := make([]byte, 100)
		got, fds, truncated, err := Recv(b, buf, []int{-7})
		if got != len(line) || !bytes.Equal(buf[:got], line) || truncated || err != nil {
			t.Fatalf("Recv = %q, truncated %v, %v, want %q, false, nil", buf[:got], truncated, err, line)
		}
		if len(fds) != n+1 || fds[0] != -7 {
			t.Fatalf("Recv gave %d descriptors after %v, want %d after [-7]", len(fds)-1, fds[:1], n)
		}
		for i, fd := range fds[1:] {
			checkFlags(t, "a received descriptor", fd)
			if !same(t, fd, ours[i]) {
				t.Errorf("descriptor %d of %d is not the one that was sent", i, n)
			}
			Close(fd)
		}
	}
}

func TestDescriptorsComeWithTheFirstByteOfTheirLine(t *testing.T) {
	census(t)
	a, b := pair(t)
	Send(a, []byte("plain\n"), nil)
	Send(a, []byte("with\n"), []int{a})
	Send(a, []byte("after\n"), nil)
	var text []byte
	buf := make([]byte, 3)
	for len(text) < len("plain\nwith\nafter\n") {
		n, fds, _, err := Recv(b, buf, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(fds) > 0 {
			Close(fds[0])
			if got, want := string(text), "plain\n"; got != want {
				t.Errorf("the descriptor came after %q, want after %q", got, want)
			}
		}
		text = append(text, buf[:n]...)
	}
}

func TestEverythingThatIsGivenIsCloseOnExecAndNonBlocking(t *testing.T) {
	census(t)
	a, b := pair(t)
	checkFlags(t, "Socketpair", a)
	checkFlags(t, "Socketpair", b)
	dup, err := Dup(a)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(dup)
	checkFlags(t, "Dup", dup)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err := DupFile(l.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	checkFlags(t, "DupFile", fd)

	if _, err := Accept(fd); err != unix.EAGAIN {
		t.Errorf("Accept with nobody waiting = %v, want %v", err, unix.EAGAIN)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn, err := Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(conn)
	checkFlags(t, "Accept", conn)
}

func TestAFullSocketTakesALineWholeOrNotAtAll(t *testing.T) {
	census(t)
	a, b := pair(t)
	line := bytes.Repeat([]byte("x"), 16<<10)
	sent := 0
	for {
		n, err := Send(a, line, nil)
		if err == unix.EAGAIN {
			break
		}
		if err != nil || n != len(line) {
			t.Fatalf("Send of %d bytes after %d lines = %d, %v, want all of it or EAGAIN", len(line), sent, n, err)
		}
		sent++
	}
	if sent == 0 {
		t.Fatal("an empty socket took no line of 16 KiB")
	}
	if n, err := Send(a, line, []int{a}); n != 0 || err != unix.EAGAIN {
		t.Errorf("Send with a descriptor to a full socket = %d, %v, want 0, EAGAIN", n, err)
	}
	buf, got, descriptors := make([]byte, 1<<20), 0, 0
	for got < sent*len(line) {
		n, fds, _, err := Recv(b, buf, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, descriptors = got+n, descriptors+len(fds)
	}
	if descriptors != 0 {
		t.Errorf("%d descriptors arrived of a Send that was refused, want 0", descriptors)
	}
	if n, err := Send(a, line, []int{a}); n != len(line) || err != nil {
		t.Errorf("Send after the socket was read = %d, %v, want %d, nil", n, err, len(line))
	}
	_, fds, _, _ := Recv(b, buf, nil)
	for _, fd := range fds {
		Close(fd)
	}
}

func TestRecvTellsAnEmptySocketFromAnEndedOne(t *testing.T) {
	census(t)
	a, b := pair(t)
	buf := make([]byte, 10)
	if n, _, _, err := Recv(b, buf, nil); n != 0 || err != unix.EAGAIN {
		t.Errorf("Recv of an empty socket = %d, %v, want 0, EAGAIN", n, err)
	}
	unix.Shutdown(a, unix.SHUT_WR)
	if n, _, _, err := Recv(b, buf, nil); n != 0 || err != nil {
		t.Errorf("Recv of an ended socket = %d, %v, want 0, nil", n, err)
	}
	unix.Shutdown(b, unix.SHUT_RDWR)
	if _, err := Send(a, []byte("x"), nil); err != unix.EPIPE {
		t.Errorf("Send to an ended socket = %v, want %v and no signal", err, unix.EPIPE)
	}
}

func TestInheritTellsWhatADescriptorIsInstead(t *testing.T) {
	census(t)
	a, _ := pair(t)
	datagrams, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(datagrams[0])
	defer Close(datagrams[1])
	tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(tcp)
	for _, row := range []struct {
		what string
		fd   int
		want error
	}{
		{"nothing", 1 << 20, unix.EBADF},
		{"a file", null(t), unix.ENOTSOCK},
		{"a datagram socket", datagrams[0], unix.EPROTOTYPE},
		{"a TCP socket", tcp, unix.EPROTOTYPE},
		{"a stream socket", a, nil},
	} {
		if err := Inherit(row.fd); err != row.want {
			t.Errorf("Inherit(%s) = %v, want %v", row.what, err, row.want)
		}
	}
	unix.SetNonblock(a, false)
	unix.FcntlInt(uintptr(a), unix.F_SETFD, 0)
	if err := Inherit(a); err != nil {
		t.Fatal(err)
	}
	checkFlags(t, "Inherit", a)
}

func TestListenTurnsABoundSocketIntoAListener(t *testing.T) {
	census(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := NewFile(fd, "bound")
	defer f.Close()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	for _, backlog := range []int{0, 7} {
		if err := Listen(f, backlog); err != nil {
			t.Errorf("Listen with backlog %d = %v, want nil", backlog, err)
		}
	}
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); on != 1 || err != nil {
		t.Errorf("SO_ACCEPTCONN = %d, %v, want 1, nil", on, err)
	}
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if err := Listen(closed, 0); err == nil {
		t.Error("Listen of a closed file = nil, want an error")
	}
}

func TestWaitingTellsWhetherAcceptGivesSomething(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": t.TempDir() + "/s"} {
		l, fd := listenRaw(t, network, address)
		if Waiting(fd) {
			t.Errorf("%s: something waits before anybody came", network)
		}
		for range 2 {
			c, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		for n := 2; n > 0; n-- {
			if !Waiting(fd) {
				t.Errorf("%s: nothing waits, but %d have come", network, n)
			}
			c, err := Accept(fd)
			if err != nil {
				t.Fatal(err)
			}
			Close(c)
		}
		if _, err := Accept(fd); Waiting(fd) || err != unix.EAGAIN {
			t.Errorf("%s: something waits after all were accepted: %v", network, err)
		}
	}
	_, fd := listenRaw(t, "tcp", "127.0.0.1:0")
	if err := unix.Shutdown(fd, unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	if !Waiting(fd) {
		t.Error("nothing waits on a socket that was shut down, whose accept fails")
	}
}

// listenRaw gives a listener, and a descriptor of it.
func listenRaw(t *testing.T, network, address string) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	fd, err := DupFile(l.(syscall.Conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(fd) })
	return l, fd
}

func BenchmarkSendRecv(b *testing.B) {
	x, y := pair(b)
	line, buf := make([]byte, 120), make([]byte, 8192)
	room, fds := make([]int, 0, MaxRights), make([]int, 64)
	for i := range fds {
		fds[i] = x
	}
	for _, row := range []struct {
		name string
		n    int
	}{{"line", 0}, {"one", 1}, {"batch64", 64}} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Send(x, line, fds[:row.n])
				closeAll(Recv(y, buf, room))
			}
		})
	}
}

// A file of it is no business of the runtime's poller, which would have set it going
// with the open file's O_NONBLOCK.
func TestABlockingFileIsOne(t *testing.T) {
	a, _ := pair(t)
	fd, err := Dup(a)
	if err != nil {
		t.Fatal(err)
	}
	f := NewBlockingFile(fd, "a")
	defer f.Close()
	if on, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || on&unix.O_NONBLOCK != 0 {
		t.Errorf("its flags are %#x, %v, want no O_NONBLOCK", on, err)
	}
	if err := f.SetReadDeadline(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("SetReadDeadline = %v, want %v as the poller does not watch it", err, os.ErrNoDeadline)
	}
}

func closeAll(_ int, fds []int, _ bool, _ error) {
	for _, fd := range fds {
		Close(fd)
	}
}

package activation

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// open gives a socket for passing; it lives until the test ends. A socket of a kind
// that the kernel lacks is nil.
func open(t *testing.T, domain, typ, protocol int, sa unix.Sockaddr) *os.File {
	t.Helper()
	fd, err := unix.Socket(domain, typ|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Logf("not checked here: socket(%d, %d, %d): %v", domain, typ, protocol, err)
		return nil
	}
	f := os.NewFile(uintptr(fd), "passed")
	t.Cleanup(func() { f.Close() })
	if sa == nil {
		return f
	}
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatalf("bind %+v: %v", sa, err)
	}
	return f
}

// control runs do on the descriptor of f.
func control(t *testing.T, f *os.File, do func(fd int) error) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var doErr error
	if err := raw.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil || doErr != nil {
		t.Fatal(err, doErr)
	}
}

func listen(t *testing.T, f *os.File) *os.File {
	t.Helper()
	control(t, f, func(fd int) error { return unix.Listen(fd, 8) })
	return f
}

// port is what the kernel chose for f.
func port(t *testing.T, f *os.File) (port int) {
	t.Helper()
	control(t, f, func(fd int) error {
		sa, err := unix.Getsockname(fd)
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			port = sa.Port
		case *unix.SockaddrInet6:
			port = sa.Port
		}
		return err
	})
	return port
}

var loopback4 = [4]byte{127, 0, 0, 1}

func TestTakeGivesEachSocketAsItIs(t *testing.T) {
	countDescriptors(t)
	dir := t.TempDir()
	abstract := "@rondo-activation-" + filepath.Base(filepath.Dir(dir)) + "-" + fmt.Sprint(os.Getpid())
	in4, in6 := &unix.SockaddrInet4{Addr: loopback4}, &unix.SockaddrInet6{}

	var files []*os.File
	var want []found
	add := func(f *os.File, w found, addr string) {
		if f == nil {
			return
		}
		if strings.Contains(addr, "%d") {
			addr = fmt.Sprintf(addr, port(t, f))
		}
		w.Index, w.Addr, w.Network = len(files), addr, string(w.Kind)
		w.CloseOnExec, w.NonBlocking = true, true
		files, want = append(files, f), append(want, w)
	}
	add(listen(t, open(t, unix.AF_INET, unix.SOCK_STREAM, 0, in4)), found{Name: "tcp4", Kind: TCP, Listening: true}, "127.0.0.1:%d")
	add(open(t, unix.AF_INET, unix.SOCK_STREAM, 0, in4), found{Name: "bound", Kind: TCP}, "127.0.0.1:%d")
	add(open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, in4), found{Name: "udp4", Kind: UDP}, "127.0.0.1:%d")
	if f := open(t, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, in4); f != nil {
		add(listen(t, f), found{Name: "mptcp", Kind: TCP, Listening: true}, "127.0.0.1:%d")
	}
	if f := open(t, unix.AF_INET6, unix.SOCK_STREAM, 0, nil); f != nil {
		for _, v6only := range []int{0, 1} {
			f := open(t, unix.AF_INET6, unix.SOCK_STREAM, 0, nil)
			control(t, f, func(fd int) error {
				return errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only), unix.Bind(fd, in6))
			})
			add(listen(t, f), found{Name: "tcp6", Kind: TCP, Listening: true, V6Only: v6only == 1}, "[::]:%d")
		}
		add(open(t, unix.AF_INET6, unix.SOCK_DGRAM, 0, in6), found{Name: "udp6", Kind: UDP}, "[::]:%d")
	}
	path := filepath.Join(dir, "stream")
	add(listen(t, open(t, unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: path})), found{Name: "unix", Kind: Unix, Listening: true}, path)
	add(listen(t, open(t, unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: abstract})), found{Name: "abstract", Kind: Unix, Listening: true}, abstract)
	path = filepath.Join(dir, "dgram")
	add(open(t, unix.AF_UNIX, unix.SOCK_DGRAM, 0, &unix.SockaddrUnix{Name: path}), found{Name: "unixgram", Kind: Unixgram}, path)

	var names []string
	for _, w := range want {
		names = append(names, w.Name)
	}
	rep := runTake(t, files, "LISTEN_FDNAMES="+strings.Join(names, ":"))
	if rep.Err != "" || rep.Closed != len(files) {
		t.Errorf("Take() = %s, and %d descriptors closed, want no error and %d", rep.Err, rep.Closed, len(files))
	}
	for i, w := range want {
		if i < len(rep.Sockets) && rep.Sockets[i] == w {
			continue
		}
		t.Errorf("Take() = %+v, want at %d %+v", rep.Sockets, i, w)
		break
	}
}

func TestSocketsWithoutNamesAreUnknown(t *testing.T) {
	countDescriptors(t)
	f := open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, &unix.SockaddrInet4{Addr: loopback4})
	rep := runTake(t, []*os.File{f, f})
	if rep.Err != "" || len(rep.Sockets) != 2 || rep.Sockets[0].Name != "unknown" || rep.Sockets[1].Name != "unknown" {
		t.Errorf("Take() = %+v, %s, want two sockets named unknown", rep.Sockets, rep.Err)
	}
}

func TestNamesThatDoNotFitCloseTheDescriptors(t *testing.T) {
	countDescriptors(t)
	f := open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, &unix.SockaddrInet4{Addr: loopback4})
	rep := runTake(t, []*os.File{f, f}, "LISTEN_FDNAMES=a:b:c")
	if !strings.Contains(rep.Err, "3 names for the 2 descriptors") || rep.Closed != 2 {
		t.Errorf("Take() = %s, and closed %d, want an error about the names and 2", rep.Err, rep.Closed)
	}
}

func TestDescriptorsMeantForAnotherProcessAreLeftAlone(t *testing.T) {
	countDescriptors(t)
	f := open(t, unix.AF_INET, unix.SOCK_DGRAM, 0, &unix.SockaddrInet4{Addr: loopback4})
	tests := []struct {
		name string
		env  string
		want int
	}{
		{"the parent's pid", fmt.Sprintf("LISTEN_PID=%d", os.Getpid()), 0},
		{"another pidfd id", "TEST_PIDFDID=other", 0},
		{"the own pidfd id", "TEST_PIDFDID=own", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, ok := pidfdID(); !ok && strings.HasPrefix(tt.env, "TEST_PIDFDID") {
				t.Skip("pidfds have no inode of their own here; not checked: LISTEN_PIDFDID against the kernel")
			}
			rep := runTake(t, []*os.File{f}, tt.env)
			if rep.Err != "" || len(rep.Sockets) != tt.want || rep.Closed != tt.want {
				t.Errorf("Take() = %+v, %s, and %d closed, want %d sockets", rep.Sockets, rep.Err, rep.Closed, tt.want)
			}
		})
	}
}

func TestTakeReadsWhatSystemdPasses(t *testing.T) {
	countDescriptors(t)
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("systemd-socket-activate is needed in CI: ", err)
		}
		t.Skip("systemd-socket-activate is not installed; not checked: that Take understands systemd's own passing")
	}
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	cmd := command(t, "serve")
	cmd.Args = []string{activate, "--listen=" + first, "--listen=" + second, "--fdname=http:admin",
		"--setenv=" + roleKey + "=serve", cmd.Path}
	cmd.Path = activate
	cmd.Stderr = nil
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "Listening on "+second) {
	}
	conn, err := net.DialTimeout("unix", first, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second)) // only so that a child that hangs ends the test
	rep := decode(t, conn)
	want := []found{
		{Name: "http", Kind: Unix, Network: "unix", Addr: first, Listening: true, CloseOnExec: true, NonBlocking: true},
		{Name: "admin", Index: 1, Kind: Unix, Network: "unix", Addr: second, Listening: true, CloseOnExec: true, NonBlocking: true},
	}
	if rep.Err != "" || !slices.Equal(rep.Sockets, want) {
		t.Errorf("Take() = %+v, %s, want %+v", rep.Sockets, rep.Err, want)
	}
}

// rawFile wraps a descriptor that a system call gave.
func rawFile(t *testing.T) func(fd int, err error) *os.File {
	return func(fd int, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "raw")
		t.Cleanup(func() { f.Close() })
		return f
	}
}

// pair gives one end of two connected unix sockets.
func pair(t *testing.T, typ int) *os.File {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	rawFile(t)(fds[1], err)
	return rawFile(t)(fds[0], err)
}

package activation

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeLaunchd has descriptors by name, and gives each name once.
type fakeLaunchd struct {
	fds   map[string][]int
	errs  map[string]error
	taken map[string]bool
}

func (f *fakeLaunchd) activate(name string) ([]int, error) {
	switch {
	case f.errs[name] != nil:
		return nil, f.errs[name]
	case f.taken[name]:
		return nil, syscall.EALREADY
	}
	f.taken[name] = true
	return f.fds[name], nil
}

// opened is a socket as launchd makes it: blocking, and inherited. The kernel gives it
// an address of its own choice, or at a path.
func opened(t *testing.T, family, typ int, bound unix.Sockaddr, listens bool) int {
	t.Helper()
	fd, err := unix.Socket(family, typ, 0)
	if err != nil {
		t.Fatal(err)
	}
	if bound != nil {
		if err := unix.Bind(fd, bound); err != nil {
			t.Fatal(err)
		}
	}
	if listens {
		if err := unix.Listen(fd, 1); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

func TestSocketsOfLaunchdAreTakenByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	local, local6 := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	f := &fakeLaunchd{taken: map[string]bool{}, fds: map[string][]int{
		"web":  {opened(t, unix.AF_INET, unix.SOCK_STREAM, local, true), opened(t, unix.AF_INET6, unix.SOCK_STREAM, local6, true)},
		"sock": {opened(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path}, false)},
		"dns":  {opened(t, unix.AF_INET, unix.SOCK_DGRAM, local, false)},
	}, errs: map[string]error{"other": syscall.ESRCH}}
	sockets, err := takeNamed([]string{"web", "other", "sock", "dns"}, f.activate)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, s := range sockets {
		defer s.File.Close()
		raw, err := s.File.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			flags, _ := unix.FcntlInt(fd, unix.F_GETFD, 0)
			status, _ := unix.FcntlInt(fd, unix.F_GETFL, 0)
			if flags&unix.FD_CLOEXEC == 0 || status&unix.O_NONBLOCK == 0 {
				t.Errorf("%s is not close-on-exec and non-blocking", s.Name)
			}
		})
		if s.Listening != (s.Kind == TCP || s.Kind == Unix) {
			t.Errorf("%s: listening %v", s.Name, s.Listening)
		}
		if s.Listening {
			c, err := net.Dial(s.Addr.Network(), s.Addr.String())
			if err != nil {
				t.Errorf("%s does not listen: %v", s.Name, err)
				continue
			}
			c.Close()
		}
		said = append(said, s.Name+" "+string(s.Kind))
	}
	if got, want := strings.Join(said, ", "), "web tcp, web tcp, sock unix, dns udp"; got != want {
		t.Errorf("sockets %s, want %s", got, want)
	}
	if len(sockets) > 2 && sockets[2].Addr.String() != path {
		t.Errorf("the unix socket is at %s, want %s", sockets[2].Addr, path)
	}
}

func TestWhatLaunchdRefusesIsSaid(t *testing.T) {
	local := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	for _, c := range []struct {
		name  string
		err   error
		fd    func(*testing.T) int
		twice bool
		says  string
	}{
		{name: "no name", err: syscall.ENOENT, says: `launchd has no socket "web" for this job`},
		{name: "twice", twice: true, says: "were taken before"},
		{name: "refused", err: syscall.EPERM, says: "operation not permitted"},
		{name: "port 0", fd: func(t *testing.T) int { return opened(t, unix.AF_INET, unix.SOCK_STREAM, nil, false) }, says: "is bound to no port: give it a SockServiceName"},
		{name: "connected", fd: func(t *testing.T) int {
			fd := opened(t, unix.AF_INET, unix.SOCK_DGRAM, local, false)
			if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}); err != nil {
				t.Fatal(err)
			}
			return fd
		}, says: "is connected: leave SockPassive out"},
		{name: "seqpacket", fd: func(t *testing.T) int {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
			if err != nil {
				t.Skipf("not checked: a unix socket of another kind, of which this system has none: %v", err)
			}
			return fd
		}, says: "SockType stream or dgram"},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := opened(t, unix.AF_INET, unix.SOCK_STREAM, local, true)
			f := &fakeLaunchd{taken: map[string]bool{}, fds: map[string][]int{"good": {good}}, errs: map[string]error{}}
			if c.err != nil {
				f.errs["web"] = c.err
			}
			if c.fd != nil {
				f.fds["web"] = []int{c.fd(t)}
			}
			names := []string{"good", "web"}
			if c.twice {
				names = append(names, "web")
			}
			sockets, err := takeNamed(names, f.activate)
			if err == nil || !strings.Contains(err.Error(), c.says) || sockets != nil {
				t.Errorf("takeNamed = %v, %v, want none and %q", sockets, err, c.says)
			}
			for _, fds := range f.fds {
				for _, fd := range fds {
					if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
						t.Errorf("descriptor %d is still open: %v", fd, err)
					}
				}
			}
		})
	}
}

func TestWithoutLaunchdThereAreNoSockets(t *testing.T) {
	if sockets, err := TakeNamed("web"); err != nil || sockets != nil {
		t.Errorf("TakeNamed = %v, %v, want none", sockets, err)
	}
}

package sys

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNoChildInheritsAnExitFD(t *testing.T) {
	census(t)
	n := null(t)
	p, err := Start(as(t, "exit 7", n, n, 2))
	if err != nil {
		t.Fatal(err)
	}
	flags, err := unix.FcntlInt(uintptr(p.ExitFD), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags of ExitFD = %#x, %v, want close-on-exec", flags, err)
	}
	p.Reap()
}

func TestPortHolderFindsThisProcess(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		l, err := net.Listen(network, "localhost:0")
		if err != nil {
			t.Logf("not checked: %v", err)
			continue
		}
		port := l.Addr().(*net.TCPAddr).Port
		got, want := PortHolder(port), fmt.Sprintf("(pid %d)", os.Getpid())
		if !strings.Contains(got, want) {
			t.Errorf("%s: PortHolder(%d) = %q, want it to contain %q", network, port, got, want)
		}
		if got := PortHolderPID(port); got != os.Getpid() {
			t.Errorf("%s: PortHolderPID(%d) = %d, want %d", network, port, got, os.Getpid())
		}
		l.Close()
		if got := PortHolder(port); got != "" {
			t.Errorf("%s: PortHolder(%d) = %q after it was closed, want nothing", network, port, got)
		}
	}
}

//go:build !portable

package sys

import (
	"fmt"
	"net"
	"os"
	"os/exec"
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

// An adopted process that init has collected has no number that a wait could be for.
func TestReapOfOneThatIsGoneTakesNoOtherChild(t *testing.T) {
	census(t)
	n := null(t)
	gone, err := Start(as(t, "exit 7", n, n, 2))
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := Dup(gone.ExitFD)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Reap(); err != nil {
		t.Fatal(err)
	}
	adopted, err := AdoptProcess(pidfd, 0)
	if err != nil || adopted.PID != 0 {
		t.Fatalf("AdoptProcess = %+v, %v, want one without a number", adopted, err)
	}
	other := exec.Command("true") // of our process group, which a wait for 0 means
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, other.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if err := adopted.KillGroup(); err != unix.ESRCH { // 0 would mean this test
		t.Errorf("KillGroup = %v, want ESRCH", err)
	}
	if _, err := adopted.Reap(); err != unix.ECHILD {
		t.Errorf("Reap = %v, want ECHILD", err)
	}
	if err := other.Wait(); err != nil {
		t.Errorf("the other child: %v", err)
	}
}

func TestPortHolderFindsThisProcess(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		l, err := net.Listen(network, "localhost:0")
		if err != nil {
			t.Logf("not checked: %v", err)
			continue
		}
		port := l.Addr().(*net.TCPAddr).Port
		got, want := PortHolder("tcp", port), fmt.Sprintf("(pid %d)", os.Getpid())
		if !strings.Contains(got, want) {
			t.Errorf("%s: PortHolder(%d) = %q, want it to contain %q", network, port, got, want)
		}
		if got := PortHolderPID("tcp", port); got != os.Getpid() {
			t.Errorf("%s: PortHolderPID(%d) = %d, want %d", network, port, got, os.Getpid())
		}
		l.Close()
		if got := PortHolder("tcp", port); got != "" {
			t.Errorf("%s: PortHolder(%d) = %q after it was closed, want nothing", network, port, got)
		}
	}
}

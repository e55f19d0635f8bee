//go:build !portable

package notify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager is the end of the service manager: a socket that receives messages.
func manager(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// receive gives the next message; one that does not come ends the test.
func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 2*maxMessage)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func notifier(t *testing.T, address string) *Notifier {
	t.Helper()
	environment(t, map[string]string{"NOTIFY_SOCKET": address})
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// countDescriptors fails the test if, after its other cleanups, it has left any open.
func countDescriptors(t *testing.T) {
	t.Helper()
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	t.Cleanup(func() {
		if after := count(); after != before {
			t.Errorf("%d descriptors are open, want %d", after, before)
		}
	})
}

func TestStatesOfOneSendArriveInOneMessage(t *testing.T) {
	for name, address := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": fmt.Sprintf("@rondo-notify-test-%d", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			countDescriptors(t)
			m := manager(t, address)
			n := notifier(t, address)
			if err := n.Send(); err != nil {
				t.Errorf("Send() of nothing = %v, want nil and no message", err)
			}
			if err := n.Send(Ready, Status("4/4\nready"), ExtendTimeout(time.Second)); err != nil {
				t.Fatal(err)
			}
			if got, want := receive(t, m), "READY=1\nSTATUS=4/4 ready\nEXTEND_TIMEOUT_USEC=1000000"; got != want {
				t.Errorf("message %q, want %q", got, want)
			}
			if err := n.Send(Alive); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, m); got != "WATCHDOG=1" {
				t.Errorf("message %q, want WATCHDOG=1", got)
			}
		})
	}
}

func TestReloadingCarriesTheMonotonicTimeInTheSameMessage(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	m := manager(t, address)
	n := notifier(t, address)
	now := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano() / 1000
	}
	before := now()
	if err := n.Send(Reloading(), Status("reloading")); err != nil {
		t.Fatal(err)
	}
	after := now()
	lines := strings.Split(receive(t, m), "\n")
	if len(lines) != 3 || lines[0] != "RELOADING=1" || lines[2] != "STATUS=reloading" {
		t.Fatalf("message %q, want RELOADING=1, MONOTONIC_USEC= and STATUS=", lines)
	}
	usec, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "MONOTONIC_USEC="), 10, 64)
	if err != nil || usec < before || usec > after {
		t.Errorf("%s (%v), want from %d to %d", lines[1], err, before, after)
	}
}

func TestAFullQueueIsAnErrorAndNotAWait(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	m := manager(t, address)
	n := notifier(t, address)
	var err error
	for range 100_000 { // more than any net.unix.max_dgram_qlen
		if err = n.Send(Alive); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.EAGAIN) || !strings.Contains(err.Error(), address) {
		t.Fatalf("Send into a full queue = %v, want EAGAIN and the address", err)
	}
	receive(t, m)
	if err := n.Send(Alive); err != nil {
		t.Errorf("Send after the queue has room = %v, want nil", err)
	}
}

func TestAManagerThatComesAgainIsFound(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	n := notifier(t, address)
	if err := n.Send(Ready); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Send before anybody listens = %v, want it to be os.ErrNotExist", err)
	}
	for range 2 {
		m := manager(t, address)
		if err := n.Send(Ready); err != nil {
			t.Fatal(err)
		}
		receive(t, m)
		m.Close() // removes the path too
		os.Remove(address)
	}
}

func TestAMessageThatTheManagerWouldDropIsNotSent(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	m := manager(t, address)
	n := notifier(t, address)
	if err := n.Send(State(strings.Repeat("X", maxMessage+1))); err == nil {
		t.Error("Send of 4097 bytes = nil, want an error")
	}
	want := strings.Repeat("X", maxMessage)
	if err := n.Send(State(want)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, m); got != want {
		t.Errorf("message of %d bytes, want %d", len(got), len(want))
	}
}

func TestCloseIsSafeWhileOthersSend(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	manager(t, address)
	n := notifier(t, address)
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() { // ends at the Close below
			var err error
			for err == nil || errors.Is(err, unix.EAGAIN) {
				err = n.Send(Alive)
			}
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("Send after Close = %v, want it to be os.ErrClosed", err)
			}
		})
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	senders.Wait()
	if err := n.Close(); err != nil {
		t.Errorf("the second Close = %v, want nil", err)
	}
}

func TestTheSocketIsNotInheritedAndDoesNotBlock(t *testing.T) {
	n := notifier(t, "/nowhere")
	raw, err := n.sock.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x, %v, want close-on-exec", flags, err)
		}
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("file flags %#x, %v, want non-blocking", flags, err)
		}
	})
}

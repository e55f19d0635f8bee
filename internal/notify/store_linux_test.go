//go:build !portable

package notify

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// receiveRights gives the next message and the descriptors in it, which live until
// they or the test end.
func receiveRights(t *testing.T, conn *net.UnixConn) (string, []*os.File) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf, oob := make([]byte, 2*maxMessage), make([]byte, unix.CmsgSpace(4*maxRights))
	n, oobn, flags, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil || flags&unix.MSG_CTRUNC != 0 {
		t.Fatalf("receive: %v, flags %#x", err, flags)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) > 1 {
		t.Fatalf("%d control messages, %v, want at most 1", len(messages), err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), "received")
			t.Cleanup(func() { f.Close() })
			files = append(files, f)
		}
	}
	return string(buf[:n]), files
}

// tempFiles gives open files, the descriptors of which the test keeps.
func tempFiles(t *testing.T, n int) (files []*os.File, fds []int) {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files, fds = append(files, f), append(fds, int(f.Fd()))
	}
	return files, fds
}

func TestStoredDescriptorsArriveAsTheSameOpenFiles(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	m := manager(t, address)
	n := notifier(t, address)
	for _, count := range []int{1, 3, maxRights} {
		files, fds := tempFiles(t, count)
		if err := n.Store("w17.chan", fds...); err != nil {
			t.Fatal(err)
		}
		message, got := receiveRights(t, m)
		if want := "FDSTORE=1\nFDPOLL=0\nFDNAME=w17.chan"; message != want {
			t.Errorf("message %q, want %q", message, want)
		}
		if len(got) != count {
			t.Fatalf("%d descriptors, want %d", len(got), count)
		}
		for i, f := range files { // the sender's, which must have stayed open
			if _, err := f.Seek(int64(100+i), 0); err != nil {
				t.Fatal(err)
			}
			if at, err := got[i].Seek(0, 1); err != nil || at != int64(100+i) {
				t.Errorf("descriptor %d is at %d, %v, want at %d as the stored one", i, at, err, 100+i)
			}
		}
	}
}

func TestAStoreThatOneMessageCannotHoldIsNotSent(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	m := manager(t, address)
	n := notifier(t, address)
	for _, fds := range [][]int{nil, make([]int, maxRights+1)} {
		if err := n.Store("state", fds...); err == nil || !strings.Contains(err.Error(), "want from 1 to 253") {
			t.Errorf("Store of %d descriptors = %v, want an error with the most", len(fds), err)
		}
	}
	if err := n.Store("state", -1); !errors.Is(err, unix.EBADF) {
		t.Errorf("Store of no open descriptor = %v, want EBADF", err)
	}
	if err := n.Remove("state"); err != nil {
		t.Fatal(err)
	}
	if got, files := receiveRights(t, m); got != "FDSTOREREMOVE=1\nFDNAME=state" || len(files) != 0 {
		t.Errorf("message %q with %d descriptors, want only that of Remove", got, len(files))
	}
}

func TestAFullQueueKeepsNoDescriptors(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	manager(t, address)
	n := notifier(t, address)
	_, fds := tempFiles(t, 1)
	var err error
	for range 100_000 { // more than any net.unix.max_dgram_qlen
		if err = n.Store("state", fds...); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Errorf("Store into a full queue = %v, want EAGAIN", err)
	}
	if err := n.Remove("state"); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("Remove into a full queue = %v, want EAGAIN", err)
	}
	if b, err := n.Barrier(); b != nil || !errors.Is(err, unix.EAGAIN) {
		t.Errorf("Barrier into a full queue = %v, %v, want EAGAIN", b, err)
	}
}

func TestTheManagerTellsTheSizeOfTheStore(t *testing.T) {
	want := []string{"NOTIFY_SOCKET=/nowhere", "FDSTORE=34"}
	environment(t, map[string]string{"NOTIFY_SOCKET": "/nowhere", "FDSTORE": "34"})
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if got := n.StoreMax(); got != 34 {
		t.Errorf("StoreMax() = %d, want 34", got)
	}
	if got := n.Environ(); !slices.Equal(got, want) {
		t.Errorf("Environ() = %q, want %q", got, want)
	}
}

// barrier sends one and gives it with the manager's end of it.
func barrier(t *testing.T, n *Notifier, m *net.UnixConn) (*Barrier, *os.File) {
	t.Helper()
	b, err := n.Barrier()
	if err != nil {
		t.Fatal(err)
	}
	message, files := receiveRights(t, m)
	if message != "BARRIER=1" || len(files) != 1 {
		t.Fatalf("message %q with %d descriptors, want BARRIER=1 alone with 1", message, len(files))
	}
	return b, files[0]
}

// hang ends a wait that would not end.
func hang(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestABarrierEndsWhenTheManagerHasClosedIt(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	m := manager(t, address)
	n := notifier(t, address)

	b, theirs := barrier(t, n, m)
	theirs.Close()
	if err := b.Wait(hang(t)); err != nil {
		t.Errorf("Wait at a barrier that is closed = %v, want nil", err)
	}

	b, theirs = barrier(t, n, m)
	n.Close() // no matter
	ended := make(chan error)
	go func() { ended <- b.Wait(hang(t)) }() // ends with the manager's Close
	theirs.Close()
	if err := <-ended; err != nil {
		t.Errorf("Wait at a barrier that is then closed = %v, want nil", err)
	}
}

func TestABarrierOfAManagerThatGoesAwayEnds(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	m := manager(t, address)
	n := notifier(t, address)
	b, err := n.Barrier()
	if err != nil {
		t.Fatal(err)
	}
	m.Close() // with the message unread
	if err := b.Wait(hang(t)); err != nil {
		t.Errorf("Wait = %v, want nil", err)
	}
}

func TestAWaitWhoseContextEndsFirstGivesItsCauseAndTheBarrierUp(t *testing.T) {
	countDescriptors(t)
	address := filepath.Join(t.TempDir(), "notify")
	m := manager(t, address)
	n := notifier(t, address)
	why := errors.New("the start is over")
	for name, cancelled := range map[string]bool{"before": true, "while it waits": false} {
		b, theirs := barrier(t, n, m)
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		if cancelled {
			cancel(why)
		}
		go func() { ended <- b.Wait(ctx) }() // ends with ctx
		cancel(why)
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("%s: Wait = %v, want the cause of its context", name, err)
		}
		if err := b.Wait(t.Context()); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: a second Wait = %v, want it to be os.ErrClosed", name, err)
		}
		theirs.Close()
	}
}

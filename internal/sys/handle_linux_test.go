//go:build !portable

package sys

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// waiting starts a child that waits, and gives a Handle of it.
func waiting(t *testing.T) (*Process, *Handle) {
	t.Helper()
	_, stdin, out, stdout := pipes(t)
	p, err := Start(as(t, "wait", int(stdin.Fd()), int(stdout.Fd()), 2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Signal(unix.SIGKILL)
		p.Reap()
	})
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	h, err := OpenHandle(p.PID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return p, h
}

func TestAHandleTellsOfTheEnd(t *testing.T) {
	census(t)
	_, h := waiting(t)
	gone, leave := context.WithCancelCause(t.Context())
	leave(errors.New("enough"))
	for range 3 { // an ended wait spoils no other
		if err := h.Wait(gone); err == nil || err.Error() != "enough" {
			t.Fatalf("Wait for a process that lives = %v, want ctx's cause", err)
		}
	}
	waited := make(chan error, 1)
	go func() { waited <- h.Wait(context.Background()) }() // ended by the signal
	if err := h.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("Wait = %v", err)
	}
	for _, ctx := range []context.Context{t.Context(), gone} {
		if err := h.Wait(ctx); err != nil {
			t.Errorf("Wait for one that has ended = %v", err)
		}
	}
}

func TestAHandleIsNotOfWhoGetsThePIDNext(t *testing.T) {
	census(t)
	n := null(t)
	p, err := Start(as(t, "exit 7", n, n, 2))
	if err != nil {
		t.Fatal(err)
	}
	h, err := OpenHandle(p.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Wait(t.Context()); err != nil {
		t.Errorf("Wait = %v", err)
	}
	if _, err := p.Reap(); err != nil {
		t.Fatal(err)
	}
	if err := h.Signal(unix.SIGKILL); err != unix.ESRCH {
		t.Errorf("Signal to a process that was reaped = %v, want ESRCH", err)
	}
	if h, err := OpenHandle(p.PID); err != unix.ESRCH {
		t.Errorf("OpenHandle of a process that was reaped = %v, %v, want ESRCH", h, err)
	}
}

func TestAHandleIsCloseOnExec(t *testing.T) {
	census(t)
	h, err := OpenHandle(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	raw, err := h.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { checkFlags(t, "OpenHandle", int(fd)) })
}

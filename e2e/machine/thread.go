//go:build linux

package machine

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ownThread starts f on a thread that ends when f returns, so f may change what
// belongs to a thread: its namespaces, its root, its umask. It is never the main
// thread, which does not end and whose namespaces /proc/self shows.
func ownThread(f func()) {
	go func() { // ends with f
		runtime.LockOSThread() // and no unlock: the thread goes with the goroutine
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		done := make(chan struct{})
		ownThread(func() { // on another thread, as this one is taken
			defer close(done)
			f()
		})
		<-done
		runtime.UnlockOSThread()
	}()
}

// place is a set of namespaces, and a root, that a thread can enter.
type place struct {
	fd     int    // a pidfd of a process that is there, or a mount namespace; borrowed
	spaces int    // which of its namespaces
	root   string // to change to after that; "" for none
}

// do runs f there, on a thread of its own, and returns when f has. Files that f
// opens and processes it starts stay there; f must not end the test.
func (p place) do(f func() error) error {
	done := make(chan error, 1)
	ownThread(func() {
		if err := p.enter(); err != nil {
			done <- fmt.Errorf("machine: enter its namespaces: %w", err)
			return
		}
		done <- f()
	})
	return <-done
}

// enter moves the calling thread.
func (p place) enter() error {
	// Threads share root, working directory and umask until one asks for its own.
	// Entering a mount namespace while they are shared would move all.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Setns(p.fd, p.spaces); err != nil {
		return err
	}
	if p.root != "" {
		if err := unix.Chroot(p.root); err != nil {
			return err
		}
		if err := unix.Chdir("/"); err != nil {
			return err
		}
	}
	if p.spaces&unix.CLONE_NEWNS != 0 {
		unix.Umask(0o022)
	}
	return nil
}

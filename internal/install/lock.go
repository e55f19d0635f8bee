package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockAgain is how often a lock that another process has is tried.
const lockAgain = 50 * time.Millisecond

// Lock waits until no other process changes the apps of this manager, and then keeps
// others from it until unlock is called, or the process ends. If it has to wait, it
// says once for whom, as "pid 4711". If ctx ends first, that is the error.
func (m *Machine) Lock(ctx context.Context, waits func(who string)) (unlock func(), err error) {
	return lockIn(ctx, m.Paths.Run, waits)
}

// lockIn is Lock by a file in this directory.
func lockIn(ctx context.Context, dir string, waits func(who string)) (unlock func(), err error) {
	path := filepath.Join(dir, "rondo-install.lock")
	again := time.NewTicker(lockAgain)
	defer again.Stop()
	for told := false; ; told = true {
		f, err := tryLock(path)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if f != nil {
			return func() {
				_ = os.Remove(path) // first, so that nobody waits with a file that is gone
				f.Close()
			}, nil
		}
		if !told {
			pid, _ := os.ReadFile(path) // none, if it was let go meanwhile
			waits(strings.TrimSpace("pid " + string(pid)))
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("another rondo changes this machine, and waiting for it ended: %w", context.Cause(ctx))
		}
	}
}

// tryLock gives the locked file at path with the pid in it, or nil while another has it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	locked, err := lockFile(f)
	if !locked || err != nil {
		return nil, errors.Join(err, f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lockFile locks f, unless another has, or has removed it on letting it go.
func lockFile(f *os.File) (locked bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); cerr != nil {
		return false, cerr
	}
	if err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = nil
		}
		return false, err
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(mine, there), nil
}

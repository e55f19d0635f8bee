package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rondokit/rondo/internal/systemd"
)

// locker is a Machine with nothing but a directory for the lock.
func locker(t *testing.T) *Machine {
	return &Machine{Scope: systemd.System, Paths: Paths{Run: t.TempDir()}}
}

func TestOneProcessAtATimeHasTheLock(t *testing.T) {
	m := locker(t)
	var holders atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				unlock, err := m.Lock(t.Context(), func(string) {})
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d have the lock", n)
				}
				holders.Add(-1)
				unlock()
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(m.Paths.Run); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWhoWaitsForTheLockIsToldForWhom(t *testing.T) {
	m := locker(t)
	// As a process leaves it that was killed.
	if err := os.WriteFile(filepath.Join(m.Paths.Run, "rondo-install.lock"), []byte("99999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unlock, err := m.Lock(t.Context(), func(who string) { t.Errorf("waits for %s, which is gone", who) })
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = m.Lock(ctx, func(who string) { told = append(told, who); cancel(errPlanted) })
	if want := "pid " + strconv.Itoa(os.Getpid()); !errors.Is(err, errPlanted) || len(told) != 1 || told[0] != want {
		t.Errorf("Lock = %v, and it was told to wait for %q, want %q", err, told, want)
	}
	unlock()
	unlock, err = m.Lock(t.Context(), func(who string) { t.Errorf("waits for %s, which let go", who) })
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// Who opened the file before its holder removed it has a lock that nobody else sees.
func TestTheLockOfARemovedFileIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if locked, err := lockFile(f); !locked || err != nil {
		t.Errorf("lockFile = %v, %v, want it locked", locked, err)
	}
	for _, change := range []func() error{func() error { return os.Remove(path) }, func() error { return os.WriteFile(path, nil, 0o600) }} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if locked, err := lockFile(f); locked || err != nil {
			t.Errorf("lockFile of a file that is gone, or another's = %v, %v", locked, err)
		}
	}
}

func TestALockThatCannotBeMadeIsAnError(t *testing.T) {
	m := locker(t)
	path := filepath.Join(m.Paths.Run, "rondo-install.lock")
	if err := os.Symlink("elsewhere", path); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Lock(t.Context(), func(string) {}); err == nil {
		t.Error("a symbolic link was followed")
	}
}
